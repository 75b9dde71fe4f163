"""The experiment that shows why a naive reseed loses data: B's disk lost, A killed, stale C alive.

A leads; A and B acknowledge writes that C, which is down, does not get. Then B loses its disk, A goes down, C comes back. B
and C are a majority, and neither has those writes: whoever lets the amnesiac B vote loses them. S2 and S4 forbid it, S1 is
what must come out. Each protection is then taken away by hand once, to show that the experiment sees the loss.
"""
import os
import shutil
import signal
import subprocess
import time
import unittest

import daemon
from scenario import QUICK
from stream import HAS_KAZOO, Stream

RUNS = int(os.environ.get("RUNS", 2 if QUICK else 20))
# How long B and C have to do the wrong thing: several elections, and several tries of a daemon to bring B back.
AWAY = 8.0


class Experiment:
    engine = None
    tick = "300ms"

    def setUp(self):
        reason = daemon.missing(self.engine)
        if reason:
            self.skipTest(reason)

    def prepare(self):
        """Three members; A (the leader) and B hold acknowledged writes that C lacks. Gives A, B, C and what happened."""
        cluster = daemon.Daemon(self.engine, tick=self.tick)
        self.addCleanup(cluster.close)
        cluster.start().wait_whole()
        stream = Stream(cluster.hosts, writers=2).start()
        self.addCleanup(stream.stop)
        self.assertTrue(stream.flows())
        cluster.wait_backup()
        a = cluster.leader()
        b, c = (member for member in (1, 2, 3) if member != a)
        cluster.hold_down(c)
        self.assertTrue(stream.flows(), "A and B are a quorum and must serve")
        return cluster, stream, (a, b, c)

    def test_reference_experiment(self):
        """S1 S2 S4 S10: B is not brought back while A is away, and nothing is lost"""
        times, writes = [], 0
        for run in range(RUNS):
            with self.subTest(run=run + 1):
                taken, count = self.run_once()
                times.append(taken)
                writes += count
        if times:
            print(f"\n    {len(times)} of {RUNS} runs, {writes} writes acknowledged and kept, whole again within {max(times):.1f} s of A's return ",
                  end="", flush=True)

    def run_once(self):
        cluster, stream, (a, b, c) = self.prepare()
        try:
            cluster.hold_down(a)
            cluster.lose_data(b)
            cluster.let_up(c)
            # Answers that were on their way when A died.
            time.sleep(0.5)
            acknowledged = stream.count
            time.sleep(AWAY)
            view = cluster.wait_status()
            # S4: neither the amnesiac B nor C, which lags, may make a quorum of the two.
            self.assertEqual(stream.count, acknowledged, f"B and C took writes without A\n{cluster.explain()}")
            self.assertIsNone(view["quorum"].get("leader"), cluster.explain())
            # S10: what it waits for is said.
            self.assertTrue(any(hold.get("member") == b or f"member {b}" in hold["what"] for hold in view["held"]), cluster.explain())
            cluster.let_up(a)
            begun = time.monotonic()
            cluster.wait_whole()
            taken = time.monotonic() - begun
            self.assertTrue(stream.flows(), cluster.explain())
            stream.stop()
            lost = stream.lost()
            self.assertEqual(lost[:10], [], f"{len(lost)} of {stream.count} acknowledged writes are lost\n{cluster.explain()}")
            return taken, stream.count
        finally:
            stream.stop()
            cluster.close()

    # By hand, without the daemon

    def by_hand(self, protected):
        """B comes back as the naive operator has it, and C with it; A stays away. What B and C then serve, or None."""
        cluster, stream, (a, b, c) = self.prepare()
        stream.stop()
        command = {member: cluster.member_processes()[cluster.pid(member)] for member in (a, b)}
        cluster.kill()
        for member in (a, b):
            cluster.signal_member(member, signal.SIGKILL)
        daemon.wait_for("A and B are dead", lambda: not cluster.pid(a) and not cluster.pid(b), 10)
        # The launcher of C gets another configuration file than B's; all else is the same.
        arguments = [argument for argument in command[b] if argument]
        cluster.let_up(c)
        arguments = self.bring_back(cluster, arguments, b, c, protected)
        started = []
        try:
            for member in (b, c):
                own = arguments[:-1] + [cluster.configuration(member)]
                with open(os.path.join(cluster.directory, f"by-hand-{member}.log"), "ab") as log:
                    started.append(subprocess.Popen(own, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            stream.hosts = ",".join(cluster.host(member) for member in (b, c))
            served = self.served(stream.hosts)
            # Whoever else had their ports would be asked in their place, and nothing would be shown.
            for member, process in zip((b, c), started):
                self.assertIsNone(process.poll(), f"member {member} ended\n{self.said(cluster, (b, c))}")
            lost = stream.lost() if served else None
            if served and protected:
                print(self.said(cluster, (b, c)))
            return lost
        finally:
            for process in started:
                process.kill()
                process.wait()
            cluster.close()

    @staticmethod
    def said(cluster, members):
        logs = []
        for member in members:
            with open(os.path.join(cluster.directory, f"by-hand-{member}.log"), errors="replace") as log:
                logs.append(f"--- member {member}\n" + "".join(log.readlines()[-60:]))
        return "\n".join(logs)

    @staticmethod
    def served(hosts):
        """Whether B and C serve within the time that is enough when they are let."""
        client = daemon_client(hosts)
        try:
            client.start(timeout=AWAY + 4)
            return True
        except Exception:
            return False
        finally:
            Stream.close(client)

    def test_without_protection_the_loss_is_seen(self):
        lost = self.by_hand(protected=False)
        self.assertTrue(lost, "B and C should have served without the acknowledged writes: the experiment proves nothing")
        print(f"\n    without protection B and C serve, and {len(lost)} times an acknowledged write is missing ", end="", flush=True)

    def test_with_protection_b_and_c_do_not_serve(self):
        """S2: the same steps, B marked as one that must abstain"""
        self.assertIsNone(self.by_hand(protected=True), "an amnesiac B made a quorum with C")


def daemon_client(hosts):
    import kazoo.client
    return kazoo.client.KazooClient(hosts=hosts, timeout=6.0)


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class Bundled(Experiment, unittest.TestCase):
    engine = daemon.BUNDLED

    def bring_back(self, cluster, arguments, b, c, protected):
        """B gets an old copy: C's files, which are what B itself had a while ago."""
        old, new = (os.path.join(cluster.member_directory(member), "version-2") for member in (c, b))
        shutil.rmtree(new)
        shutil.copytree(old, new)
        if protected:
            subprocess.run([*arguments[:-1], "--mark-recovering", "an old copy", cluster.configuration(b)], check=True, capture_output=True)
        return arguments


@unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
class Apache(Experiment, unittest.TestCase):
    engine = daemon.APACHE

    def bring_back(self, cluster, arguments, b, c, protected):
        """B comes back empty, with Apache's default of voting on nothing, or without."""
        shutil.rmtree(os.path.join(cluster.member_directory(b), "version-2"))
        switch, key = "-Dzookeeper.db.autocreate=", "db.autocreate="
        self.assertIn(switch + "false", arguments)
        with open(cluster.configuration(b)) as file:
            text = file.read()
        # Apache's server makes properties of keys that it does not know, so the file has a say as well.
        self.assertIn(key + "false", text)
        if protected:
            return arguments
        with open(cluster.configuration(b), "w") as file:
            file.write(text.replace(key + "false", key + "true"))
        return [switch + "true" if argument.startswith(switch) else argument for argument in arguments]


if __name__ == "__main__":
    unittest.main()
