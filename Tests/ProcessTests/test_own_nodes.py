"""The daemon's nodes in the ensemble are its own (S5): no client holds it up, and no session that was left does."""
import base64
import hashlib
import json
import os
import shutil
import signal
import stat
import time
import unittest

import daemon
from stream import HAS_KAZOO

if HAS_KAZOO:
    from kazoo.client import KazooClient
    from kazoo.exceptions import NoAuthError, NoNodeError


class OwnNodes:
    """Both engines."""
    engine = None

    def setUp(self):
        if not HAS_KAZOO:
            self.skipTest("Debian's package `python3-kazoo` is not installed")
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)

    def begin(self, **options):
        self.daemon = daemon.Daemon(self.engine, **options)
        self.addCleanup(self.daemon.close)
        self.daemon.start().wait_whole()
        self.client = KazooClient(self.daemon.hosts, timeout=10)
        self.client.start(60)
        self.addCleanup(self.client.stop)

    def refused(self, ask, *arguments):
        try:
            ask(*arguments)
        except NoAuthError:
            return True
        except NoNodeError:
            return False
        return False

    def wait_bound(self):
        daemon.wait_for("the daemon's nodes are there", lambda: self.client.exists("/ensembled/barrier"), 60, self.daemon.explain)
        daemon.wait_for("they are its own", lambda: self.refused(self.client.set, "/ensembled/barrier", b""), 30, self.daemon.explain)

    def roll(self, within=120):
        before = {member["id"]: member["pid"] for member in self.daemon.wait_whole()["members"]}
        done = self.daemon.ask("restart", "--rolling", within=within)
        self.assertEqual(done.returncode, 0, done.stderr + self.daemon.explain())
        self.daemon.wait_renewed(before)

    def lock(self):
        """Its stat; asked again where a roll has just taken the client's member."""
        return self.client.retry(self.client.exists, "/ensembled/lock")

    def secret(self):
        with open(os.path.join(self.daemon.state, "session.json")) as file:
            return json.load(file)["secret"]

    def test_no_client_takes_the_lock(self):
        self.begin()
        self.wait_bound()
        self.assertTrue(self.refused(self.client.create, "/ensembled/lock", b"mine"))
        self.assertTrue(self.refused(self.client.delete, "/ensembled/barrier"))
        self.assertEqual(self.client.get_children("/ensembled"), ["barrier"])
        mode = stat.S_IMODE(os.stat(os.path.join(self.daemon.state, "session.json")).st_mode)
        self.assertEqual(mode, 0o600)

    def test_a_daemon_that_lost_its_state_is_known_again(self):
        self.begin()
        self.wait_bound()
        secret = self.secret()
        copies = [os.path.join(self.daemon.member_directory(i), "ensembled.credential") for i in (1, 2, 3)]
        daemon.wait_for("each member has a copy", lambda: all(map(os.path.exists, copies)), 90, self.daemon.explain)
        self.assertEqual(stat.S_IMODE(os.stat(copies[0]).st_mode), 0o600)
        self.daemon.kill()
        shutil.rmtree(self.daemon.state)
        os.unlink(copies[0])
        self.daemon.start().wait_whole()
        self.roll()
        self.assertEqual(self.secret(), secret)

    def test_a_super_user_helps_where_every_copy_is_lost(self):
        """As the README says it. The reload's own roll waits for the lock, too: the members have to be stopped once."""
        self.begin()
        self.wait_bound()
        self.daemon.kill()
        for directory in [self.daemon.state] + [self.daemon.member_directory(i) for i in (1, 2, 3)]:
            for name in ("session.json", "ensembled.credential"):
                if os.path.exists(os.path.join(directory, name)):
                    os.unlink(os.path.join(directory, name))
        self.daemon.start().wait_whole()
        daemon.wait_for("it says why", lambda: "bound to a credential" in self.daemon.events(), 60, self.daemon.explain)
        digest = base64.b64encode(hashlib.sha1(b"super:word").digest()).decode()
        with open(self.daemon.manifest) as file:
            text = file.read()
        with open(self.daemon.manifest, "w") as file:
            file.write(text.replace("settings:\n", f'settings:\n  superDigest: "super:{digest}"\n'))
        os.kill(self.daemon.process.pid, signal.SIGHUP)
        daemon.wait_for("the reload is taken", lambda: "superDigest" in self.in_force(), 30, self.daemon.explain)
        self.daemon.process.terminate()
        self.daemon.process.wait(60)
        self.daemon.start()
        daemon.wait_for("they serve", lambda: (self.daemon.status() or {}).get("quorum", {}).get("participating") == 3, 60,
                        self.daemon.explain)
        # Its first session may have ended with the outage.
        user = KazooClient(self.daemon.hosts, timeout=10, auth_data=[("digest", "super:word")])
        user.start(60)
        self.addCleanup(user.stop)
        user.delete("/ensembled", recursive=True)
        self.roll()

    def in_force(self):
        with open(os.path.join(self.daemon.state, "manifest.yaml")) as file:
            return file.read()

    def test_the_lock_of_a_killed_daemon_is_not_waited_for(self):
        self.begin()
        self.wait_bound()
        before = {member["id"]: member["pid"] for member in self.daemon.wait_whole()["members"]}
        self.daemon.ask("restart", "--rolling", "--no-wait")
        holder = daemon.wait_for("the lock is held", self.lock, 30, self.daemon.explain).owner_session_id
        self.daemon.kill()
        killed = time.monotonic()
        self.daemon.start()
        def other():
            found = self.lock()
            return found and found.owner_session_id != holder
        daemon.wait_for("the next daemon has it", other, 60, self.daemon.explain)
        took = time.monotonic() - killed
        self.daemon.wait_renewed(before)
        print(f"the lock changed hands {took:.1f} s after the daemon's death (its session lasts 6 s)")


class OfTheBundledEngine(OwnNodes, unittest.TestCase):
    engine = daemon.BUNDLED


class OfApache(OwnNodes, unittest.TestCase):
    engine = daemon.APACHE
