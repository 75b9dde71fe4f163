"""What stands on a disk: directories that others left, that are damaged, that another server has, that can't be written."""
import os
import re
import shutil
import struct
import subprocess
import unittest

import daemon
from lone import GET, SET, LoneCase, Wire, text

FIXTURES = os.path.join(daemon.ROOT, "Tests", "KeeperStorageTests", "Fixtures", "apache")
CORRUPT, TEMPORARY, CONFIGURATION = 65, 75, 78


class StorageCase(LoneCase):
    @property
    def files(self):
        return os.path.join(self.directory, "data", "version-2")

    def logs(self):
        return sorted((os.path.join(self.files, name) for name in os.listdir(self.files) if name.startswith("log.")),
                      key=lambda path: int(path.rsplit(".", 1)[1], 16))

    def refused(self, *arguments, within=30):
        """Runs the server on its configuration until it ends by itself; gives (status, output)."""
        done = subprocess.run([self.program, *arguments, os.path.join(self.directory, "zoo.cfg")], capture_output=True, text=True,
                              timeout=within)
        return done.returncode, done.stdout + done.stderr

    def again(self):
        """Starts the server on the same directory and the same port."""
        self.end()
        self.server = subprocess.Popen([self.program, os.path.join(self.directory, "zoo.cfg")], stdout=self.log, stderr=self.log)
        daemon.wait_for("the server serves", lambda: self.word("isro") == "rw", 60, self.said)


class Holes(StorageCase):
    """issue 8, A5"""
    VALUE = 2000

    def write(self, count):
        """Writes that are acknowledged one by one, and a kill."""
        self.start()
        client = Wire(self.port)
        for number in range(count):
            self.assertEqual(client.create(f"/n{number:03}", bytes([number]) * self.VALUE)[0], 0)
        self.end()
        return self.logs()[-1]

    def check_refused(self, place):
        """Zeroes the sector at `place` of the 21st of 201 records."""
        log = self.write(201)
        with open(log, "r+b") as file:
            start = file.read().index(bytes([20]) * self.VALUE) + place
            file.seek(start - start % 512)
            file.write(bytes(512))
            file.seek(0)
            before = file.read()
        for arguments in (("--check",), ()):
            status, said = self.refused(*arguments)
            self.assertEqual(status, CORRUPT, said)
            self.assertRegex(said, re.escape(log) + r": damaged at offset \d+")
            self.assertIn("it may be the only copy", said)
        with open(log, "rb") as file:
            self.assertEqual(file.read(), before, "it was left as it was")

    def test_a_zeroed_sector_in_an_acknowledged_write(self):
        """S1: refused, never cut"""
        self.check_refused(600)

    def test_a_zeroed_sector_where_an_acknowledged_write_begins(self):
        """S1: its length reads as the end of the data, and 181 writes stand behind it"""
        self.check_refused(-20)

    def test_an_interrupted_write_behind_them_is_cut(self):
        """S1: a batch of which some sectors arrived; nothing in it was acknowledged"""
        log = self.write(21)
        with open(log, "r+b") as file:
            data, end = file.read(), 16
            while length := struct.unpack_from(">i", data, end + 8)[0]:
                end += 12 + length + 1
            # A batch begins over the trailer that says how far the file is durable; its middle and its end did not arrive.
            file.seek(end)
            file.write(struct.pack(">qi", 12345, 6000) + os.urandom(700) + bytes(1024) + os.urandom(600))
        status, said = self.refused("--check")
        self.assertEqual(status, 0, said)
        self.assertIn("interrupted write", said)
        self.again()
        client = Wire(self.port)
        for number in range(21):
            self.assertEqual(client.get(f"/n{number:03}")[0], 0)
        self.assertEqual(client.create("/after")[0], 0)


class Foreign(StorageCase):
    """issue 8, A23: what Apache's server left is taken over as it is"""

    def contents(self, name):
        with open(os.path.join(FIXTURES, "contents.tsv")) as file:
            return next(line.split("\t") for line in file if line.startswith(name + "\t"))

    def nodes(self):
        """As Apache's server, `mntr` counts one more than there are."""
        return int(self.monitor("znode_count")) - 1

    def take(self, name):
        nodes = int(self.contents(name)[2])
        shutil.copytree(os.path.join(FIXTURES, name), os.path.join(self.directory, "data"))
        self.start()
        self.assertEqual(self.nodes(), nodes)
        client = Wire(self.port)
        self.assertEqual(client.create("/ours", b"x")[0], 0)
        self.again()
        self.assertEqual(Wire(self.port).get("/ours")[0], 0)
        self.assertEqual(self.nodes(), nodes + 1)

    def test_gzip_snapshots(self):
        self.take("gzip")

    def test_snappy_snapshots(self):
        self.take("snappy")

    def test_logs_alone(self):
        self.take("logs-alone")

    def test_entries_that_come_again(self):
        self.take("repeated-entries")

    def test_a_trailer_behind_its_nodes(self):
        self.take("trailer-behind-nodes")

    def test_logs_that_lack_the_beginning(self):
        """S1, S6: refused, left alone, and no advice that endangers them"""
        shutil.copytree(os.path.join(FIXTURES, "logs-alone"), os.path.join(self.directory, "data"))
        os.unlink(os.path.join(self.files, "log.1"))
        self.configure()
        status, said = self.refused()
        self.assertEqual(status, CORRUPT, said)
        self.assertIn("the logs begin with 0x11", said)
        self.assertNotIn("move the data directory away", said)
        self.assertEqual([name for name in os.listdir(self.files) if not name.endswith("Epoch")], ["log.11"])


class TwoServers(StorageCase):
    """issue 8, A24"""

    def second(self, **directories):
        """The configuration of another server: its own ports."""
        port, lock = daemon.free_ports()
        self.addCleanup(lock.close)
        path = os.path.join(self.directory, "second.cfg")
        with open(path, "w") as file:
            file.write("".join(f"{key}={value}\n" for key, value in directories.items())
                       + f"clientPort={port}\nclientPortAddress=127.0.0.1\npreAllocSize=64\n")
        return path

    def check_refused(self, path, directory):
        done = subprocess.run([self.program, path], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, TEMPORARY, done.stderr)
        self.assertIn(directory, done.stderr)
        self.assertIn(f"process {self.server.pid}", done.stderr)
        client = Wire(self.port)
        self.assertEqual(client.create("/still", b"x")[0], 0)
        self.assertEqual(client.ask(2, text("/still") + struct.pack(">i", -1))[0], 0)

    def test_the_second_on_a_directory_is_refused(self):
        """S1: and the first goes on; when it is dead the directory is free, whatever it left"""
        self.start()
        data = os.path.join(self.directory, "data")
        self.check_refused(self.second(dataDir=data), data)
        # A link leads to the same one.
        os.symlink(data, os.path.join(self.directory, "link"))
        self.check_refused(self.second(dataDir=os.path.join(self.directory, "link")), "link")
        # Who only reads is let in.
        self.assertEqual(self.refused("--check")[0], 0)
        self.again()
        self.assertEqual(Wire(self.port).create("/again")[0], 0)

    def test_the_second_on_a_log_directory_is_refused(self):
        logs = os.path.join(self.directory, "logs")
        self.start(f"dataLogDir={logs}")
        self.check_refused(self.second(dataDir=os.path.join(self.directory, "other"), dataLogDir=logs), logs)

    def test_both_directories_may_be_one_by_a_link(self):
        os.makedirs(os.path.join(self.directory, "data"))
        os.symlink(os.path.join(self.directory, "data"), os.path.join(self.directory, "link"))
        self.start(f"dataLogDir={self.directory}/link")
        self.assertEqual(Wire(self.port).create("/a")[0], 0)


@unittest.skipUnless(os.geteuid() == 0, "a file system of its own needs root")
class ReadOnly(StorageCase):
    """issue 8, A27"""

    def mount(self, name):
        place = os.path.join(self.directory, name)
        os.makedirs(place)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest(f"no file system can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=True)
        self.place = place
        return place

    def check(self, place):
        """Nothing was written yet: no log of the start before is in the way of the next one."""
        self.end()
        subprocess.run(["mount", "-o", "remount,ro", self.place], check=True)
        server = subprocess.Popen([self.program, os.path.join(self.directory, "zoo.cfg")], stdout=self.log, stderr=self.log)
        self.addCleanup(server.kill)
        status = server.wait(timeout=30)
        self.assertEqual(status, CONFIGURATION, self.said())
        last = self.said().splitlines()[-1]
        self.assertIn(place, last)
        self.assertIn("read-only", last.lower())
        subprocess.run(["mount", "-o", "remount,rw", self.place], check=True)
        self.again()
        self.assertEqual(Wire(self.port).create("/a")[0], 0)

    def test_data_directory(self):
        place = self.mount("data")
        self.start()
        self.check(place)

    def test_log_directory(self):
        place = self.mount("logs")
        self.start(f"dataLogDir={place}")
        self.check(place)

    def test_linked_version_directory(self):
        """Where the files really are is what counts."""
        place = self.mount("elsewhere")
        os.makedirs(os.path.join(place, "version-2"))
        os.makedirs(os.path.join(self.directory, "data"))
        os.symlink(os.path.join(place, "version-2"), self.files)
        self.start()
        self.check(self.files)


class LargeLogs(StorageCase):
    """issue 8, A6"""

    def test_a_restart_reads_a_large_log_in_little_memory(self):
        """400 MiB of log for a tree of one megabyte: at most 64 MiB more than an empty server takes"""
        self.start("jute.maxbuffer=2097152")
        empty = self.peak()
        client = Wire(self.port, timeout=40_000)
        self.assertEqual(client.create("/large")[0], 0)
        value = os.urandom(1 << 20)
        for _ in range(400):
            self.assertEqual(client.ask(SET, text("/large") + text(value) + struct.pack(">i", -1))[0], 0)
        self.end()
        self.assertGreater(sum(os.path.getsize(log) for log in self.logs()), 400 << 20)
        self.again()
        error, body = Wire(self.port).ask(GET, text("/large") + b"\0")
        self.assertEqual((error, body[4:4 + len(value)] == value), (0, True))
        self.assertLess(self.peak(), empty + 1 + 64, self.said())
        print(f"restart over 400 MiB of log: {self.peak():.0f} MiB at most; an empty server: {empty:.0f} MiB")


if __name__ == "__main__":
    unittest.main()
