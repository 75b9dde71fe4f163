"""What a monitor is told: planned, degraded and held are three things, and trouble with backups is one (issue 9, B27, B38)."""
import json
import os
import shutil
import subprocess
import time
import unittest

import daemon


class Check(unittest.TestCase):
    def setUp(self):
        reason = daemon.missing(daemon.BUNDLED)
        if reason:
            self.skipTest(reason)

    def begin(self, schedule="every 3s\n  maximumAge: 1h"):
        self.cluster = daemon.Daemon(daemon.BUNDLED, schedule=schedule)
        self.addCleanup(self.cluster.close)
        self.cluster.start().wait_whole()
        self.assertEqual(self.cluster.ask("backup", "create").returncode, 0)
        return self.cluster

    def level(self, name):
        return next(it["level"] for it in json.loads(self.cluster.ask("check", "--json").stdout) if it["name"] == name)

    def reaches(self, name, level, within=40):
        daemon.wait_for(f"{name} at level {level}", lambda: self.level(name) == level, within, self.cluster.explain)

    def test_a_planned_roll_alarms_nobody(self):
        # A date of the schedule that falls into an election is left out, and said to be.
        cluster = self.begin("every 1h\n  maximumAge: 2h")
        done = cluster.ask("check")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertTrue(done.stdout.startswith(f"OK {daemon.CLUSTER}: serving"), done.stdout)
        roll = subprocess.Popen(
            [daemon.binary("ensemblectl"), "restart", "--rolling", "--socket", cluster.socket], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(roll.kill)
        looks = 0
        while roll.poll() is None:
            for words in (["check"], ["status", "--check"]):
                done = cluster.ask(*words)
                # Who leads is not known for a moment, when the leader hands over.
                if "no quorum" not in done.stdout and "has no quorum" not in done.stderr:
                    self.assertEqual(done.returncode, 0, " ".join(words) + ": " + done.stdout + done.stderr)
                    looks += 1
            time.sleep(0.2)
        self.assertEqual(roll.returncode, 0)
        self.assertGreater(looks, 10)

    def test_a_member_that_is_away_is_a_warning(self):
        cluster = self.begin()
        cluster.hold_down(2)
        cluster.signal_member(2, 9)
        self.reaches("members", 1)
        self.assertEqual(cluster.ask("check").returncode, 1)
        cluster.let_up(2)
        cluster.wait_whole()
        self.reaches("members", 0)
        # One that a person has stopped is out by a plan.
        self.assertEqual(cluster.ask("stop", "2").returncode, 0)
        self.assertEqual(self.level("members"), 0)

    def test_an_archive_that_takes_nothing(self):
        cluster = self.begin("every 3s\n  maximumAge: 12s")
        self.reaches("backups", 0)
        shutil.move(cluster.archive, cluster.archive + ".away")
        with open(cluster.archive, "w") as file:
            file.write("somebody's file")
        self.reaches("backups", 1)
        self.reaches("backups", 2)
        done = cluster.ask("check")
        self.assertEqual(done.returncode, 2)
        self.assertIn("overdue since", done.stdout)
        os.unlink(cluster.archive)
        shutil.move(cluster.archive + ".away", cluster.archive)
        self.reaches("backups", 0)

    def test_a_damaged_backup_is_shown(self):
        cluster = self.begin("every 1h\n  maximumAge: 1h")
        folder = os.path.join(cluster.archive, "backups")
        name = next(it for it in sorted(os.listdir(folder)))
        done = cluster.ask("backup", "create")
        self.assertEqual(done.returncode, 0, done.stderr)
        for path, _, files in os.walk(os.path.join(folder, name)):
            for file in files:
                with open(os.path.join(path, file), "w") as torn:
                    torn.write("{")
        if os.path.isfile(os.path.join(folder, name)):
            with open(os.path.join(folder, name), "w") as torn:
                torn.write("{")
        listed = cluster.ask("backup", "list").stdout
        self.assertEqual(len(listed.splitlines()), 3, listed)
        self.assertIn("damaged: ", listed)

    def test_no_daemon_is_unknown(self):
        cluster = self.begin()
        cluster.kill()
        self.assertEqual(cluster.ask("check").returncode, 3)


if __name__ == "__main__":
    unittest.main()
