"""Apache's own clients: its Java library through a small program compiled here, and its shell, zkCli.sh."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import servers
from case import AGAINST, EnsembleCase, needs

FOLDER = os.path.dirname(os.path.abspath(__file__))
SHELL = "/usr/share/zookeeper/bin/zkCli.sh"


@needs(servers.APACHE)
@unittest.skipUnless(shutil.which("javac"), "no javac (Debian's package `default-jdk-headless`)")
class JavaLibrary(EnsembleCase):
    size = 3

    def test_every_check_of_the_program(self):
        classes = tempfile.mkdtemp(prefix="ensembled-java-")
        self.addCleanup(shutil.rmtree, classes)
        subprocess.run(["javac", "-cp", servers.JAR, "-d", classes, os.path.join(FOLDER, "JavaClient.java")],
                       check=True, capture_output=True)
        done = subprocess.run(["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
                               f"{classes}:{servers.JAR}", "JavaClient", self.ensemble.hosts],
                              capture_output=True, text=True, timeout=120)
        lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "failed "))]
        for line in lines:
            with self.subTest(line.split()[1].rstrip(":")):
                self.assertTrue(line.startswith("ok "), line)
        self.assertEqual(len(lines), 10, done.stdout + done.stderr)


@needs(servers.APACHE)
@unittest.skipUnless(os.path.exists(SHELL), "no zkCli.sh")
class Shell(EnsembleCase):
    """One run of the shell for all commands: each start of a JVM costs a second."""
    size = 3
    output = ""

    COMMANDS = """create /shell one
get /shell
create -s /shell/s- two
create -e /shell/e three
create -c /shell/container
set /shell four
get -s /shell
stat /shell
ls /shell
ls -R /shell
getAcl /shell
addauth digest me:secret
setAcl /shell/container auth::cdrwa
getAcl /shell/container
addWatch -m PERSISTENT_RECURSIVE /shell
create /shell/watched
getAllChildrenNumber /shell
getEphemerals /shell
sync /shell
config
deleteall /shell
ls /
quit
"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        done = subprocess.run(["sh", SHELL, "-server", cls.ensemble.hosts], input=cls.COMMANDS, capture_output=True,
                              text=True, timeout=120)
        cls.output = done.stdout + done.stderr

    def test_create_and_get(self):
        self.assertIn("Created /shell\n", self.output)
        self.assertRegex(self.output, r"(?m)^one$")
        self.assertIn("Created /shell/s-0000000000", self.output)
        self.assertIn("Created /shell/e", self.output)
        self.assertIn("Created /shell/container", self.output)

    def test_set_and_stat(self):
        self.assertRegex(self.output, r"(?m)^four$")
        self.assertIn("dataVersion = 1", self.output)
        self.assertRegex(self.output, r"numChildren = 3")

    def test_list(self):
        self.assertIn("[container, e, s-0000000000]", self.output)
        self.assertRegex(self.output, r"(?m)^/shell/s-0000000000$")

    def test_access(self):
        self.assertRegex(self.output, r"'world,'anyone\s+: cdrwa")
        self.assertRegex(self.output, r"'digest,'me:")

    def test_watch(self):
        self.assertRegex(self.output, r"WatchedEvent state:SyncConnected type:NodeCreated path:/shell/watched")

    def test_counts(self):
        self.assertRegex(self.output, r"(?m)^4$")
        self.assertIn("[/shell/e]", self.output)

    def test_sync_and_config(self):
        self.assertIn("Sync is OK", self.output)
        self.assertEqual(len(re.findall(r"(?m)^server\.\d=127\.0\.0\.1:\d+:\d+:participant", self.output)), 3)

    def test_delete_all(self):
        self.assertRegex(self.output, r"(?m)^\[zookeeper\]$")

    def test_nothing_was_refused(self):
        for word in ("Node does not exist", "KeeperErrorCode", "Command failed", "Exception"):
            self.assertNotIn(word, self.output)


if __name__ == "__main__":
    unittest.main()
