"""What the fault tests share: a cluster under load, disturbances of it, and the two questions asked afterwards: is it
whole again without help (S9, S10), and is every acknowledged write on every member (S1)."""
import os
import random
import signal
import threading
import time
import unittest

import daemon
from stream import HAS_KAZOO, Stream

QUICK = bool(os.environ.get("QUICK"))
ROUNDS = 1 if QUICK else 3
MEMBERS = (1, 2, 3)


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class Scenario(unittest.TestCase):
    engine = daemon.BUNDLED
    options = {}

    def setUp(self):
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)
        self.seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
        self.random = random.Random(self.seed)
        self.times_whole = []
        self.daemon = daemon.Daemon(self.engine, **self.options)
        self.addCleanup(self.daemon.close)
        self.daemon.start().wait_whole()
        self.stream = Stream(self.daemon.hosts).start()
        self.addCleanup(self.stream.stop)
        self.assertTrue(self.stream.flows(), self.daemon.explain())
        self.stream.begin_measuring()
        self.begun = time.monotonic()

    # What is disturbed. Each returns once the disturbance is over, for the process that the member then was.

    def pids(self):
        return {member["id"]: member.get("pid") for member in self.daemon.wait_status()["members"]}

    def disturb(self, what, members, within=120):
        """Runs `what`, then waits until the ensemble is whole with other processes for `members`."""
        before = self.pids()
        begun = time.monotonic()
        what()
        view = self.daemon.wait_renewed({member: before[member] for member in members}, within)
        self.times_whole.append(time.monotonic() - begun)
        return view

    def lose_at_start(self, member, part=""):
        """Kills a member; its directory, or a part of it, goes between the daemon's look at it and the new process's start."""
        with open(self.daemon.configuration(member) + ".environment", "w") as file:
            # What the launcher reads before it becomes the server.
            file.write(f'rm -rf "{self.daemon.member_directory(member)}{part}"\nrm "$last.environment"\n')
        self.disturb(lambda: self.daemon.signal_member(member, signal.SIGKILL), [member])

    def back_up(self):
        """A verified backup of all that was acknowledged so far; gives its id."""
        wanted = Stream.client(self.daemon.hosts)
        wanted.ensure_path("/stream")
        zxid = wanted.exists("/stream").pzxid
        Stream.close(wanted)

        def backup():
            # Refused while a scheduled one is under way.
            self.daemon.ask("backup", "create", within=120)
            return next((b["id"] for b in self.daemon.backups() if b.get("verifiedAt") and int(b["lastZxid"], 16) >= zxid), None)
        return daemon.wait_for("a backup", backup, 60, self.daemon.explain)

    # The two questions

    def check(self):
        """Whole again, writes flow, and every acknowledged one is on every member (S1)."""
        self.daemon.wait_whole()
        self.assertTrue(self.stream.flows(), self.daemon.explain())
        gap = self.stream.gap
        self.stream.stop()
        self.assertGreater(self.stream.count, 20)
        lost = self.stream.lost()
        self.assertEqual(
            lost[:10], [],
            f"{len(lost)} of {self.stream.count} acknowledged writes are lost; SEED={self.seed}\n{self.daemon.explain()}")
        self.say(gap)

    def say(self, gap):
        whole = "whole again within " + (
            f"{max(self.times_whole):.1f} s ({len(self.times_whole)} times), " if self.times_whole else "0 s, ")
        print(f"\n    {whole}longest gap {gap:.2f} s, {self.stream.count} writes acknowledged and kept, "
              f"{self.stream.unknown} unanswered, {time.monotonic() - self.begun:.0f} s, SEED={self.seed} ", end="", flush=True)

    def hold_of(self, what, condition, within=60):
        """Waits until `status` says that something waits, for a reason that contains `condition`."""
        def held():
            view = self.daemon.status()
            return view and next((h for h in view["held"] if condition in h["missingCondition"]), None)
        return daemon.wait_for(f"{what}: status names '{condition}'", held, within, self.daemon.explain)

    def while_killing_daemon(self, what, members, until=3.0):
        """S9: the daemon dies at a random moment of whatever it does about `what`; the next one finishes it."""
        before = self.pids()
        begun = time.monotonic()
        worker = threading.Thread(target=what)
        worker.start()
        time.sleep(self.random.uniform(0, until))
        self.daemon.kill()
        worker.join(60)
        time.sleep(self.random.uniform(0, 0.5))
        self.daemon.start().wait_renewed({member: before[member] for member in members})
        self.times_whole.append(time.monotonic() - begun)
