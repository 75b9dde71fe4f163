"""What a person no longer wants: it ends, everyone is whole, and what comes next is not stuck behind it (issue 9, B11, B36)."""
import subprocess
import time
import unittest

import daemon


class CancelCase(unittest.TestCase):
    engine = daemon.BUNDLED

    def setUp(self):
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)
        self.cluster = daemon.Daemon(self.engine)
        self.addCleanup(self.cluster.close)
        self.cluster.start().wait_whole()

    def asked(self):
        """The ids of what somebody asked for and is at work"""
        return [it["id"] for it in self.cluster.wait_status()["operations"] if it["id"]]

    def test_a_roll_that_stands_still(self):
        """A member does not come back, and all else waited behind the roll for ever"""
        cluster = self.cluster
        waiting = subprocess.Popen(
            [daemon.binary("ensemblectl"), "restart", "--rolling", "--socket", cluster.socket], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiting.kill)
        before = {i: cluster.pid(i) for i in (1, 2, 3)}
        victim = daemon.wait_for("a step", lambda: next((i for i in (1, 2, 3) if cluster.pid(i) != before[i]), None), 30, cluster.explain)
        cluster.hold_down(victim)
        time.sleep(3)
        self.assertEqual(cluster.ask("restart", str(victim), "--no-wait").returncode, 4, "the roll is at work")
        done = cluster.ask("cancel")
        self.assertEqual((done.returncode, done.stdout.startswith("cancelled by a person")), (0, True), done.stdout + done.stderr)
        _, said = waiting.communicate(timeout=10)
        self.assertEqual(waiting.returncode, 1)
        self.assertIn("cancelled by a person", said)
        self.assertEqual(self.asked(), [])
        # S4: another is not taken while that one is away.
        other = next(i for i in (1, 2, 3) if i != victim)
        served = cluster.pid(other)
        self.assertEqual(cluster.ask("restart", str(other), "--timeout", "3s").returncode, 4)
        cluster.let_up(victim)
        cluster.wait_whole()
        self.assertEqual(cluster.pid(other), served)
        self.assertEqual(cluster.ask("cancel").returncode, 5, "nothing is at work")
        self.assertEqual(cluster.ask("cancel", "op-1-1").returncode, 5, "nobody knows it")
        done = cluster.ask("restart", str(other))
        self.assertEqual(done.returncode, 0, done.stderr)
        cluster.wait_whole()

    def test_a_cold_backup(self):
        cluster = self.cluster
        for pause in (0, 0.2, 0.6):
            begun = cluster.ask("backup", "create", "--mode", "cold", "--no-wait")
            self.assertEqual(begun.returncode, 0, begun.stderr)
            time.sleep(pause)
            done = cluster.ask("cancel", begun.stdout.strip())
            # It may have ended by itself before.
            self.assertIn(done.returncode, (0, 1), done.stderr)
            cluster.wait_whole(60)

    def test_a_pause(self):
        """It outlives the daemon, holds back what is voluntary, and nothing else"""
        cluster = self.cluster
        done = cluster.ask("pause")
        self.assertEqual((done.returncode, done.stdout[:7]), (0, "paused "))
        refused = cluster.ask("restart", "1")
        self.assertEqual(refused.returncode, 4)
        self.assertIn("ensemblectl resume", refused.stderr)
        before = cluster.pid(1)
        cluster.kill()
        cluster.start().wait_whole()
        cluster.signal_member(1, 9)
        daemon.wait_for("the next server", lambda: cluster.pid(1) not in (None, before), 30, cluster.explain)
        cluster.wait_backup()
        self.assertIn("paused", cluster.ask("status").stdout)
        self.assertEqual(cluster.ask("restart", "1").returncode, 4)
        self.assertEqual(cluster.ask("resume").stdout, "not paused\n")
        cluster.wait_whole()
        done = cluster.ask("restart", "1")
        self.assertEqual(done.returncode, 0, done.stderr)


class Cancels(CancelCase):
    pass


class ApacheCancels(CancelCase):
    engine = daemon.APACHE


if __name__ == "__main__":
    unittest.main()
