"""A disk that hangs stops what needs it, by name, and nothing else."""
import os
import signal
import subprocess
import time
import unittest

import daemon
import hanging
from stream import HAS_KAZOO, Stream


@unittest.skipIf(hanging.why_not(), hanging.why_not())
class HangingDisks(unittest.TestCase):
    def begin(self):
        reason = daemon.missing()
        if reason:
            self.skipTest(reason)
        # No backup's barrier writes where a test has frozen.
        self.daemon = daemon.Daemon(schedule="every 1h")
        self.addCleanup(self.daemon.close)

    def held(self):
        return " ".join(f"{hold['what']}: {hold['missingCondition']}" for hold in self.daemon.wait_status()["held"])

    def freeze_member_1(self):
        """Everything of member 1 is on a file system of its own, the configuration that its launch writes as well."""
        disk = hanging.FrozenDisk(os.path.join(self.daemon.data, "members", "1"), os.path.join(self.daemon.directory, "disk"))
        self.addCleanup(disk.close)
        return disk

    def test_a_launch_that_hangs_keeps_no_other_member_down(self):
        """Issue 9, B4: launches were awaited in the turn"""
        self.begin()
        disk = self.freeze_member_1()
        self.daemon.start().wait_whole()
        other = next(i for i in (2, 3) if i != self.daemon.leader())
        disk.freeze()
        self.daemon.signal_member(1, signal.SIGKILL)
        daemon.wait_for("the hang is named", lambda: "the files of member 1 don't answer" in self.held(), 30, self.daemon.explain)
        before = self.daemon.member(other)["pid"]
        self.daemon.signal_member(other, signal.SIGKILL)

        def is_back():
            member = self.daemon.member(other)
            return member["participates"] and member.get("pid") not in (None, before)
        daemon.wait_for(f"member {other} is back", is_back, 30, self.daemon.explain)
        asked = time.monotonic()
        self.assertIsNotNone(self.daemon.status())
        self.assertLess(time.monotonic() - asked, 5, "it answers meanwhile")
        disk.thaw()
        self.daemon.wait_whole(60)
        self.assertNotIn("don't answer", self.held())

    def test_a_stop_that_meets_a_launch_that_hangs(self):
        """S3: no server comes to be behind the daemon's end, and a person's stop takes hold of one that comes late"""
        self.begin()
        disk = self.freeze_member_1()
        self.daemon.start().wait_whole()
        disk.freeze()
        self.daemon.signal_member(1, signal.SIGKILL)
        daemon.wait_for("its launch hangs", lambda: "the files of member 1 don't answer" in self.held(), 30, self.daemon.explain)
        subprocess.Popen([daemon.binary("ensemblectl"), "stop", "1", "--socket", self.daemon.socket],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        disk.thaw()
        daemon.wait_for("it is stopped", lambda: self.daemon.member(1)["state"] == "stopped", 30, self.daemon.explain)
        self.assertIsNone(self.daemon.pid(1))
        disk.freeze()
        # The daemon ends, whatever hangs; what it had begun to launch does not come to be.
        self.daemon.ask("start", "1", "--no-wait", within=30)
        time.sleep(1)
        self.daemon.process.terminate()
        time.sleep(15)
        disk.thaw()
        self.assertEqual(self.daemon.process.wait(60), 0)
        self.daemon.process = None
        self.assertIsNone(self.daemon.pid(1))

    @unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
    def test_a_member_whose_log_hangs_keeps_no_other_member_down(self):
        self.begin()
        disk = self.freeze_member_1()
        self.daemon.start().wait_whole()
        stream = Stream(self.daemon.hosts).start()
        self.addCleanup(stream.stop)
        daemon.wait_for("the stream flows", stream.flows, 30)
        leader = self.daemon.leader()
        disk.freeze()
        daemon.wait_for("the others serve on", stream.flows, 60, self.daemon.explain)
        other = next(i for i in (2, 3) if i != leader)
        self.daemon.signal_member(other, signal.SIGKILL)
        daemon.wait_for(f"member {other} is back", lambda: self.daemon.member(other)["participates"], 60, self.daemon.explain)
        daemon.wait_for("the stream flows", stream.flows, 60, self.daemon.explain)
        disk.thaw()
        self.daemon.wait_whole(120)
        stream.stop()

    def test_an_archive_that_hangs_keeps_no_member_down(self):
        """Issue 9, B5, B26: eight requests took the threads on which dead members' directories are looked at"""
        self.begin()
        self.daemon.start().wait_whole()
        self.assertEqual(self.daemon.ask("backup", "create", within=60).returncode, 0)
        mount = hanging.DeadMount(self.daemon.archive)
        self.addCleanup(mount.close)
        lists = [subprocess.Popen([daemon.binary("ensemblectl"), "backup", "list", "--socket", self.daemon.socket],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(12)]
        time.sleep(1)
        for identity in (1, 2, 3):
            before = self.daemon.member(identity)["pid"]
            self.daemon.signal_member(identity, signal.SIGKILL)

            def is_back():
                member = self.daemon.member(identity)
                return member["participates"] and member.get("pid") not in (None, before)
            daemon.wait_for(f"member {identity} is back", is_back, 60, self.daemon.explain)
        for listing in lists:
            said = listing.communicate(timeout=30)[0]
            self.assertNotEqual(listing.returncode, 0, said)
            self.assertIn("has been under way for", said)
        self.assertIn("catalog", self.held())
        # Its end doesn't hang with it, and the next daemon takes over.
        before = {member["id"]: member["pid"] for member in self.daemon.wait_status()["members"]}
        self.daemon.kill()
        self.daemon.start()
        daemon.wait_for("the next one has them", lambda: all(
            member.get("pid") == before[member["id"]] for member in self.daemon.wait_status()["members"]), 30, self.daemon.explain)
        self.daemon.process.terminate()
        self.assertEqual(self.daemon.process.wait(60), 0, self.daemon.explain())
        self.daemon.process = None
        self.assertEqual(self.daemon.member_processes(), {})

    def test_a_first_start_with_an_archive_that_hangs_is_tried_again(self):
        """S10, issue 9, B26: there was neither a socket nor a line"""
        self.begin()
        mount = hanging.DeadMount(self.daemon.archive)
        self.addCleanup(mount.close)
        self.daemon.start()
        self.assertEqual(self.daemon.process.wait(60), 71)
        self.daemon.process = None
        with open(self.daemon.log) as file:
            self.assertIn("does not answer", file.read())
        mount.close()
        self.daemon.start().wait_whole()


if __name__ == "__main__":
    unittest.main()
