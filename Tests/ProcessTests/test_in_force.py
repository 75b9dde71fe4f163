"""What runs is what was last applied; the file is a wish (S12)."""
import os
import shutil
import signal
import time
import unittest

import daemon
from stream import HAS_KAZOO, Stream


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class InForceCase(unittest.TestCase):
    def setUp(self):
        reason = daemon.missing()
        if reason:
            self.skipTest(reason)
        self.daemon = daemon.Daemon()
        self.addCleanup(self.daemon.close)
        self.daemon.start().wait_whole()
        self.stream = Stream(self.daemon.hosts).start()
        self.addCleanup(self.stream.stop)
        with open(self.daemon.manifest) as file:
            self.text = file.read()

    def declare(self, text):
        with open(self.daemon.manifest, "w") as file:
            file.write(text)

    def pids(self):
        return {member["id"]: member.get("pid") for member in self.daemon.wait_status()["members"]}

    def alone(self):
        return "".join(line for line in self.text.splitlines(True) if "id: 2," not in line and "id: 3," not in line)


class InForce(InForceCase):
    def test_a_restart_of_the_daemon_does_not_cut_the_ensemble(self):
        """Member 1 once served alone beside 2 and 3, which nobody watched: both histories acknowledged writes."""
        before = self.pids()
        self.declare(self.alone())
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.pids(), before, self.daemon.explain())
        self.assertIn("not applied", self.daemon.events())
        self.daemon.signal_member(1, signal.SIGKILL)
        view = self.daemon.wait_renewed({1: before[1]}, 60)
        self.assertEqual([member["id"] for member in view["members"]], [1, 2, 3])
        with open(self.daemon.configuration(1)) as file:
            self.assertEqual(file.read().count("server."), 3)
        self.assertTrue(self.stream.flows())
        # With its state gone as well there is only the file, and what the members were started as.
        self.daemon.kill()
        shutil.move(self.daemon.state, self.daemon.state + ".gone")
        self.daemon.start()
        self.assertEqual(self.daemon.process.wait(30), 78, self.daemon.explain())
        self.daemon.process = None
        with open(self.daemon.log) as file:
            self.assertIn("was last started as one of 1, 2, 3", file.read())
        self.declare(self.text)
        self.daemon.start().wait_whole()

    def test_a_restart_applies_no_edit_and_a_reload_does(self):
        before = self.pids()
        self.declare(self.text.replace("settings:\n", "settings:\n  maxClientCnxns: 77\n"))
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.pids(), before, self.daemon.explain())
        time.sleep(5)
        self.assertEqual(self.pids(), before, "nobody asked for a restart of the members")
        self.assertIn("a reload applies it", self.daemon.events())
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_renewed(before, 120)
        with open(self.daemon.configuration(1)) as file:
            self.assertIn("maxClientCnxns=77", file.read())

    def test_a_file_with_mistakes_keeps_no_daemon_from_its_members(self):
        before = self.pids()
        self.declare("cluster: [")
        self.daemon.kill()
        self.daemon.start()
        self.daemon.signal_member(2, signal.SIGKILL)
        self.daemon.wait_renewed({2: before[2]}, 60)
        self.assertIn("not applied", self.daemon.events())


if __name__ == "__main__":
    unittest.main()
