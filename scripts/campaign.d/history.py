"""The recorders of a segment, what they have written so far, and the judge of it at the end."""
import json
import os
import subprocess
import time

from ensemble import ROOT, daemon
from network import CLIENTS

OURS, FOREIGN = 5, 3
# Sessions are granted at most twenty ticks.
SESSION_SECONDS = 10
WRITES = {"create", "delete", "set", "swap", "sequence", "ephemeral"}


class History:
    def __init__(self, ensemble, seed, root="/campaign"):
        self.ensemble, self.root, self.seed = ensemble, root, seed
        self.files = {name: os.path.join(ensemble.directory, f"history-{name}.jsonl") for name in ("ours", "kazoo")}
        self.read = dict.fromkeys(self.files, 0)
        self.rest = dict.fromkeys(self.files, b"")
        self.operations = self.acknowledged = self.highest = 0
        self.ends = []
        self.recorders = []

    def start(self):
        total = str(OURS + FOREIGN)
        common = ["--servers", self.ensemble.hosts, "--root", self.root, "--all", total, "--seed", str(self.seed)]
        ours = [daemon.binary("keeper-load"), "history", *common, "--file", self.files["ours"], "--clients", str(OURS),
                "--pause", "8", "--duration", "1000000"]
        kazoo = ["/usr/bin/python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "recorder.py"), *common,
                 "--file", self.files["kazoo"], "--clients", str(FOREIGN), "--first", str(OURS), "--pause", "12"]
        for name, command in (("ours", ours), ("kazoo", kazoo)):
            with open(os.path.join(self.ensemble.directory, f"recorder-{name}.log"), "wb") as log:
                command = [*self.ensemble.network.entering(CLIENTS), *command]
                self.recorders.append((name, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)))
            # The first makes the nodes that both write below.
            daemon.wait_for("the recorder writes", lambda: self.look() and self.read[name] > 0, 60, self.explain)
        return self

    def explain(self):
        texts = []
        for name, process in self.recorders:
            with open(os.path.join(self.ensemble.directory, f"recorder-{name}.log"), errors="replace") as log:
                texts.append(f"--- recorder {name}, exit {process.poll()}\n{log.read()[-2000:]}")
        return "\n".join(texts) + "\n" + self.ensemble.explain()

    def look(self):
        """Takes in what was recorded since the last look. A recorder that ended by itself is a failure."""
        for name, process in self.recorders:
            if process.poll() is not None:
                raise AssertionError(f"a recorder ended by itself\n{self.explain()}")
        for name, file in self.files.items():
            if not os.path.exists(file):
                continue
            with open(file, "rb") as opened:
                opened.seek(self.read[name])
                data = opened.read()
            self.read[name] += len(data)
            lines = (self.rest[name] + data).split(b"\n")
            self.rest[name] = lines.pop()
            for line in lines:
                self.take(json.loads(line))
        return True

    def take(self, record):
        self.operations += 1
        if record["outcome"] == "ok" and record["action"] in WRITES:
            self.acknowledged += 1
            self.highest = max(self.highest, record.get("zxid") or 0)
            self.ends.append(record["end"])

    def longest_gap(self):
        """Seconds without an acknowledged write, since this was last asked and until now."""
        ends = sorted(self.ends) + [time.monotonic_ns()]
        gaps = [later - earlier for earlier, later in zip(ends, ends[1:])]
        self.ends = [ends[-2]] if len(ends) > 1 else []
        return max(gaps, default=0) / 1e9

    def flows(self, within=30):
        """Whether writes are acknowledged now."""
        self.look()
        before = self.acknowledged
        return daemon.wait_for("writes are acknowledged", lambda: self.look() and self.acknowledged > before + 10, within,
                               self.explain)

    def stop(self):
        processes, self.recorders = self.recorders, []
        for _, process in processes:
            process.terminate()
        for _, process in processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.look()

    def judge(self, deposed, servers=True, hosts=None):
        """Violations that the records show, and, with servers, the trees that they hold. - deposed: for how long a leader
        may have been frozen, or without a quorum and not aware of it."""
        command = [*self.ensemble.network.entering(CLIENTS), daemon.binary("keeper-load"), "check", "--root", self.root,
                   "--deposed", str(deposed), "--patience", "60"]
        for file in self.files.values():
            command += ["--file", file]
        if servers:
            command += ["--servers", hosts or self.ensemble.hosts]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.strip().split("\n")
        if done.returncode not in (0, 1) or not lines[-1].endswith("violations"):
            return [f"durability: the judge could not finish: {(done.stderr or done.stdout).strip()}"], ""
        return lines[:-1], lines[-1]
