"""S10: where safety cannot be shown the daemon stops, says what is missing, and goes on when it is there."""
import os
import shutil
import signal
import subprocess
import time
import unittest

import daemon
from scenario import MEMBERS, Scenario


class Doubt(Scenario):
    def assert_outage_is_safe(self, seconds, lost):
        """No write is taken and no directory is made anew: what is left of a quorum must not be filled up with nothing."""
        count = self.stream.count
        time.sleep(seconds)
        self.assertEqual(self.stream.count, count, f"writes were taken\n{self.daemon.explain()}")
        for member in lost:
            made = os.path.join(self.daemon.member_directory(member), "version-2")
            self.assertFalse(os.path.exists(made), f"member {member} got a directory\n{self.daemon.explain()}")

    def test_two_directories_lost_at_once(self):
        """S1 S10: no quorum, no reseed; the disks come back, and so does the ensemble"""
        self.daemon.wait_backup()
        lost = self.random.sample(MEMBERS, 2)
        kept = os.path.join(self.daemon.directory, "kept")
        self.daemon.lose_data(*lost, to=kept)
        self.hold_of("two lost", "the others are no quorum")
        self.assert_outage_is_safe(10, lost)
        for member in lost:
            shutil.rmtree(self.daemon.member_directory(member), ignore_errors=True)
            os.rename(f"{kept}-{member}", self.daemon.member_directory(member))
            self.daemon.ask("start", str(member), "--no-wait")
        begun = time.monotonic()
        self.daemon.wait_whole()
        self.times_whole.append(time.monotonic() - begun)
        self.check()

    def test_second_directory_lost_while_the_first_is_reseeded(self):
        """S1 S2 S4: the first, seeded from a backup and without a vote, is no help to the survivor"""
        self.daemon.wait_backup()
        first, second = self.random.sample(MEMBERS, 2)
        self.daemon.lose_data(first)
        daemon.wait_for("the seed is laid", lambda: '"waiting"' in self.daemon.intents(), 60, self.daemon.explain)
        kept = os.path.join(self.daemon.directory, "kept")
        self.daemon.lose_data(second, to=kept)
        time.sleep(2)
        self.assert_outage_is_safe(12, [second])
        shutil.rmtree(self.daemon.member_directory(second), ignore_errors=True)
        os.rename(f"{kept}-{second}", self.daemon.member_directory(second))
        self.daemon.ask("start", str(second), "--no-wait")
        begun = time.monotonic()
        self.daemon.wait_whole()
        self.times_whole.append(time.monotonic() - begun)
        self.check()

    def test_stop_while_another_member_is_down(self):
        """S4 S10: it is refused while the others are no quorum without the one to be stopped, and taken when they are"""
        away, wanted = self.random.sample(MEMBERS, 2)
        self.daemon.hold_down(away)
        daemon.wait_for("it is dead", lambda: not self.daemon.pid(away), 10)
        before = self.daemon.pid(wanted)
        done = self.daemon.ask("stop", str(wanted), "--no-wait")
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("--accept-outage", done.stderr)
        self.assertTrue(self.stream.flows(), "the two that are left are a quorum")
        self.assertEqual(self.daemon.pid(wanted), before, self.daemon.explain())
        self.daemon.let_up(away)
        self.daemon.wait_whole()
        done = self.daemon.ask("stop", str(wanted), "--no-wait")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        daemon.wait_for("it is stopped", lambda: not self.daemon.pid(wanted), 60, self.daemon.explain)
        self.assertTrue(self.stream.flows(), "the other two are a quorum")
        self.daemon.ask("start", str(wanted))
        self.check()

    def test_bad_manifest_on_sighup(self):
        """The old one stays in force, and nobody is restarted."""
        before = self.pids()
        with open(self.daemon.manifest) as file:
            good = file.read()
        for bad in ("cluster: [", good.replace("engine: bundled", "engine: postgres"), good + "unknown: 1\n",
                    good.replace("cluster: process-test", "cluster: another"), ""):
            refusals = self.daemon.events().count("not applied")
            with open(self.daemon.manifest, "w") as file:
                file.write(bad)
            os.kill(self.daemon.process.pid, signal.SIGHUP)
            daemon.wait_for("the refusal", lambda: self.daemon.events().count("not applied") > refusals, 20, self.daemon.explain)
        self.assertEqual(before, self.pids())
        with open(self.daemon.manifest, "w") as file:
            file.write(good)
        os.kill(self.daemon.process.pid, signal.SIGHUP)
        self.check()

    def test_forbidden_changes_on_sighup(self):
        """S2 S4 S10: what a living cluster can't take is refused as a whole and named, until a manifest is taken"""
        before, view = self.pids(), self.daemon.wait_status()
        configurations = self.configurations()
        with open(self.daemon.manifest) as file:
            good = file.read()
        line = next(text for text in good.split("\n") if "{id: 3," in text)
        port = self.daemon.port
        for words, bad in (
            ("the name of a living cluster cannot change", good.replace("cluster: process-test", "cluster: another")),
            ("changing the engine of a living cluster", good.replace("engine: bundled", "engine: apache")),
            ("the files of member 3 cannot move", good.replace(line, line.replace("}", f", dataDirectory: {self.daemon.directory}/elsewhere}}"))),
            ("the files of member 1 cannot move", good.replace(f"dataDirectory: {self.daemon.data}", f"dataDirectory: {self.daemon.data}2")),
            ("removing member 3", good.replace(line + "\n", "")),
            ("adding member 4", good.replace(line, line + "\n" + line.replace("id: 3", "id: 4").replace(
                f"{port + 2},", f"{port + 3},").replace(f"{port + 6},", f"{port + 7},").replace(f"{port + 10}}}", f"{port + 11}}}"))),
            ("moving member 3 to another address", good.replace(f"quorumPort: {port + 6}", f"quorumPort: {port + 7}")),
        ):
            # With it a change that would be taken alone: nothing of such a manifest is.
            self.declare(bad.replace("initLimit: 5", "initLimit: 6"))
            check = self.check_manifest()
            self.assertEqual(check.returncode, 78, f"systemctl reload would accept it: {words}")
            self.assertIn(words, check.stderr)
            os.kill(self.daemon.process.pid, signal.SIGHUP)
            held = self.hold_of("a forbidden change", words)
            self.assertEqual(held["what"], "reload of the manifest")
        self.assertEqual(before, self.pids())
        self.assertEqual(configurations, self.configurations())
        self.assertEqual(view["fingerprint"], self.daemon.wait_status()["fingerprint"], "another manifest is in force")
        self.declare(good)
        self.assertEqual(self.check_manifest().returncode, 0)
        os.kill(self.daemon.process.pid, signal.SIGHUP)
        daemon.wait_for("the hold is gone", lambda: not self.daemon.wait_status()["held"], 20, self.daemon.explain)
        # The check is made against the manifest in force, not against the first one.
        self.declare(good.replace("keepLast: 5", "keepLast: 4"))
        os.kill(self.daemon.process.pid, signal.SIGHUP)
        kept = os.path.join(self.daemon.state, "manifest.yaml")
        daemon.wait_for("it is in force", lambda: "keepLast: 4" in open(kept).read(), 20, self.daemon.explain)
        self.assertEqual(self.check_manifest().returncode, 0)
        self.assertEqual(before, self.pids())
        self.check()

    def configurations(self):
        found = []
        for member in MEMBERS:
            with open(self.daemon.configuration(member)) as file:
                found.append(file.read())
        return found

    def declare(self, text):
        with open(self.daemon.manifest, "w") as file:
            file.write(text)

    def check_manifest(self):
        """What the unit's ExecReload= runs before the daemon is signalled."""
        return subprocess.run([daemon.binary("ensembled"), "check", "--manifest", self.daemon.manifest, "--state-dir",
                               self.daemon.state], capture_output=True, text=True, timeout=30)

    def test_changed_setting_on_sighup(self):
        """S4 S5: the members are restarted one at a time, by the same gates as for a person"""
        self.daemon.settings = "  snapCount: 5000"
        self.daemon.write_manifest()
        self.disturb(lambda: os.kill(self.daemon.process.pid, signal.SIGHUP), MEMBERS)
        for member in MEMBERS:
            with open(self.daemon.configuration(member)) as file:
                self.assertIn("snapCount=5000", file.read())
        self.check()

    def test_second_daemon_on_the_state_directory(self):
        """S5: two daemons would each think that one at a time is theirs to choose"""
        before = self.pids()
        second = subprocess.run([argument.replace("control.sock", "second.sock") for argument in self.daemon.command()],
                                capture_output=True, text=True, timeout=30)
        self.assertEqual(second.returncode, 75, second.stderr)
        self.assertIn("another daemon", second.stderr)
        self.assertEqual(before, self.pids())
        self.check()

    def test_lost_state_directory(self):
        """S2 S9: the members are adopted at their word, and guarded from then on"""
        self.daemon.wait_backup()
        before = self.pids()
        self.daemon.kill()
        shutil.rmtree(self.daemon.state)
        self.daemon.start().wait_whole()
        self.assertEqual(before, self.pids(), "the members were not adopted")
        member = self.random.choice(MEMBERS)
        self.disturb(lambda: self.daemon.signal_member(member, signal.SIGKILL), [member])
        self.daemon.wait_backup()
        self.disturb(lambda: self.daemon.lose_data(member), [member])
        self.check()

    def test_lost_state_directory_and_a_lost_member(self):
        """S2: without a ledger an empty directory beside others with data is still a loss, not a new cluster"""
        self.daemon.wait_backup()
        member = self.random.choice(MEMBERS)

        def lose():
            self.daemon.kill()
            shutil.rmtree(self.daemon.state)
            self.daemon.lose_data(member)
            self.daemon.start()
        self.disturb(lose, [member])
        self.assertIn("quarantine", " ".join(os.listdir(self.daemon.data)) + self.daemon.events())
        self.check()


class WithoutBackup(Scenario):
    options = {"schedule": "every 10h"}

    def test_no_verified_backup(self):
        """S7 S10: the reseed waits for a backup, and begins by itself when there is one"""
        member = self.random.choice(MEMBERS)
        before = self.pids()
        begun = time.monotonic()
        self.daemon.lose_data(member)
        self.hold_of("no backup", "no verified backup")
        self.assertTrue(self.stream.flows(), "the other two are a quorum")
        self.assertFalse(os.path.exists(os.path.join(self.daemon.member_directory(member), "version-2")))
        self.back_up()
        self.daemon.wait_renewed({member: before[member]})
        self.times_whole.append(time.monotonic() - begun)
        self.check()


if __name__ == "__main__":
    unittest.main()
