"""Disks that lie and disks that are full: the member is reseeded or waits, the others serve, nothing acknowledged is lost."""
import os
import shutil
import signal
import subprocess
import time
import unittest

import daemon
from scenario import MEMBERS, ROUNDS, Scenario


class Damage(Scenario):
    options = {"settings": "  snapCount: 400"}

    def setUp(self):
        super().setUp()
        self.daemon.wait_backup()

    def files(self, member, kind):
        folder = os.path.join(self.daemon.member_directory(member), "version-2")
        return sorted((os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(kind + ".")),
                      key=lambda path: int(path.rsplit(".", 1)[1], 16))

    def flip(self, file, place):
        """One bit, somewhere in the part of the file that is written (a log ends in preallocated zeros)."""
        with open(file, "r+b") as opened:
            used = len(opened.read().rstrip(b"\0"))
            offset = place(used)
            opened.seek(offset)
            byte = opened.read(1)[0]
            opened.seek(offset)
            opened.write(bytes([byte ^ (1 << self.random.randrange(8))]))
        return offset

    def damage(self, kind, which, place):
        """Kills a member, flips a bit of one of its files before it is started again, and waits until it is whole."""
        member = self.random.choice(MEMBERS)

        def flip():
            self.daemon.hold_down(member)
            daemon.wait_for("it is dead", lambda: not self.daemon.pid(member), 10)
            files = self.files(member, kind)
            self.flip(files[which if -len(files) <= which else 0], place)
            self.daemon.let_up(member)
        self.disturb(flip, [member])

    def test_bit_flip_in_the_log(self):
        """S1 S2 S6: an entry in the middle of what was acknowledged; not to be taken for an interrupted write"""
        for _ in range(ROUNDS):
            self.damage("log", -1, lambda used: self.random.randrange(100, max(101, used * 3 // 4)))
        # S6: what was replaced is kept, with the reason beside it.
        kept = [name for _, _, names in os.walk(os.path.join(self.daemon.data, "quarantine")) for name in names]
        self.assertTrue(any(name.startswith("log.") for name in kept), kept)
        self.assertTrue(any("reason" in name for name in kept), kept)
        self.check()

    def test_directory_lost_between_the_look_and_the_start(self):
        """S2: the daemon found it whole, and the server finds nothing: it doesn't begin with that"""
        for part, said in (("", "/myid is missing"), ("/version-2", "looked at before this start")):
            self.lose_at_start(self.random.choice(MEMBERS), part)
            self.assertIn(said, self.daemon.events(), self.daemon.explain())
        self.check()

    def test_bit_flip_at_the_logs_end(self):
        """S2: what looks like an interrupted write was acknowledged; the ledger, or the leader, knows better"""
        for _ in range(ROUNDS):
            self.damage("log", -1, lambda used: used - 8)
        self.check()

    def test_bit_flip_in_the_snapshot(self):
        """S1: an older snapshot and the logs after it make up for it, or a reseed does"""
        for _ in range(ROUNDS):
            self.damage("snapshot", -1, lambda used: self.random.randrange(20, used))
        self.check()

    def test_truncated_log(self):
        """S1 S2"""
        member = self.random.choice(MEMBERS)

        def cut():
            self.daemon.hold_down(member)
            daemon.wait_for("it is dead", lambda: not self.daemon.pid(member), 10)
            with open(self.files(member, "log")[-1], "r+b") as file:
                file.truncate(0)
            self.daemon.let_up(member)
        self.disturb(cut, [member])
        self.check()


class ApacheLoss(Scenario):
    engine = daemon.APACHE

    def test_directory_lost_between_the_look_and_the_start(self):
        """S2: it ends without the `myid` that was written right before, which is no mistake of a person's"""
        self.daemon.wait_backup()
        self.lose_at_start(self.random.choice(MEMBERS))
        self.assertIn("myid file is missing", self.daemon.events(), self.daemon.explain())
        self.check()


class FullDisk(Scenario):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("a small file system of its own needs root")

    def setUp(self):
        place = daemon.tempfile.mkdtemp(prefix="ensembled-disk-")
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", place], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest(f"no file system can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=True)
        self.place = place
        self.member = 2
        # Snapshots often, so that new log files are needed and the preallocated room of one is soon used up.
        self.options = {"places": {self.member: os.path.join(place, "data")}, "settings": "  snapCount: 200"}
        super().setUp()

    def fill(self):
        with open(os.path.join(self.place, "filler"), "ab", buffering=0) as file:
            chunk = bytes(1 << 16)
            try:
                while True:
                    file.write(chunk)
            except OSError:
                pass

    def test_full_disk(self):
        """S1: the member ends rather than acknowledge what it did not write, and comes back when there is room"""
        first = self.pids()[self.member]
        self.fill()
        daemon.wait_for("the member ended", lambda: (self.fill(), self.daemon.pid(self.member) != first)[1], 90, self.daemon.explain)
        # Each death leaves a little room, with which the member lives a little longer: it is taken again and again.
        for _ in range(60):
            self.fill()
            time.sleep(0.1)
        self.assertTrue(self.stream.flows(), "the other two are a quorum")
        self.assertIn("No space left", self.daemon.events(), "it ended for another reason")
        os.unlink(os.path.join(self.place, "filler"))
        begun = time.monotonic()
        self.daemon.wait_whole()
        self.times_whole.append(time.monotonic() - begun)
        self.check()


if __name__ == "__main__":
    unittest.main()
