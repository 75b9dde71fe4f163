"""Three servers of their own, without a daemon, for what a client and the members' processes do to each other."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import daemon


class TrioCase(unittest.TestCase):
    """`start` launches members 1 to 3; `settings` are further lines of their configurations."""

    def setUp(self):
        self.program = daemon.binary("ensemble-server")
        if not self.program:
            self.skipTest("ensemble-server is not built (scripts/build)")
        self.directory = tempfile.mkdtemp(prefix="ensembled-trio-")
        self.servers = {}
        self.addCleanup(self.clean)

    def clean(self):
        for process in self.servers.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        if not os.environ.get("KEEP_FILES"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *lines, own=None):
        """`own`: further lines of single members."""
        first, lock = daemon.free_ports()
        self.addCleanup(lock.close)
        self.ports = {member: first + member - 1 for member in (1, 2, 3)}
        members = [f"server.{member}=127.0.0.1:{first + 2 + member}:{first + 6 + member}" for member in (1, 2, 3)]
        for member in (1, 2, 3):
            data = os.path.join(self.directory, str(member))
            os.makedirs(data)
            for name, content in (("myid", f"{member}\n"), ("initialize", "")):
                with open(os.path.join(data, name), "w") as file:
                    file.write(content)
            with open(os.path.join(self.directory, f"{member}.cfg"), "w") as file:
                file.write("\n".join((f"dataDir={data}", f"clientPort={self.ports[member]}", "clientPortAddress=127.0.0.1",
                                      "initLimit=10", "syncLimit=10", "4lw.commands.whitelist=*", "preAllocSize=64",
                                      "maxClientCnxns=0", *members, *lines, *(own or {}).get(member, ()), "")))
        for member in (1, 2, 3):
            self.launch(member)

    def launch(self, member):
        with open(self.log(member), "a") as log:
            self.servers[member] = subprocess.Popen(
                [self.program, os.path.join(self.directory, f"{member}.cfg")], stdout=log, stderr=log)

    def serve(self, within=60):
        """Waits until all three serve; gives (leader, followers)."""
        def roles():
            roles = {member: self.monitor(member, "server_state") for member in self.ports}
            return roles if sorted(map(str, roles.values())) == ["follower", "follower", "leader"] else None
        found = daemon.wait_for("all members serve", roles, within, self.said)
        return (next(member for member in found if found[member] == "leader"),
                [member for member in found if found[member] == "follower"])

    def signal(self, number, *members):
        for member in members:
            self.servers[member].send_signal(number)

    def log(self, member):
        return os.path.join(self.directory, f"{member}.log")

    def said(self):
        texts = []
        for member in sorted(self.servers):
            with open(self.log(member), errors="replace") as file:
                texts.append(f"--- {member}\n" + "".join(file.readlines()[-30:]))
        return "\n".join(texts)

    def word(self, member, word):
        try:
            with socket.create_connection(("127.0.0.1", self.ports[member]), timeout=5) as connection:
                connection.settimeout(5)
                connection.sendall(word.encode())
                answer = b""
                while data := connection.recv(65536):
                    answer += data
                return answer.decode()
        except OSError:
            return ""

    def monitor(self, member, key):
        lines = (line.split("\t") for line in self.word(member, "mntr").splitlines() if "\t" in line)
        return next((value for name, value in lines if name == f"zk_{key}"), None)

    def memory(self, member, kind="VmHWM"):
        """MiB: the most that was ever resident, or what `kind` of /proc/PID/status says."""
        with open(f"/proc/{self.servers[member].pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(kind)) / 1024
