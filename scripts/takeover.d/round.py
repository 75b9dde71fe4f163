"""One round: an ensemble of Apache's servers with a history, ours on their directories, and theirs on ours again."""
import collections
import os
import random
import re
import time

import files
import servers
import trees
from servers import APACHE, OURS
from writers import Ledger, Plan, Writer

# Apache's server brings up by DIFF who lacks fewer than this many transactions, from memory.
COMMITTED_LOG = 500
LAST = "Apache's again"
WRITERS = 3
MISMATCH = re.compile(r"differs from the leader's|[Dd]igest.*(mismatch|not match|the leader's|announced|wrong)")

MISMATCHES = re.compile(r"^zk_digest_mismatches_count\t(\d+)", re.MULTILINE)


class Violation(Exception):
    pass


class ApacheErred(Exception):
    """Before any of ours had a part in it: the round says nothing about ours."""


class Round:
    """Everything is drawn from the seed but what processes and sockets do with it."""

    def __init__(self, seed, say):
        self.seed, self.say, self.random = seed, say, random.Random(seed)
        draw = self.random
        count = draw.choice((3, 3, 5))
        snap_count = draw.choice((30, 100, 400, 100_000))
        java = [*servers.JAVA, "-Dzookeeper.preAllocSize=4096", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        without_log = draw.random() < 0.7
        if without_log:
            # No DIFF from the log on disk: SNAP for who was away for long.
            java.append("-Dzookeeper.snapshotSizeFactor=-1")
        self.plan = Plan(containers_by_create=draw.random() < 0.35, large_values=draw.random() < 0.3,
                         depth=draw.choice((1, 8, 32)), continues_xids=draw.random() < 0.5)
        self.say(f"{count} members, snapCount {snap_count}, {'SNAP beyond ' + str(COMMITTED_LOG) if without_log else 'DIFF from logs too'}"
                 f"{', containers by create' if self.plan.containers_by_create else ''}"
                 f"{', large values' if self.plan.large_values else ''}, {self.plan.depth} on their way")
        self.ensemble = servers.Ensemble([APACHE] * count, f"snapCount={snap_count}\n", java=java)
        self.servers = self.ensemble.servers
        self.quorum = count // 2 + 1
        self.away = []
        self.counts = collections.Counter()
        self.ledger = Ledger()
        self.writers = [Writer(number, seed, self.plan, self.ledger, [server.port for server in self.servers])
                        for number in range(WRITERS)]

    @property
    def alive(self):
        return [server for server in self.servers if server not in self.away]

    def name(self, server):
        return f"{server.identity} ({server.kind})"

    # The round

    def run(self):
        self.ensemble.start()
        for writer in self.writers:
            writer.start()
        try:
            self.write(20)
            for _ in range(self.random.randint(2, 5)):
                self.move()
            self.check("Apache's, before")
        except Violation as violation:
            raise ApacheErred(str(violation)) from None
        self.change(OURS)
        self.check("all ours")
        for _ in range(self.random.randint(1, 3)):
            self.move()
        self.check("ours led")
        self.change(APACHE)
        for writer in self.writers:
            writer.end()
        self.check(LAST)
        for server in self.servers:
            server.kill()
        self.compare_logs()

    def change(self, kind):
        """Member by member, the leader at any time; who is away is changed where it lies."""
        order = list(self.servers)
        self.random.shuffle(order)
        if self.random.random() < 0.6:
            # Who was away longest then meets a leader of the new kind.
            order.sort(key=lambda server: server in self.away)
        for server in order:
            if self.random.random() < 0.25:
                self.move(among=[other for other in self.alive if other is not server])
            if server not in self.away:
                self.end(server, crash=self.random.random() < 0.5)
                if len(self.alive) > self.quorum:
                    self.write(self.random.choice((0, 5, 50)))
            else:
                if self.random.random() < 0.5:
                    self.elect(self.alive)
                self.away.remove(server)
            if kind == OURS:
                self.look_at_apaches_log(server)
            elif files.was_synchronising(os.path.join(server.data, "version-2")):
                self.let_it_synchronise(server)
            self.say(f"{server.identity} becomes {kind}")
            server.kind = kind
            server.start()
            if len(self.alive) >= self.quorum and self.random.random() < 0.8:
                self.wait(server)
                self.write(self.random.choice((1, 20)))
        for server in self.alive:
            self.wait(server)

    def look_at_apaches_log(self, server):
        hole = files.missing(os.path.join(server.data, "version-2"))
        if hole:
            raise ApacheErred(f"the log of {self.name(server)} lacks what was between {hole[0]:x} and {hole[1]:x}")

    def let_it_synchronise(self, server):
        """Apache's server refuses a directory whose server was killed between the log that its leader sent and the leader's
        epoch ("the current epoch is older than the last zxid"), its own as well: who wrote it has to come to the end."""
        if len(self.alive) < self.quorum:
            raise ApacheErred(f"{self.name(server)} was killed while it synchronised, and there is no leader to end it with")
        self.say(f"{self.name(server)} ends its synchronisation first")
        server.start()
        self.wait(server)
        self.end(server, crash=False)

    # Moves

    def move(self, among=None):
        choices = ["write", "election", "election", "crash"]
        among = among if among is not None else self.alive
        if len(self.alive) > self.quorum and among:
            choices += ["leave"] * 4
        if len(self.alive) > self.quorum + 1 and len(among) > 2:
            choices += ["hole"] * 4
        if self.away:
            choices += ["return"] * 2
        choice = self.random.choice(choices)
        self.counts[choice] += 1
        getattr(self, "move_" + choice)(among)

    def move_write(self, among):
        self.write(self.random.choice((50, 700)))

    def move_leave(self, among):
        self.leave(self.random.choice(among), self.random.choice((10, 100, COMMITTED_LOG + 100, COMMITTED_LOG + 400)))

    def leave(self, server, count):
        self.end(server, crash=self.random.random() < 0.7)
        self.away.append(server)
        self.say(f"{self.name(server)} is away for {count} writes or more")
        self.write(count)

    def move_return(self, among):
        server = self.random.choice(self.away)
        self.come_back(server, at_election=self.random.random() < 0.4)

    def move_hole(self, among):
        """One is away, then another as well, for longer and until an election: the second's files lack what the first will need."""
        first, second = self.random.sample(among, 2)
        self.leave(first, 20)
        self.leave(second, COMMITTED_LOG + 400)
        self.come_back(second, at_election=True)

    def come_back(self, server, at_election):
        is_quiet = self.random.random() < 0.5
        self.say(f"{self.name(server)} is back{', while nobody writes' if is_quiet else ''}")
        if is_quiet:
            self.pause()
        self.away.remove(server)
        if at_election:
            # Brought up before the new epoch's first transaction: its snapshot then ends with the old epoch.
            for other in self.alive:
                other.kill()
            for other in self.alive:
                other.start()
        else:
            server.start()
        self.wait(server)
        self.resume()
        self.write(20)

    def move_election(self, among):
        self.elect(self.alive)

    def elect(self, among):
        leader = next((server for server in among if server.mode() == "leader"), None)
        if not leader:
            return
        self.say(f"the leader {self.name(leader)} is killed")
        leader.kill()
        if len(self.alive) - 1 >= self.quorum and self.random.random() < 0.6:
            self.write(self.random.choice((1, 30)))
        leader.start()
        if self.random.random() < 0.7:
            self.wait(leader)

    def move_crash(self, among):
        self.say("all are killed")
        alive = list(self.alive)
        for server in alive:
            server.kill()
        for server in alive:
            server.start()
        for server in alive:
            self.wait(server)

    def end(self, server, crash):
        self.say(f"{self.name(server)} is {'killed' if crash else 'stopped'}")
        server.kill() if crash else server.stop()

    def wait(self, server):
        try:
            servers.wait_for(f"{self.name(server)} serves", lambda: server.mode() or self.look(), 60)
        except AssertionError as failure:
            raise Violation(f"convergence: {failure}\n{self.tail(server)}") from None

    def write(self, count):
        """Until so many more were acknowledged, all writers together."""
        before = self.ledger.acknowledged
        deadline = time.monotonic() + 60
        while self.ledger.acknowledged < before + count:
            if time.monotonic() > deadline:
                raise Violation(f"convergence: {self.ledger.acknowledged - before} of {count} writes within 60 s")
            self.look()
            time.sleep(0.02)

    def look(self):
        if self.ledger.violations:
            raise Violation("\n".join(self.ledger.violations[:5]))
        for server in self.alive:
            if server.process and server.process.poll() is not None:
                raise Violation(f"soundness: {self.name(server)} ended by itself with {server.process.returncode}\n{self.tail(server)}")

    def tail(self, server):
        lines = [line for line in server.tail(40).splitlines() if not line.startswith("SLF4J")]
        return "\n".join(lines[-12:])

    # Judging

    def check(self, when):
        for server in self.alive:
            self.wait(server)
        self.pause()
        self.look()
        found = []
        # A session that expires between two readings makes them differ; the next pair then agrees.
        for _ in range(4):
            held = {self.name(server): self.read(server) for server in self.alive}
            found = self.judge(held)
            if not found:
                break
            time.sleep(1)
        if found:
            raise Violation("\n".join([f"at the check '{when}':", *found]))
        self.look()
        self.look_for_mismatches(when)
        nodes = len(next(iter(held.values())))
        self.say(f"checked {when}: {len(held)} members, {nodes} nodes, {self.ledger.acknowledged} acknowledged, {self.ledger.unknown} in doubt")
        self.resume()
        if when != LAST:
            self.look_for_rising_mismatches(when)

    def pause(self):
        """Nothing is on its way when this returns."""
        for writer in self.writers:
            writer.paused.set()
        for writer in self.writers:
            if not writer.idle.wait(40):
                raise Violation("convergence: a writer did not get an answer, or the end of its connection, in 40 s")

    def resume(self):
        for writer in self.writers:
            writer.paused.clear()

    def read(self, server):
        deadline = time.monotonic() + 30
        while True:
            try:
                return trees.read(server.port)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Violation(f"convergence: {self.name(server)} can't be read: {error}\n{self.tail(server)}") from None
                time.sleep(0.2)

    def judge(self, held):
        (first, tree), *others = held.items()
        found = []
        for name, other in others:
            if other != tree:
                found.append(f"equality: {first} and {name} hold different trees: {'; '.join(trees.differences(tree, other))}")
        for name, other in held.items():
            found += [f"durability: {text}" for text in self.ledger.judge(other, name)[:5]]
        return found

    def look_for_mismatches(self, when):
        """Where no request makes Apache's server announce a wrong digest, ours may not see one."""
        if self.plan.containers_by_create:
            return
        for server in self.servers:
            with open(server.log, errors="replace") as log:
                for line in log:
                    if MISMATCH.search(line):
                        raise Violation(f"digest: {self.name(server)} at '{when}': {line.strip()}")

    def look_for_rising_mismatches(self, when):
        """Apache's server of Debian logs nothing, but counts; while it completes a fuzzy snapshot it counts by mistake."""
        if self.plan.containers_by_create:
            return
        before = self.counted_mismatches()
        self.write(20)
        for name, count in self.counted_mismatches().items():
            if count > before.get(name, count):
                raise Violation(f"digest: {name} after '{when}' counted {before[name]} mismatches, and {count} some writes later")

    def counted_mismatches(self):
        found = {}
        for server in self.alive:
            if counted := MISMATCHES.search(servers.word(server.port, "mntr") or ""):
                found[self.name(server)] = int(counted[1])
        return found

    def compare_logs(self):
        """One transaction number names one transaction, on whatever disk."""
        seen = {}
        for server in self.servers:
            for entry in files.log_entries(os.path.join(server.data, "version-2")):
                other, place = seen.setdefault(entry.zxid, (entry.checksum, f"{server.identity}/{entry.file}"))
                if other != entry.checksum:
                    raise Violation(f"equality: {entry.zxid:x} is another entry in {place} than in {server.identity}/{entry.file}")

    def close(self, keep):
        for writer in self.writers:
            writer.ending.set()
            writer.paused.clear()
        for server in self.servers:
            server.kill()
        if not keep:
            self.ensemble.close()
