"""A restore that one member's disk can't take (issue 9, B10): found before anybody is stopped."""
import os
import subprocess
import tempfile
import unittest

import daemon


class RestoreRoom(unittest.TestCase):
    def test_a_full_disk_changes_nothing(self):
        """The cluster was down, and the restore tried again for ever"""
        reason = daemon.missing()
        if reason:
            self.skipTest(reason)
        place = tempfile.mkdtemp(prefix="ensembled-full-disk-")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=220m", "tmpfs", place], capture_output=True, text=True)
        if mounted.returncode != 0:
            os.rmdir(place)
            self.skipTest(f"no tmpfs: {mounted.stderr.strip()}")
        cluster = daemon.Daemon(places={2: os.path.join(place, "data")})
        try:
            cluster.start().wait_whole()
            backup = cluster.wait_backup()["id"]
            before = {i: cluster.pid(i) for i in (1, 2, 3)}
            room = os.statvfs(place)
            filler = os.path.join(place, "filler")
            with open(filler, "wb") as file:
                file.write(bytes(room.f_bavail * room.f_frsize - (20 << 20)))
            done = cluster.ask("restore", backup, "--confirm", daemon.CLUSTER)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("nothing was changed", done.stderr)
            self.assertIn("MiB free", done.stderr)
            self.assertEqual({i: cluster.pid(i) for i in (1, 2, 3)}, before, "nobody was stopped")
            os.unlink(filler)
            done = cluster.ask("restore", backup, "--confirm", daemon.CLUSTER)
            self.assertEqual(done.returncode, 0, done.stderr)
            cluster.wait_whole()
        finally:
            cluster.close()
            subprocess.run(["umount", place], check=True)
            os.rmdir(place)


if __name__ == "__main__":
    unittest.main()
