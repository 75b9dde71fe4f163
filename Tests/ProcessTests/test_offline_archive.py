"""An archive without a daemon and without an ensemble: looked at, proved, and made a server's directory (issue 9, C)."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import daemon
from stream import HAS_KAZOO, Stream


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class OfflineArchive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """One archive, whose cluster is gone."""
        reason = daemon.missing()
        if reason:
            raise unittest.SkipTest(reason)
        cls.daemon = daemon.Daemon(schedule="every 1h")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.start().wait_whole()
        client = Stream.client(cls.daemon.hosts)
        client.ensure_path("/orders")
        cls.paths = [client.create(f"/orders/{number}", b"x" * 50) for number in range(200)]
        Stream.close(client)
        made = cls.daemon.ask("backup", "create")
        assert made.returncode == 0, made.stderr
        cls.backup = cls.daemon.backups()[0]["id"]
        cls.daemon.process.terminate()
        cls.daemon.process.wait(60)
        cls.daemon.process = None

    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix="offline-archive-")
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        self.archive = os.path.join(self.scratch, "archive")
        shutil.copytree(self.daemon.archive, self.archive)

    def backup_verb(self, *arguments):
        return subprocess.run([daemon.binary("ensemblectl"), "backup", *arguments], capture_output=True, text=True, timeout=60)

    def offline(self, *arguments):
        return self.backup_verb(*arguments, "--archive", self.archive)

    def test_it_is_listed_and_shown(self):
        listed = self.offline("list")
        self.assertIn(daemon.CLUSTER, listed.stdout)
        self.assertIn(self.backup, listed.stdout)
        self.assertEqual(json.loads(self.offline("list", "--json").stdout)[0]["summary"]["id"], self.backup)
        shown = self.offline("show", self.backup)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("snapshot.", shown.stdout)
        self.assertIn("clientPort=", self.offline("show", self.backup, "--configuration").stdout)

    def test_what_is_not_there_is_said(self):
        missing = self.backup_verb("list", "--archive", os.path.join(self.scratch, "mistyped"))
        self.assertEqual(missing.returncode, 5, missing.stderr)
        self.assertIn("is no archive", missing.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.scratch, "mistyped")), "nothing is made of a mistyped path")
        self.assertEqual(self.offline("show", "20200101T000000Z-00000000").returncode, 5)
        self.assertEqual(self.offline("show", "nonsense").returncode, 64)

    def test_a_damaged_one_is_found_out_and_restored_by_nobody(self):
        """S7: it was verified once"""
        self.assertEqual(self.offline("verify", self.backup).returncode, 0)
        folder = os.path.join(self.archive, "objects", "sha256")
        largest = max((os.path.join(root, name) for root, _, names in os.walk(folder) for name in names), key=os.path.getsize)
        with open(largest, "r+b") as file:
            file.seek(os.path.getsize(largest) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0xff]))
        into = os.path.join(self.scratch, "data")
        for asked in (("verify", self.backup), ("restore", self.backup, "--into", into)):
            done = self.offline(*asked)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(os.path.basename(largest), done.stderr)
        self.assertFalse(os.path.exists(os.path.join(into, "version-2")))
        self.assertIn(" no\n", self.offline("list").stdout, "its proof is withdrawn")

    def test_a_server_begins_with_what_was_restored(self):
        into = os.path.join(self.scratch, "data")
        done = self.offline("restore", self.backup, "--into", into, "--highest-epoch", "40")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("epochs from 41 on", done.stdout)
        again = self.offline("restore", self.backup, "--into", into)
        self.assertEqual(again.returncode, 1)
        self.assertIn("never overwrites", again.stderr)
        port, lock = daemon.free_ports()
        self.addCleanup(lock.close)
        configuration = os.path.join(self.scratch, "zoo.cfg")
        with open(configuration, "w") as file:
            file.write(f"tickTime=500\ndataDir={into}\nclientPort={port}\nclientPortAddress=127.0.0.1\n")
        server = subprocess.Popen([daemon.binary("ensemble-server"), configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        client = Stream.client(f"127.0.0.1:{port}")
        self.addCleanup(Stream.close, client)
        self.assertEqual(sorted(client.get_children("/orders")), sorted(path.rsplit("/", 1)[1] for path in self.paths))

    def test_logs_on_a_disk_of_their_own_and_a_member_that_must_not_vote(self):
        into, logs = os.path.join(self.scratch, "data"), os.path.join(self.scratch, "logs")
        done = self.offline("restore", self.backup, "--into", into, "--logs-into", logs, "--recovering", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("acceptedEpoch", json.loads(done.stdout))
        held = os.listdir(os.path.join(into, "version-2"))
        self.assertIn("recovering", held)
        self.assertFalse([name for name in held if name.startswith("log.")])
        self.assertFalse([name for name in os.listdir(os.path.join(logs, "version-2")) if name.startswith("snapshot.")])

    @unittest.skipIf(os.geteuid() != 0, "mounts a file system")
    def test_an_archive_that_can_only_be_read(self):
        """From another machine's disk, or a snapshot of it"""
        if subprocess.run(["mount", "--bind", "-o", "ro", self.archive, self.archive], check=False).returncode != 0:
            self.skipTest("mounts no file system")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.archive], check=False)
        subprocess.run(["mount", "-o", "remount,ro,bind", self.archive], check=True)
        self.assertIn(self.backup, self.offline("list").stdout)
        verified = self.offline("verify", self.backup)
        self.assertEqual(verified.returncode, 0, verified.stderr)
        self.assertIn("the proof is not kept", verified.stderr)
        restored = self.offline("restore", self.backup, "--into", os.path.join(self.scratch, "data"))
        self.assertEqual(restored.returncode, 0, restored.stderr)


if __name__ == "__main__":
    unittest.main()
