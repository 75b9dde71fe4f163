"""S1 and S9 on built programs: whatever dies, under a steady stream of writes, nothing acknowledged is lost, and the
ensemble is whole again without help."""
import signal
import time
import unittest

from scenario import MEMBERS, QUICK, ROUNDS, Scenario


class Faults(Scenario):
    def each(self, what):
        """`what` on every member in turn, the ensemble whole in between, several rounds."""
        for _ in range(ROUNDS):
            for member in self.random.sample(MEMBERS, 3):
                self.disturb(lambda: what(member), [member])
        self.check()

    def each_while_killing_daemon(self, what):
        for _ in range(ROUNDS):
            for member in self.random.sample(MEMBERS, 2 if QUICK else 3):
                self.while_killing_daemon(lambda: what(member), [member])
        self.check()

    def kill(self, member):
        self.daemon.signal_member(member, signal.SIGKILL)

    def freeze(self, member):
        """Alive, but it answers nothing. The daemon has to find out and replace it."""
        self.daemon.signal_member(member, signal.SIGSTOP)

    def lose(self, member):
        self.daemon.lose_data(member)

    def test_kill_9_of_each_member(self):
        """S1"""
        self.each(self.kill)

    def test_sigstop_of_each_member(self):
        """S1: alive is not answering"""
        self.each(self.freeze)

    def test_loss_of_each_data_directory(self):
        """S1 S2 S3 S6: fenced, its remains in quarantine, back from a backup without a vote until synced"""
        self.daemon.wait_backup()
        self.each(self.lose)

    def test_rolling_restart(self):
        """S4 S5: at most one member is away at a time"""
        for _ in range(ROUNDS):
            def roll():
                done = self.daemon.ask("restart", "--rolling", within=180)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.disturb(roll, MEMBERS)
        self.check()

    def test_the_daemons_death_harms_no_member(self):
        """S9: the next daemon adopts the members"""
        for _ in range(ROUNDS):
            before = self.pids()
            self.daemon.kill()
            self.assertTrue(self.stream.flows(), "writes stopped with the daemon")
            self.daemon.start().wait_whole()
            self.assertEqual(before, self.pids(), "the members were not adopted")
        self.check()

    def test_kill_9_of_members_and_daemon(self):
        """S1 S9"""
        self.each_while_killing_daemon(self.kill)

    def test_sigstop_of_members_and_kill_9_of_daemon(self):
        """S1 S9"""
        self.each_while_killing_daemon(self.freeze)

    def test_loss_of_data_and_kill_9_of_daemon(self):
        """S1 S2 S3 S9"""
        self.daemon.wait_backup()
        self.each_while_killing_daemon(self.lose)

    def test_rolling_restart_and_kill_9_of_daemon(self):
        """S4 S5 S9: what was answered as begun is finished by the next daemon"""
        for _ in range(2 * ROUNDS):
            before = self.pids()
            begun = time.monotonic()
            done = self.daemon.ask("restart", "--rolling", "--no-wait")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            time.sleep(self.random.uniform(0, 8))
            self.daemon.kill()
            time.sleep(self.random.uniform(0, 0.5))
            self.daemon.start().wait_renewed(before)
            self.times_whole.append(time.monotonic() - begun)
        self.check()

    def test_sigterm_ends_members_in_order(self):
        self.stream.stop()
        self.daemon.process.terminate()
        self.daemon.process.wait(60)
        self.assertEqual(self.daemon.process.returncode, 0)
        self.daemon.process = None
        self.assertEqual(list(self.daemon.member_processes()), [])
        self.daemon.start().wait_whole()
        self.assertEqual(self.stream.lost(), [])
        self.say(0)


if __name__ == "__main__":
    unittest.main()
