"""S3: a server that somebody started by hand on a member's directory. Neither is another launched beside it, nor its
directory moved from under it; with both engines, and also before it has written anything."""
import os
import shutil
import subprocess
import time
import unittest

import daemon


class ByHand(unittest.TestCase):
    engine = daemon.BUNDLED

    def setUp(self):
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)
        self.daemon = daemon.Daemon(engine=self.engine, schedule="every 1h")
        self.addCleanup(self.daemon.close)

    def serve_by_hand(self, identity):
        """The member's own server with a configuration that lies elsewhere."""
        configuration = os.path.join(self.daemon.directory, "by-hand.cfg")
        shutil.copy(self.daemon.configuration(identity), configuration)
        if self.engine == daemon.BUNDLED:
            command = [daemon.binary("ensemble-server"), configuration]
        else:
            command = ["java", "-Xmx128m", "-cp", f"{daemon.APACHE_JAR}:/usr/share/java/slf4j-simple.jar",
                       "org.apache.zookeeper.server.quorum.QuorumPeerMain", configuration]
        with open(os.path.join(self.daemon.directory, "by-hand.log"), "ab") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)

        def end():
            server.kill()
            server.wait()
        self.addCleanup(end)
        return server

    def held(self):
        return " ".join(f"{hold['what']}: {hold['missingCondition']}" for hold in self.daemon.wait_status()["held"])

    def files(self, identity):
        return sorted(os.listdir(os.path.join(self.daemon.member_directory(identity), "version-2")))

    def test_a_reseed_waits_for_its_end(self):
        """Issue 9, B9: the directory was replaced under a live voter"""
        self.daemon.start().wait_whole()
        self.assertEqual(self.daemon.ask("backup", "create", within=60).returncode, 0)
        self.daemon.wait_backup()
        self.assertEqual(self.daemon.ask("stop", "2").returncode, 0)
        server = self.serve_by_hand(2)
        daemon.wait_for("it serves", lambda: self.daemon.word(2), 60, self.daemon.explain)
        self.daemon.ask("reseed", "2", "--no-wait")
        daemon.wait_for("it is seen", lambda: f"is in use: process {server.pid}" in self.held(), 60, self.daemon.explain)
        before = self.files(2)
        time.sleep(5)
        self.assertLessEqual(set(before), set(self.files(2)), "nothing was moved")
        self.assertIsNone(server.poll())
        server.kill()
        server.wait()
        self.daemon.ask("start", "2", "--no-wait")
        self.daemon.wait_whole(120)

    def test_no_second_server_is_launched(self):
        """Issue 9, B35: the daemon launched one beside it; the directory was corrupt afterwards"""
        self.daemon.start().wait_whole()
        self.daemon.process.terminate()
        self.assertEqual(self.daemon.process.wait(60), 0)
        # It is alone, so that it can write nothing.
        server = self.serve_by_hand(1)
        daemon.wait_for("it is there", lambda: self.daemon.word(1), 60, self.daemon.explain)
        self.daemon.start()
        daemon.wait_for("it is seen", lambda: f"is in use: process {server.pid}" in self.held(), 60, self.daemon.explain)
        time.sleep(5)
        self.assertIsNone(self.daemon.pid(1), self.daemon.explain())
        self.assertIsNone(server.poll())
        server.kill()
        server.wait()
        self.daemon.wait_whole(120)


class ByHandApache(ByHand):
    engine = daemon.APACHE


if __name__ == "__main__":
    unittest.main()
