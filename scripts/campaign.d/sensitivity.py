"""A judge that finds nothing proves nothing: histories and servers are tampered with, and each time it must name the rule."""
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.append("/usr/lib/python3/dist-packages")
import kazoo.client  # noqa: E402

from ensemble import MEMBERS, Ensemble, daemon  # noqa: E402
from history import History  # noqa: E402

logging.getLogger("kazoo").setLevel(logging.CRITICAL)

# Histories. Each takes the records, changes a few, and says so; None if the history has nothing that it could change.


def by_time(records):
    return sorted(records, key=lambda record: record["start"])


def later_write_with_earlier_zxid(records):
    writes = [record for record in by_time(records) if record["outcome"] == "ok" and record["action"] == "create"]
    writes[-1]["zxid"], writes[0]["zxid"] = writes[0]["zxid"], writes[-1]["zxid"]


def swap_that_two_won(records):
    won = [record for record in by_time(records) if record["outcome"] == "ok" and record["action"] == "swap"]
    lost = [record for record in records if record["outcome"] == "fail" and record.get("error") == "badVersion"
            and record["expected"] == won[-1]["expected"] and record["key"] == won[-1]["key"]]
    copy = dict(lost[0] if lost else won[-1], outcome="ok", version=won[-1]["version"], zxid=won[-1]["zxid"] + (1 << 20))
    copy["value"] = won[-1]["value"] + 500
    records.append(copy)


def number_given_twice(records):
    made = [record for record in by_time(records) if record["outcome"] == "ok" and record["action"] == "sequence"]
    made[-1]["key"] = made[-1]["key"][:-10] + made[0]["key"][-10:]


def read_of_the_past(records):
    for read in reversed(by_time(records)):
        if read["action"] == "get" and read["outcome"] == "ok" and read.get("value"):
            earlier = [other for other in records if other["session"] == read["session"] and other["key"] == read["key"]
                       and other["outcome"] == "ok" and other["action"] in ("get", "set") and other["end"] < read["start"]
                       and 0 < (other.get("zxid") or 0) < read["zxid"]]
            if len(earlier) > 1:
                first = min(earlier, key=lambda other: other["zxid"])
                newest = max(earlier, key=lambda other: other["zxid"])
                if first.get("value") and first["zxid"] < newest["zxid"]:
                    read.update(zxid=first["zxid"], value=first["value"], version=first.get("version"))
                    return


def read_of_what_nobody_wrote(records):
    next(record for record in records if record["action"] == "get" and record.get("value"))["value"] += 7


def stale_read_behind_a_sync(records):
    for read in reversed(by_time(records)):
        if read["action"] == "get" and read["outcome"] == "ok" and read.get("synced") and read.get("zxid") and "value" in read:
            older = [other for other in records if other["key"] == read["key"] and other["action"] in ("set", "swap")
                     and other["outcome"] == "ok" and other["zxid"] < read["zxid"] and other["end"] < read["start"]]
            if len(older) > 2:
                oldest = min(older, key=lambda other: other["zxid"])
                read.update(zxid=oldest["zxid"], value=oldest["value"], version=oldest["version"])
                return


def header_that_goes_back(records):
    # By nothing but the header: an error's, which no other rule looks at.
    last = next(record for record in reversed(by_time(records)) if record.get("header") and record["outcome"] == "fail")
    last["header"] = 1


def watch_that_never_fired(records):
    for watch in (record for record in records if record["action"] == "watch" and record.get("fired")):
        if any(read["action"] == "get" and read["session"] == watch["session"] and read["key"] == watch["key"]
               and read["start"] >= watch["end"] and (read.get("zxid") or 0) > watch["zxid"] for read in records):
            del watch["fired"]
            return


def ephemeral_that_vanished(records):
    """From a read that another one follows which sees it still: before a delete it may well be gone."""
    for made in (record for record in records if record["action"] == "ephemeral" and record["outcome"] == "ok"):
        reads = sorted((read for read in records if read["action"] == "get" and read["key"] == made["key"]
                        and read.get("owner") == made["session"] == read["session"] and read["start"] > made["end"]),
                       key=lambda read: read["start"])
        for read, later in zip(reads, reads[1:]):
            if later["start"] > read["end"] and later.get("zxid") == read.get("zxid"):
                for field in ("owner", "value", "zxid", "version"):
                    read.pop(field, None)
                return


def session_ended_early(records):
    write = next(record for record in records if record["outcome"] == "ok" and record["action"] == "set")
    records.append(dict(write, action="expired", end=write["start"] + 10**9, timeout=6000, session=write["session"]))


TAMPERINGS = [
    ("linearizableWrites", later_write_with_earlier_zxid), ("linearizableWrites", swap_that_two_won),
    ("linearizableWrites", number_given_twice), ("reads", read_of_the_past), ("reads", read_of_what_nobody_wrote),
    ("syncFreshness", stale_read_behind_a_sync), ("sessionOrder", header_that_goes_back), ("watches", watch_that_never_fired),
    ("ephemerals", ephemeral_that_vanished), ("sessions", session_ended_early),
]


class Sensitivity:
    def __init__(self, network, clock, options):
        self.ensemble = Ensemble(options.engine, network, clock)
        self.history = History(self.ensemble, seed=1)
        self.missed = 0

    def run(self):
        try:
            self.ensemble.start().wait_whole()
            self.history.start()
            self.record(12)
            # Sessions of clients that only disconnected must have time to expire before trees are compared.
            self.history.stop()
            self.expect(None, "nothing was tampered with", self.history.judge(5))
            self.tamper_with_histories()
            self.tamper_with_a_node()
            self.roll_back_a_majority()
        finally:
            self.history.stop()
            self.ensemble.close()
        print(f"{self.missed} violations were not seen")
        return 1 if self.missed else 0

    def record(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.history.look()
            time.sleep(0.2)

    def expect(self, rule, what, verdict):
        violations, _ = verdict
        named = sorted({violation.split(":")[0] for violation in violations})
        seen = rule in named if rule else not named
        self.missed += not seen
        print(f"  {'seen' if seen else 'NOT SEEN'}: {what}: {', '.join(named) or 'no violation'}", flush=True)
        if not seen:
            print("    " + "\n    ".join(violations[:5]), flush=True)

    def tamper_with_histories(self):
        whole = {name: open(file).read() for name, file in self.history.files.items()}
        for rule, tampering in TAMPERINGS:
            records = [json.loads(line) for text in whole.values() for line in text.splitlines()]
            before = json.dumps(records)
            tampering(records)
            what = tampering.__name__.replace("_", " ")
            if json.dumps(records) == before:
                self.missed += 1
                print(f"  NOT SEEN: {what}: the history offers no occasion", flush=True)
                continue
            ours, kazoo = self.history.files["ours"], self.history.files["kazoo"]
            with open(ours, "w") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
            open(kazoo, "w").close()
            self.expect(rule, what, self.history.judge(5, servers=False))
        for name, text in whole.items():
            with open(self.history.files[name], "w") as file:
                file.write(text)

    def client(self, hosts):
        # Kazoo's connection is made in this namespace, from where the members can be reached too.
        client = kazoo.client.KazooClient(hosts=hosts, timeout=6.0)
        client.start(timeout=30)
        return client

    def tamper_with_a_node(self):
        """An acknowledged node is deleted behind the recorders' backs."""
        client = self.client(self.ensemble.hosts)
        parent = f"{self.history.root}/c0"
        client.delete(f"{parent}/{sorted(client.get_children(parent))[-1]}")
        client.stop()
        client.close()
        self.expect("durability", "an acknowledged node was deleted", self.history.judge(5))

    def roll_back_a_majority(self):
        """Beyond what is promised: two members get older directories, without the daemon, and the third stays away. They
        serve, and what they lack was acknowledged."""
        first = self.history
        first.root += "-again"
        first.files = {name: file + ".again" for name, file in first.files.items()}
        first.read, first.rest = dict.fromkeys(first.files, 0), dict.fromkeys(first.files, b"")
        first.start()
        self.record(3)
        away, *rolled = MEMBERS
        commands = {member: self.ensemble.member_processes()[self.ensemble.pid(member)] for member in rolled}
        for member in rolled:
            shutil.copytree(self.ensemble.member_directory(member), self.copy(member))
        self.record(3)
        first.stop()
        self.ensemble.kill()
        for member in MEMBERS:
            self.ensemble.signal_member(member, signal.SIGKILL)
        daemon.wait_for("all are dead", lambda: not any(self.ensemble.pid(member) for member in MEMBERS), 20)
        for member in rolled:
            shutil.rmtree(self.ensemble.member_directory(member))
            os.rename(self.copy(member), self.ensemble.member_directory(member))
        started = [self.start(member, commands[member]) for member in rolled]
        try:
            hosts = ",".join(self.ensemble.host(member) for member in rolled)
            client = self.client(hosts)
            client.stop()
            client.close()
            self.expect("durability", "two members with older directories and without the mark serve", first.judge(5, hosts=hosts))
        finally:
            for process in started:
                process.kill()
                process.wait()

    def copy(self, member):
        return os.path.join(self.ensemble.disks[member], "older")

    def start(self, member, command):
        with open(os.path.join(self.ensemble.directory, f"by-hand-{member}.log"), "wb") as log:
            return subprocess.Popen([*self.ensemble.network.entering(member), *[word for word in command if word]],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def run(network, clock, options):
    return Sensitivity(network, clock, options).run()
