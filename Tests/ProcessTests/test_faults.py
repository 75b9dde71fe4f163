"""S1 and S9 on built programs: whatever dies, under a steady stream of writes, nothing acknowledged is lost, and the
ensemble is whole again without help."""
import os
import random
import signal
import threading
import time
import unittest

import daemon
from stream import HAS_KAZOO, Stream

ROUNDS = 1 if os.environ.get("QUICK") else 3


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class Faults(unittest.TestCase):
    engine = daemon.BUNDLED

    def setUp(self):
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
        self.random = random.Random(self.seed)
        self.daemon = daemon.Daemon(self.engine)
        self.addCleanup(self.daemon.close)
        self.daemon.start().wait_whole()
        self.stream = Stream(self.daemon.hosts).start()
        self.addCleanup(self.stream.stop)
        self.assertTrue(self.stream.flows())

    def check(self):
        """Whole again, writes flow, and every acknowledged one is on every member."""
        self.daemon.wait_whole()
        self.assertTrue(self.stream.flows(), self.daemon.explain())
        self.stream.stop()
        self.assertGreater(self.stream.count, 20)
        lost = self.stream.lost()
        self.assertEqual(lost[:10], [], f"{len(lost)} of {self.stream.count} acknowledged writes are lost; SEED={self.seed}")

    def each(self, disturb):
        """`disturb` on every member in turn, the ensemble whole in between, several rounds."""
        for _ in range(ROUNDS):
            for member in self.random.sample((1, 2, 3), 3):
                disturb(member)
                self.daemon.wait_whole()
        self.check()

    def with_daemon_killed(self, disturb):
        """S9: the daemon dies at a random moment of whatever it does about the disturbance; the next one finishes."""
        for _ in range(ROUNDS):
            for member in self.random.sample((1, 2, 3), 3):
                worker = threading.Thread(target=disturb, args=(member,))
                worker.start()
                time.sleep(self.random.uniform(0, 3))
                self.daemon.kill()
                worker.join(60)
                time.sleep(self.random.uniform(0, 0.5))
                self.daemon.start().wait_whole()
        self.check()

    def kill_member(self, member):
        self.daemon.signal_member(member, signal.SIGKILL)
        time.sleep(0.5)

    def stop_member(self, member):
        """SIGSTOP: alive, but it answers nothing. The daemon has to find out and replace it."""
        self.daemon.signal_member(member, signal.SIGSTOP)
        time.sleep(1)

    def lose_data(self, member):
        self.daemon.wait_backup()
        self.daemon.lose_data(member)
        time.sleep(0.5)

    def roll(self, _):
        self.daemon.ask("restart", "--rolling", "--no-wait")

    def test_kill_9_of_each_member(self):
        self.each(self.kill_member)

    def test_sigstop_of_each_member(self):
        self.each(self.stop_member)

    def test_loss_of_each_data_directory(self):
        """S3, S6: the member is fenced, its remains go to quarantine, it comes back from a backup."""
        self.each(self.lose_data)

    def test_rolling_restart(self):
        """S4, S5: writes never stop for long, since at most one member is away at a time."""
        for _ in range(ROUNDS):
            before = {m["id"]: m["pid"] for m in self.daemon.wait_whole()["members"]}
            done = self.daemon.ask("restart", "--rolling", within=180)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            after = {m["id"]: m["pid"] for m in self.daemon.wait_whole()["members"]}
            for member in before:
                self.assertNotEqual(before[member], after[member], f"member {member} was not restarted")
        self.check()

    def test_the_daemons_death_harms_no_member(self):
        for _ in range(ROUNDS):
            before = {m["id"]: m["pid"] for m in self.daemon.wait_whole()["members"]}
            self.daemon.kill()
            self.assertTrue(self.stream.flows(), "writes stopped with the daemon")
            self.daemon.start()
            after = {m["id"]: m["pid"] for m in self.daemon.wait_whole()["members"]}
            self.assertEqual(before, after, "the members were not adopted")
        self.check()

    def test_kill_9_of_members_and_daemon(self):
        self.with_daemon_killed(self.kill_member)

    def test_sigstop_of_members_and_kill_9_of_daemon(self):
        self.with_daemon_killed(self.stop_member)

    def test_loss_of_data_and_kill_9_of_daemon(self):
        self.with_daemon_killed(self.lose_data)

    def test_rolling_restart_and_kill_9_of_daemon(self):
        self.with_daemon_killed(self.roll)

    def test_sigterm_ends_members_in_order(self):
        self.stream.stop()
        self.daemon.process.terminate()
        self.daemon.process.wait(60)
        self.assertEqual(self.daemon.process.returncode, 0)
        self.daemon.process = None
        self.assertEqual(list(self.daemon.member_processes()), [])
        self.daemon.start().wait_whole()
        self.assertEqual(self.stream.lost(), [])


if __name__ == "__main__":
    unittest.main()
