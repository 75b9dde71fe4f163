"""S9: the daemon is killed in every phase of what takes several steps; the next one adopts the members and finishes."""
import threading
import time
import unittest

import daemon
from scenario import MEMBERS, QUICK, Scenario
from stream import Stream


# The phases that the daemon writes down, in their order.
RESEED = ("fencing", "quarantining", "seeding", "waiting", "joining")
ROLL = ("choosing", "stopping", "joining", "soaking")
COLD_BACKUP = ("choosing", "stopping", "copying", "joining")
RESTORE = ("verifying", "stopping", "quarantining", "seeding", "starting")


class Interrupted(Scenario):
    def kill_in(self, phase, order, within=60):
        """Kills the daemon the moment it has written down that `phase` begins, or one that comes after it in `order`: a
        phase may be over before it was seen."""
        due = [f'"{name}"' for name in order[order.index(phase):]]
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            text = self.daemon.intents()
            if any(name in text for name in due):
                # A moment into the phase, so that its actions have begun.
                time.sleep(self.random.choice((0, 0, 0.002, 0.01, 0.05)))
                self.daemon.kill()
                return
            time.sleep(0.001)
        raise AssertionError(f"phase {phase} was not seen within {within} s\n{self.daemon.explain()}")

    def kill_in_each(self, phases, order, begin, members):
        """`begin` starts the operation, once per phase."""
        for phase in phases:
            before = self.pids()
            begun = time.monotonic()
            chosen = members()
            worker = threading.Thread(target=begin, args=(chosen,))
            worker.start()
            self.kill_in(phase, order)
            worker.join(60)
            time.sleep(self.random.uniform(0, 1))
            self.daemon.start()
            self.daemon.wait_renewed({member: before[member] for member in chosen})
            daemon.wait_for("nothing is left to do", lambda: '"phase"' not in self.daemon.intents(), 30, self.daemon.explain)
            self.times_whole.append(time.monotonic() - begun)

    def test_reseed(self):
        """S1 S2 S3 S6"""
        self.daemon.wait_backup()
        phases = self.random.sample(RESEED, 2) if QUICK else RESEED
        self.kill_in_each(phases, RESEED, lambda members: self.daemon.lose_data(*members), lambda: self.random.sample(MEMBERS, 1))
        self.check()

    def test_reseed_that_a_person_asked_for(self):
        """S4 S9"""
        self.daemon.wait_backup()
        phases = self.random.sample(RESEED, 1) if QUICK else RESEED
        self.kill_in_each(phases, RESEED, lambda members: self.daemon.ask("reseed", str(members[0]), "--no-wait"),
                          lambda: self.random.sample(MEMBERS, 1))
        self.check()

    def test_rolling_restart(self):
        """S4 S5"""
        self.kill_in_each(self.random.sample(ROLL, 2) if QUICK else ROLL, ROLL,
                          lambda _: self.daemon.ask("restart", "--rolling", "--no-wait"), lambda: MEMBERS)
        self.check()

    def test_live_backup(self):
        """S7: a backup that was cut off does not exist; what is listed is whole"""
        for _ in range(2 if QUICK else 8):
            self.daemon.wait_whole()
            self.daemon.ask("backup", "create", "--no-wait")
            time.sleep(self.random.uniform(0, 0.4))
            self.daemon.kill()
            self.daemon.start()
        self.daemon.wait_whole()
        self.back_up()
        self.verify_all()
        self.check()

    def test_cold_backup(self):
        """S4 S7: the stopped follower is started again by the next daemon"""
        for phase in COLD_BACKUP:
            worker = threading.Thread(target=lambda: self.daemon.ask("backup", "create", "--mode", "cold", "--no-wait"))
            worker.start()
            self.kill_in(phase, COLD_BACKUP)
            worker.join(60)
            begun = time.monotonic()
            self.daemon.start().wait_whole()
            self.times_whole.append(time.monotonic() - begun)
        self.verify_all()
        self.check()

    def verify_all(self):
        for backup in self.daemon.backups():
            done = self.daemon.ask("backup", "verify", backup["id"], within=120)
            while done.returncode == 4 and "a backup is under way" in done.stderr:
                # The schedule's; each is over in a moment.
                time.sleep(0.2)
                done = self.daemon.ask("backup", "verify", backup["id"], within=120)
            # Retention may have removed it meanwhile.
            if backup["id"] in [b["id"] for b in self.daemon.backups()]:
                self.assertEqual(done.returncode, 0, f"{backup}\n{done.stdout}{done.stderr}")

    def test_restore(self):
        """S3 S6 S8: however often it is interrupted, the cluster is the backup's, and time does not go back"""
        self.stream.stop()
        chosen = self.back_up()
        watcher = Stream.client(self.daemon.hosts, timeout=20.0)
        self.addCleanup(Stream.close, watcher)
        for phase in RESTORE:
            watcher.create(f"/stream/after-{phase}", b"forgotten")
            # What this client has seen is younger than anything in the backup.
            seen = watcher.exists(f"/stream/after-{phase}").czxid
            begun = time.monotonic()
            worker = threading.Thread(target=self.daemon.ask, args=("restore", chosen, "--confirm", daemon.CLUSTER, "--no-wait"))
            worker.start()
            self.kill_in(phase, RESTORE)
            worker.join(60)
            self.daemon.start().wait_whole()
            self.times_whole.append(time.monotonic() - begun)
            self.assertIsNone(watcher.retry(watcher.exists, f"/stream/after-{phase}"))
            watcher.retry(watcher.ensure_path, f"/younger-{phase}")
            # S8: a client that saw the forgotten future is served, and all that comes is younger than it.
            self.assertGreater(watcher.retry(watcher.exists, f"/younger-{phase}").czxid, seen)
        self.assertEqual(self.stream.lost()[:10], [], self.daemon.explain())
        self.say(self.stream.gap)


if __name__ == "__main__":
    unittest.main()
