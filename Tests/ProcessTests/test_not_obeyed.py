"""What isn't built is refused; what a directory holds of it is kept, and said."""
import os
import shutil
import signal
import struct
import subprocess
import unittest

import daemon
from lone import CREATE, DELETE, MULTI, SET, WORLD, LoneCase, Wire, text

CREATE_TTL, UNIMPLEMENTED = 21, -6
LIMITS = "/zookeeper/quota/a/zookeeper_limits"


class NotObeyed(LoneCase):
    def test_a_quota_is_refused(self):
        """issue 8, A21"""
        self.start()
        client = Wire(self.port)
        client.create("/a")
        self.assertEqual(client.create("/zookeeper/quota/a")[0], UNIMPLEMENTED)
        part = struct.pack(">i?i", CREATE, False, -1) + text("/zookeeper/quota/a") + text(b"") + WORLD + bytes(4)
        error, body = client.ask(MULTI, part + struct.pack(">i?i", -1, True, -1))
        self.assertEqual(struct.unpack_from(">i?ii", body), (-1, False, UNIMPLEMENTED, UNIMPLEMENTED))
        self.assertNotIn("not obeyed", self.said())

    def take_over(self):
        """A directory of Apache's server with three TTL nodes and a quota."""
        self.port, lock = daemon.free_ports()
        self.addCleanup(lock.close)
        configuration = os.path.join(self.directory, "apache.cfg")
        with open(configuration, "w") as file:
            file.write(f"dataDir={self.directory}/data\nclientPort={self.port}\nclientPortAddress=127.0.0.1\n"
                       "admin.enableServer=false\n4lw.commands.whitelist=*\n")
        with open(os.path.join(self.directory, "apache.log"), "w") as log:
            apache = subprocess.Popen(
                ["java", "-Dzookeeper.extendedTypesEnabled=true", "-cp", daemon.APACHE_JAR,
                 "org.apache.zookeeper.server.quorum.QuorumPeerMain", configuration], stdout=log, stderr=log)
        try:
            daemon.wait_for("Apache's server serves", lambda: self.word("isro") == "rw", 60)
            client = Wire(self.port)
            for number in range(3):
                body = text(f"/ttl{number}") + text(b"") + WORLD + struct.pack(">iq", 5, 3_600_000)
                self.assertEqual(client.ask(CREATE_TTL, body)[0], 0)
            for path, data in (("/a", b""), ("/zookeeper/quota/a", b""), (LIMITS, b"count=1,bytes=-1"),
                               ("/zookeeper/quota/a/zookeeper_stats", b"count=1,bytes=0")):
                self.assertEqual(client.create(path, data)[0], 0)
        finally:
            apache.send_signal(signal.SIGKILL)
            apache.wait()

    @unittest.skipUnless(os.path.exists(daemon.APACHE_JAR) and shutil.which("java"), "Debian's package `zookeeper` is not installed")
    def test_what_apaches_directory_holds_is_said(self):
        """issue 8, A21"""
        self.take_over()
        self.start()
        self.assertRegex(self.said(), r"warning: .*not obeyed.*TTL nodes.*\(3\).*quotas \(1\)")
        client = Wire(self.port)
        self.assertEqual(client.get("/ttl2")[0], 0)
        self.assertEqual(client.ask(SET, text(LIMITS) + text(b"count=9") + struct.pack(">i", -1))[0], UNIMPLEMENTED)
        # To be rid of it is allowed.
        self.assertEqual(client.ask(DELETE, text(LIMITS) + struct.pack(">i", -1))[0], 0)
        self.end()
        done = subprocess.run([self.program, "--check", os.path.join(self.directory, "zoo.cfg")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"not obeyed.*TTL nodes.*\(3\).*quotas \(0\)")


if __name__ == "__main__":
    unittest.main()
