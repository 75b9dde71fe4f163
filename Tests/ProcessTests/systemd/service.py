"""One unit ensembled@CLUSTER of a container, as systemctl, journalctl and ensemblectl show it."""
import json
import os
import re
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
UNIT_FOLDER = "/etc/systemd/system"


def wait_for(what, condition, within, describe=lambda: ""):
    """Polls until `condition` gives something true and returns it."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {within} s {describe()}")


class Service:
    def __init__(self, container, cluster, manifest=None):
        self.container, self.cluster = container, cluster
        self.unit = f"ensembled@{cluster}"
        self.manifest_file = f"/etc/ensembled/{cluster}.yaml"
        if manifest is not None:
            self.declare(manifest)

    # Declaring

    def declare(self, text):
        self.manifest = text
        self.container.write(self.manifest_file, text)

    def drop_in(self, text):
        """Settings for this test alone; none: back to the unit as it is shipped."""
        folder = f"{UNIT_FOLDER}/{self.unit}.service.d"
        self.container.write(f"{folder}/test.conf", text)
        self.container.run("systemctl", "daemon-reload")

    # systemd's view

    def systemctl(self, verb, *arguments, check=True, within=90):
        return self.container.run("systemctl", verb, self.unit, *arguments, check=check, within=within)

    def show(self, *names):
        """The named properties, or a single one's value."""
        text = self.systemctl("show", *(f"--property={name}" for name in names)).stdout
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return values if len(names) > 1 else values.get(names[0], "")

    @property
    def main_pid(self):
        return int(self.show("MainPID"))

    @property
    def restarts(self):
        return int(self.show("NRestarts"))

    @property
    def is_active(self):
        return self.systemctl("is-active", check=False).stdout.strip()

    def processes(self):
        """Every process of the unit's cgroup, the daemon's included."""
        group = self.show("ControlGroup") or f"/system.slice/system-ensembled.slice/{self.unit}.service"
        script = f"cat /sys/fs/cgroup/systemd{group}/cgroup.procs /sys/fs/cgroup{group}/cgroup.procs 2>/dev/null; true"
        return {int(pid) for pid in self.container.run("sh", "-c", script).stdout.split()}

    def signal(self, pid, number):
        self.container.run("kill", f"-{int(number)}", str(pid))

    # The journal

    def journal(self, *matches, since=0):
        """Entries of the unit as journald kept them, oldest first; `since`: what `mark` gave."""
        self.container.run("journalctl", "--sync")
        text = self.container.run("journalctl", "-u", self.unit, *matches, "-o", "json", "--no-pager").stdout
        entries = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [entry for entry in entries if int(entry["__REALTIME_TIMESTAMP"]) >= since]

    @staticmethod
    def mark():
        """This moment in the journal. (A cursor would do if journalctl 252 did not skip an entry where the cursor's own
        does not match the filter.)"""
        return time.time_ns() // 1000

    def said(self, text, since):
        """The messages that contain a text, since a mark."""
        return [entry["MESSAGE"] for entry in self.journal(since=since)
                if isinstance(entry.get("MESSAGE"), str) and text in entry["MESSAGE"]]

    def explain(self):
        status = self.systemctl("status", "--no-pager", "-n", "0", check=False).stdout
        lines = [f"{e.get('SYSLOG_IDENTIFIER')}: {e.get('MESSAGE')}" for e in self.journal()[-25:]]
        return "\n".join(["", status.strip(), *lines])

    # The daemon's view

    def ensemblectl(self, *arguments, check=True, within=90):
        return self.container.run("ensemblectl", *arguments, "--cluster", self.cluster, check=check, within=within)

    def status(self):
        done = self.ensemblectl("status", "--json", check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def members(self):
        """Member id → pid, of those that have a process."""
        status = self.status() or {"members": []}
        return {member["id"]: member["pid"] for member in status["members"] if member.get("pid")}

    def is_whole(self):
        status = self.status()
        return status and not status.get("operation") and status["quorum"]["participating"] == 3 and status["quorum"].get("leader") \
            and all(member["participates"] and member["upToDate"] for member in status["members"]) and status

    def wait_whole(self, within=40):
        return wait_for(f"{self.cluster} is whole", self.is_whole, within, self.explain)

    def events(self, code):
        """The daemon's own record, which outlives the container: (member, time) of each event of a kind, in order."""
        path = self.container.path(f"/var/lib/ensembled/{self.cluster}/events.jsonl")
        with open(path) as file:
            events = [json.loads(line) for line in file if line.strip()]
        return [(event.get("member"), event["at"]) for event in events if event["code"] == code]

    @property
    def hosts(self):
        return ",".join(f"127.0.0.1:{port}" for port in re.findall(r"clientPort: (\d+)", self.manifest))


class Session:
    """session.py in the container's network, as a context."""

    def __init__(self, service):
        self.service = service

    def __enter__(self):
        leader = str(self.service.container.leader)
        self.process = subprocess.Popen(
            ["nsenter", "-t", leader, "-n", "--", "/usr/bin/python3", os.path.join(HERE, "session.py"), self.service.hosts],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(f"no client session: {self.process.communicate()[1][-600:]}")
        return self

    def report(self):
        output, errors = self.process.communicate(timeout=90)
        if not output.strip():
            raise AssertionError(f"the client failed: {errors[-600:]}")
        return json.loads(output)

    def check_survived(self, longest_gap):
        """The session and every acknowledged write are still there, and writes never paused for longer than this."""
        report = self.report()
        assert report["session_kept"] and report["ephemeral_kept"], f"the client's session was lost: {report}"
        assert report["lost"] == 0, f"acknowledged writes were lost: {report}"
        assert report["gap"] <= longest_gap, f"no write for {report['gap']} s: {report}"
        return f"{report['acknowledged']} writes, longest gap {report['gap']} s"

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate()
