"""Two daemons with two state directories and the same members: the directories are one's (issue 9, B16)."""
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

import daemon


class TwoDaemonsCase(unittest.TestCase):
    engine = daemon.BUNDLED

    def setUp(self):
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)
        self.cluster = daemon.Daemon(self.engine)
        self.addCleanup(self.cluster.close)

    def other(self):
        """A second daemon over the same manifest, with a state of its own"""
        state = os.path.join(self.cluster.directory, "other-state")
        process = subprocess.Popen(
            [daemon.binary("ensembled"), "run", "--manifest", self.cluster.manifest, "--state-dir", state, "--socket",
             os.path.join(self.cluster.directory, "other.sock")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.addCleanup(process.kill)
        return process

    def test_the_second_is_refused(self):
        cluster = self.cluster
        cluster.start().wait_whole()
        pids = [cluster.pid(i) for i in (1, 2, 3)]
        second = self.other()
        said, _ = second.communicate(timeout=20)
        self.assertEqual(second.returncode, 75, said)
        self.assertIn(f"another daemon runs it: process {cluster.process.pid}", said)
        # A member that died is the first one's to start.
        cluster.signal_member(2, signal.SIGKILL)
        daemon.wait_for("the next server", lambda: cluster.pid(2) not in (None, pids[1]), 30, cluster.explain)
        cluster.wait_whole()

    def test_a_claim_goes_with_its_daemon(self):
        """Killed, it keeps nobody from adopting what it left, itself not either; and then the directories are the other one's"""
        cluster = self.cluster
        cluster.start().wait_whole()
        cluster.kill()
        second = self.other()
        time.sleep(3)
        self.assertIsNone(second.poll(), "nobody has the directories")
        cluster.start()
        self.assertEqual(cluster.process.wait(20), 75)
        second.kill()
        second.wait()
        cluster.start().wait_whole()

    def test_a_directory_that_was_brought_back_is_claimed(self):
        """A reseed makes another directory of it"""
        cluster = self.cluster
        cluster.start().wait_whole()
        cluster.wait_backup()
        cluster.lose_data(2)
        cluster.wait_whole()
        second = self.other()
        said, _ = second.communicate(timeout=20)
        self.assertEqual(second.returncode, 75, said)
        # The first that is looked at is the first one's, and that says nothing of the second: it alone is asked for.
        found = os.stat(cluster.member_directory(2))
        name = f"\0ensembled-{found.st_dev:x}-{found.st_ino:x}"
        with self.assertRaises(OSError):
            socket.socket(socket.AF_UNIX).bind(name)

    @unittest.skipIf(os.geteuid() != 0, "needs another user")
    def test_a_stranger_keeps_nobody_from_anything(self):
        """Anybody may take a name in the kernel"""
        cluster = self.cluster
        cluster.start().wait_whole()
        names = [os.stat(cluster.member_directory(i)) for i in (1, 2, 3)]
        cluster.kill()
        script = "import socket, sys, time\nheld = []\nfor name in sys.argv[1:]:\n    s = socket.socket(socket.AF_UNIX)\n" \
            "    s.bind('\\0' + name)\n    s.listen(1)\n    held.append(s)\nprint('held', flush=True)\ntime.sleep(60)\n"
        stranger = subprocess.Popen(
            [sys.executable, "-c", script] + [f"ensembled-{it.st_dev:x}-{it.st_ino:x}" for it in names], user=65534,
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(stranger.kill)
        self.assertEqual(stranger.stdout.readline().strip(), "held")
        cluster.start().wait_whole()


class TwoDaemons(TwoDaemonsCase):
    pass


class TwoDaemonsOfApache(TwoDaemonsCase):
    engine = daemon.APACHE


if __name__ == "__main__":
    unittest.main()
