"""What the manifest's file would change is looked at, and applied as it was looked at (issue 9, A4)."""
import json
import re
import signal
import unittest

import daemon
from test_in_force import InForceCase


class Apply(InForceCase):
    def changed(self, *pairs):
        text = self.text
        for old, new in pairs:
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.declare(text)

    def diff(self):
        return json.loads(self.daemon.ask("diff", "--json").stdout)

    def test_what_was_shown_is_what_is_applied(self):
        before = self.pids()
        self.assertIn("says what is in force", self.daemon.ask("diff").stdout)
        self.changed(("settings:\n", "settings:\n  maxClientCnxns: 77\n"), ("keepLast: 5", "keepLast: 7"))
        shown = self.daemon.ask("diff").stdout
        self.assertRegex(shown, r"settings.maxClientCnxns +- +77")
        self.assertRegex(shown, r"backups.retention.keepLast +5 +7")
        self.assertIn("takes effect at once: backups", shown)
        self.assertEqual(len(re.findall("restart member", shown)), 3)
        self.assertEqual(self.pids(), before, "looking changes nothing")
        plan = self.diff()["plan"]
        # The file changes behind the one who looked.
        self.changed(("settings:\n", "settings:\n  maxClientCnxns: 78\n"))
        refused = self.daemon.ask("apply", "--plan", plan)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("has changed since plan", refused.stderr)
        self.assertEqual(self.pids(), before)
        applied = self.daemon.ask("apply", "--plan", self.diff()["plan"], within=120)
        self.assertEqual(applied.returncode, 0, applied.stdout + applied.stderr)
        # It came back when all was done.
        view = self.daemon.wait_status()
        self.assertTrue(all(member["upToDate"] and member["participates"] for member in view["members"]), self.daemon.explain())
        self.assertTrue(all(self.pids()[identity] != before[identity] for identity in before))
        with open(self.daemon.configuration(1)) as file:
            self.assertIn("maxClientCnxns=78", file.read())
        self.assertIn("says what is in force", self.daemon.ask("diff").stdout)
        self.assertRegex(self.daemon.events(), r"asked for by user \d+: settings.maxClientCnxns")
        self.assertTrue(self.stream.flows())
        # It is what the next daemon has, whatever the file says.
        self.changed(("settings:\n", "settings:\n  maxClientCnxns: 79\n"))
        self.daemon.kill()
        self.daemon.start().wait_whole()
        self.assertRegex(self.daemon.ask("diff").stdout, r"settings.maxClientCnxns +78 +79")

    def test_what_takes_effect_at_once_restarts_nobody(self):
        before = self.pids()
        self.changed(("keepLast: 5", "keepLast: 7"))
        applied = self.daemon.ask("apply")
        self.assertEqual(applied.returncode, 0, applied.stderr)
        self.assertEqual(self.diff()["differences"], [])
        # The same said otherwise.
        self.changed(("keepLast: 5", "keepLast: 7"), ("within: 1h", "within: 60m"))
        self.assertIn("it means the same", self.daemon.ask("diff").stdout)
        self.assertEqual(self.daemon.ask("apply").returncode, 0)
        self.assertEqual(self.pids(), before)

    def test_what_cannot_be_applied_is_said_and_not_done(self):
        before = self.pids()
        self.declare(self.alone())
        shown = self.daemon.ask("diff")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("removing member 2", shown.stdout)
        applied = self.daemon.ask("apply")
        self.assertEqual(applied.returncode, 1)
        self.assertIn("the manifest in force stays", applied.stderr)
        self.declare("cluster: [")
        for verb in ("diff", "apply"):
            broken = self.daemon.ask(verb)
            self.assertEqual(broken.returncode, 1, verb)
            self.assertRegex(broken.stderr, r"cluster.yaml:\d+:\d+: not YAML")
        self.declare(self.text)
        self.assertEqual(self.daemon.ask("apply").returncode, 0)
        self.assertEqual(self.pids(), before)

    def test_it_waits_for_what_holds_it_back(self):
        self.daemon.hold_down(3)
        daemon.wait_for("member 3 is down", lambda: not self.daemon.member(3)["participates"], 30, self.daemon.explain)
        self.changed(("settings:\n", "settings:\n  maxClientCnxns: 77\n"))
        asked = self.daemon.ask("apply", "--timeout", "5s", within=60)
        self.assertEqual(asked.returncode, 4, asked.stdout + asked.stderr)
        self.assertIn("not yet with the new settings", asked.stderr)
        self.assertGreaterEqual(self.daemon.wait_status()["quorum"]["participating"], 2)
        self.daemon.let_up(3)
        self.daemon.wait_whole(120)
        self.assertIn("says what is in force", self.daemon.ask("diff").stdout)

    def test_two_reloads_at_once_are_one_after_the_other(self):
        self.changed(("keepLast: 5", "keepLast: 7"))
        for _ in range(5):
            self.daemon.process.send_signal(signal.SIGHUP)
        answers = [self.daemon.ask("apply").returncode for _ in range(3)]
        self.assertEqual(set(answers), {0})
        self.assertEqual(self.diff()["differences"], [])


if __name__ == "__main__":
    unittest.main()
