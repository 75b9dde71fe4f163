"""What the campaign does to an ensemble. A fault begins, holds, and ends; what it did may outlast it, until the daemon has
repaired it. The design promises to survive these in any mixture, with two limits that `Round` keeps: at most one member's
disk is at fault at a time, and a directory is rolled back only behind what the daemon's ledger knows (rule S2)."""
import json
import os
import shutil
import signal
import subprocess
import time

from ensemble import MEMBERS, daemon
from network import CLIENTS, OPERATOR


class Fault:
    """- touches_disk: counts as a lost disk until the ensemble is whole."""
    touches_disk = False
    # Holds at least so long.
    seconds = 0.0

    def __init__(self, round):
        self.round, self.ensemble, self.network, self.random = round, round.ensemble, round.network, round.random
        self.choose()

    def choose(self):
        """Draws what is disturbed, before anything is."""
        self.member = self.random.choice(MEMBERS)

    def begin(self):
        raise NotImplementedError

    def during(self):
        """Called several times a second while it holds."""

    def end(self):
        """Whatever the fault needs of people to be over."""

    def __str__(self):
        return f"{self.kind} {self.member}"

    def others(self):
        return [member for member in MEMBERS if member != self.member]

    def is_dead(self, member):
        daemon.wait_for("it is dead", lambda: not self.ensemble.pid(member), 20)


class Kill(Fault):
    """kill -9 of one, two, or all."""
    kind = "kill"

    def choose(self):
        self.members = self.random.sample(MEMBERS, self.random.choice((1, 1, 1, 2, 2, 3)))

    def begin(self):
        for member in self.members:
            self.ensemble.signal_member(member, signal.SIGKILL)

    def __str__(self):
        return f"kill {'+'.join(map(str, self.members))}"


class Off(Fault):
    """A member that stays dead: whoever starts it gets nowhere."""
    kind = "off"

    def choose(self):
        self.member = self.round.hold(self.random.choice(MEMBERS))

    def begin(self):
        self.ensemble.hold_down(self.member)

    def end(self):
        self.ensemble.let_up(self.member)


class Stop(Fault):
    """SIGSTOP: alive, and silent; then it goes on with what waited for it, unless the daemon has replaced it."""
    kind = "stop"

    def choose(self):
        self.members = self.random.sample(MEMBERS, self.random.choice((1, 1, 2)))
        self.stopped = []

    def begin(self):
        for member in self.members:
            pid = self.ensemble.pid(member)
            if pid:
                self.stopped.append((member, pid))
                self.ensemble.signal_member(member, signal.SIGSTOP)

    def end(self):
        for member, pid in self.stopped:
            if self.ensemble.pid(member) == pid:
                self.ensemble.signal_member(member, signal.SIGCONT)

    def __str__(self):
        return f"stop {'+'.join(map(str, self.members))}"


class Cut(Fault):
    """A member is cut off, in both directions: from its peers, from its peers and the daemon, or from everybody."""
    kind = "cut"

    def choose(self):
        super().choose()
        self.away = list(self.others())
        if self.random.randrange(2):
            self.away.append(OPERATOR)
            if self.random.randrange(2):
                self.away.append(CLIENTS)

    def begin(self):
        for other in self.away:
            self.network.cut(other, self.member)
            self.network.cut(self.member, other)

    def __str__(self):
        return f"cut {self.member}|{','.join(map(str, self.away))}"


class OneWay(Fault):
    """What some send to others does not arrive; what they answer does."""
    kind = "oneway"

    def choose(self):
        super().choose()
        away = self.random.choice(([self.random.choice(self.others())], self.others(), [OPERATOR], [CLIENTS]))
        self.ways = [(self.member, other) if self.random.randrange(2) else (other, self.member) for other in away[:1]]
        self.ways += [(self.member, other) if self.ways[0][0] == self.member else (other, self.member) for other in away[1:]]

    def begin(self):
        for source, target in self.ways:
            self.network.cut(source, target)

    def __str__(self):
        return "one-way cut " + ",".join(f"{source}>{target}" for source, target in self.ways)


class Slow(Fault):
    kind = "slow"

    def choose(self):
        super().choose()
        self.kilobits = self.random.choice((64, 128, 512))

    def begin(self):
        self.network.slow(self.member, self.kilobits)

    def __str__(self):
        return f"slow {self.member} ({self.kilobits} kbit/s)"


class Loss(Fault):
    """A quarter of all packets of a member, each way."""
    kind = "loss"

    def begin(self):
        for other in self.network.places:
            if other != self.member:
                self.network.lose(other, self.member)
                self.network.lose(self.member, other)


class Unplug(Fault):
    kind = "unplug"

    def begin(self):
        self.network.unplug(self.member)


class Daemon(Fault):
    """kill -9 of the daemon; another is started later. Or it is frozen."""
    kind = "daemon"

    def choose(self):
        self.frozen = self.random.randrange(4) == 0

    def begin(self):
        if self.frozen:
            os.kill(self.ensemble.process.pid, signal.SIGSTOP)
        else:
            self.ensemble.kill()

    def end(self):
        if self.frozen:
            os.kill(self.ensemble.process.pid, signal.SIGCONT)
        else:
            self.ensemble.start()

    def __str__(self):
        return "daemon frozen" if self.frozen else "daemon killed"


class Clock(Fault):
    """The wall clocks of some members and of the daemon jump, each by itself, and come back with the fault's end."""
    kind = "clock"

    def choose(self):
        names = self.random.sample((OPERATOR, *MEMBERS), self.random.randint(1, 4))
        self.steps = {name: self.random.choice((-1, 1)) * self.random.randint(1, 3600) for name in names}

    def begin(self):
        for name, seconds in self.steps.items():
            self.ensemble.step_clock(name, seconds)

    def end(self):
        for name in self.steps:
            self.ensemble.step_clock(name, 0)

    def __str__(self):
        return "clock " + ",".join(f"{name}{seconds:+}s" for name, seconds in self.steps.items())


class Roll(Fault):
    """A person asks for a rolling restart at the wrong time. It may be refused."""
    kind = "roll"

    def choose(self):
        self.answer = "not asked"

    def begin(self):
        try:
            done = self.ensemble.ask("restart", "--rolling", "--no-wait", within=20)
            self.answer = "begun" if done.returncode == 0 else "refused"
        except subprocess.TimeoutExpired:
            self.answer = "unanswered"

    def __str__(self):
        return f"rolling restart {self.answer}"


class Backup(Fault):
    """A bit of some files of the archive is wrong, the newest among them."""
    kind = "backup"

    def choose(self):
        self.count = self.random.randint(1, 3)
        self.damaged = 0

    def begin(self):
        files = [os.path.join(folder, name) for folder, _, names in os.walk(self.ensemble.archive) for name in names]
        files = sorted(files, key=lambda file: -os.path.getmtime(file) if os.path.exists(file) else 0)[:6]
        for file in self.random.sample(files, min(self.count, len(files))):
            try:
                flip(file, self.random, 0, 1)
                self.damaged += 1
            except OSError:
                # Pruned just now.
                pass

    def __str__(self):
        return f"backup ({self.damaged} files damaged)"


# Disks


def flip(file, random, begin, end):
    """One bit in the part of a file from `begin` to `end` (shares of what is written of it), if it has any."""
    with open(file, "r+b") as opened:
        used = len(opened.read().rstrip(b"\0"))
        if not used:
            return
        offset = random.randrange(int(used * begin), max(int(used * end), int(used * begin) + 1))
        opened.seek(offset)
        byte = opened.read(1)[0]
        opened.seek(offset)
        opened.write(bytes([byte ^ (1 << random.randrange(8))]))


class DiskFault(Fault):
    touches_disk = True

    def choose(self):
        self.member = self.round.hold(self.random.choice(MEMBERS))

    def folder(self):
        return os.path.join(self.ensemble.member_directory(self.member), "version-2")


class Lose(DiskFault):
    """The whole directory is gone."""
    kind = "lose"

    def begin(self):
        self.ensemble.hold_down(self.member)
        self.is_dead(self.member)
        shutil.rmtree(self.ensemble.member_directory(self.member), ignore_errors=True)

    def end(self):
        self.ensemble.let_up(self.member)


class Corrupt(Lose):
    """A bit of a log, of a snapshot, or of an epoch file.

    Not in a log's last entries: those cannot be told from a write that was interrupted, and the ledger may not have heard
    of them yet. Epoch files have no checksum, so a digit that became another one is as if the disk lied."""
    kind = "corrupt"

    def choose(self):
        super().choose()
        self.part = self.random.choice(("log", "log", "snapshot", "currentEpoch", "acceptedEpoch"))

    def begin(self):
        self.ensemble.hold_down(self.member)
        self.is_dead(self.member)
        try:
            if self.part.endswith("Epoch"):
                with open(os.path.join(self.folder(), self.part), "r+b") as file:
                    file.write(bytes([0x80 | ord("0")]))
                return
            files = [os.path.join(self.folder(), name) for name in os.listdir(self.folder()) if name.startswith(self.part + ".")]
            files = [file for file in files if used_bytes(file) > (40_000 if self.part == "log" else 100)]
            if files:
                flip(self.random.choice(files), self.random, 0.002 if self.part == "log" else 0.02, 0.5)
        except FileNotFoundError:
            # A member that has yet to be brought back has no such file.
            pass

    def __str__(self):
        return f"corrupt {self.part} of {self.member}"


def used_bytes(file):
    with open(file, "rb") as opened:
        return len(opened.read().rstrip(b"\0"))


class Rollback(DiskFault):
    """The directory is what it was some seconds before."""
    kind = "rollback"
    seconds = 12.0

    happened = True

    def begin(self):
        self.copy = os.path.join(self.ensemble.disks[self.member], "older")
        # As a backup tool would that knows nothing of logs: files that vanish meanwhile are left out.
        done = subprocess.run(["cp", "-a", self.ensemble.member_directory(self.member), self.copy], capture_output=True)
        self.copied = done.returncode == 0
        self.zxid = self.round.history.highest

    def end(self):
        if self.copied and self.ledger() > self.zxid:
            self.ensemble.hold_down(self.member)
            self.is_dead(self.member)
            target = self.ensemble.member_directory(self.member)
            shutil.rmtree(target, ignore_errors=True)
            os.rename(self.copy, target)
            self.ensemble.let_up(self.member)
        else:
            shutil.rmtree(self.copy, ignore_errors=True)
            self.happened = False

    def ledger(self):
        """The highest zxid that the daemon knows this member to have acknowledged."""
        try:
            with open(os.path.join(self.ensemble.state, "ledger.json")) as file:
                return next(entry["zxid"] for entry in json.load(file)["entries"] if entry["id"] == self.member)
        except (OSError, ValueError, StopIteration):
            return 0

    def __str__(self):
        return f"rollback of {self.member}" + ("" if self.happened else " left out: the ledger is behind")


class Fill(DiskFault):
    """The member's disk is full, for longer than the room that a log file has set aside lasts."""
    kind = "fill"
    seconds = 10.0

    def choose(self):
        self.member = self.random.choice(MEMBERS)

    def begin(self):
        self.filler = os.path.join(self.ensemble.disks[self.member], "filler")
        self.during()

    def during(self):
        """Each death of the member leaves a little room, with which it lives a little longer."""
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def end(self):
        os.unlink(self.filler)


KINDS = {fault.kind: fault for fault in (
    Kill, Off, Stop, Cut, OneWay, Slow, Loss, Unplug, Daemon, Clock, Roll, Backup, Lose, Corrupt, Rollback, Fill)}


class Round:
    """Some faults at a time, each drawn from the seed, and how they went."""

    def __init__(self, ensemble, history, random, kinds):
        self.ensemble, self.network, self.history, self.random = ensemble, ensemble.network, history, random
        self.held = set()
        self.faults = []
        wanted = random.choice((1, 1, 2, 2, 2, 3, 3, 4))
        drawn = [random.choice(kinds) for _ in range(wanted)]
        for kind in drawn:
            if self.allows(KINDS[kind]):
                self.faults.append(KINDS[kind](self))
        longest = max(fault.seconds for fault in self.faults)
        self.seconds = max(longest, random.choice((0.5, 2, 4, 8, 15)) * random.uniform(0.5, 1))

    def allows(self, kind):
        present = {type(fault) for fault in self.faults}
        if kind in present:
            return False
        if kind.touches_disk and any(fault.touches_disk for fault in present):
            return False
        # The ledger must go on between the copy and the rollback.
        return not ({kind} | present >= {Rollback, Daemon} or {kind} | present >= {Rollback, Clock})

    def hold(self, member):
        """The member drawn, or another one if a fault of this round holds that down already."""
        member = next(other for other in (member, *MEMBERS) if other not in self.held)
        self.held.add(member)
        return member

    def run(self):
        begun = []
        try:
            for fault in self.faults:
                time.sleep(self.random.uniform(0, 0.7))
                begun.append(fault)
                fault.begin()
            deadline = time.monotonic() + self.seconds
            while time.monotonic() < deadline:
                for fault in begun:
                    fault.during()
                time.sleep(0.2)
        finally:
            self.network.heal()
            for fault in self.random.sample(begun, len(begun)):
                fault.end()

    def __str__(self):
        return ", ".join(map(str, self.faults))
