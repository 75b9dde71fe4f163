"""Who asked for what, and what came of it: kept over the daemon's end, and told to whoever waits (issue 9, A3)."""
import json
import os
import subprocess
import time
import unittest

import daemon


class History(unittest.TestCase):
    def setUp(self):
        reason = daemon.missing(daemon.BUNDLED)
        if reason:
            self.skipTest(reason)
        self.cluster = daemon.Daemon(daemon.BUNDLED)
        self.addCleanup(self.cluster.close)
        self.cluster.start().wait_whole()

    def history(self):
        return json.loads(self.cluster.ask("history", "--json").stdout)["operations"]

    def test_it_outlives_the_daemon(self):
        cluster = self.cluster
        self.assertIn("nothing was asked for", cluster.ask("history").stdout)
        for words in (["pause"], ["resume"], ["restart", "2"], ["backup", "create"]):
            done = cluster.ask(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotEqual(cluster.ask("cancel", "op-1-1").returncode, 0)
        cluster.kill()
        cluster.start().wait_whole()
        records = self.history()
        self.assertEqual([it["kind"] for it in records], ["backup", "restart of member 2", "end of the pause", "pause"])
        self.assertEqual({it["state"] for it in records}, {"succeeded"})
        self.assertEqual({it["by"] for it in records}, {os.geteuid()})
        self.assertTrue(records[0]["backup"])
        self.assertIn("restart of member 2", cluster.ask("history", "-n", "2").stdout)
        self.assertEqual(cluster.ask("history", "-n", "0").returncode, 64)
        # An id is answered for by any later daemon.
        again = cluster.ask("cancel", records[1]["id"])
        self.assertEqual(again.returncode, 1)
        self.assertIn("has ended", again.stderr)

    def test_whoever_waits_is_told_by_the_next_daemon(self):
        cluster = self.cluster
        waiting = subprocess.Popen(
            [daemon.binary("ensemblectl"), "restart", "--rolling", "--socket", cluster.socket], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiting.kill)
        before = cluster.pid(1), cluster.pid(2), cluster.pid(3)
        daemon.wait_for(
            "a step", lambda: (cluster.pid(1), cluster.pid(2), cluster.pid(3)) != before, 30, cluster.explain)
        cluster.kill()
        time.sleep(2)
        self.assertIsNone(waiting.poll(), "it waits for the next daemon")
        cluster.start()
        said, problems = waiting.communicate(timeout=120)
        self.assertEqual(waiting.returncode, 0, problems)
        self.assertIn("rolling restart", said)
        self.assertIn("waiting for the next", problems)
        cluster.wait_whole()
        after = cluster.pid(1), cluster.pid(2), cluster.pid(3)
        self.assertTrue(all(old != new for old, new in zip(before, after)), "each was restarted")

    def test_one_that_cannot_be_read_stops_nobody(self):
        cluster = self.cluster
        self.assertEqual(cluster.ask("pause").returncode, 0)
        cluster.kill()
        path = os.path.join(cluster.state, "history.json")
        with open(path, "w") as file:
            file.write("{")
        cluster.start().wait_whole()
        self.assertTrue(os.path.exists(path + ".unreadable"))
        self.assertEqual(self.history(), [])
        self.assertIn("history.json", cluster.ask("events").stdout)


if __name__ == "__main__":
    unittest.main()
