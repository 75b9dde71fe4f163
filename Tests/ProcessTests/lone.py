"""One standalone server of its own, and a client that speaks the wire itself: for what no client library would do."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

import daemon

CREATE, DELETE, GET, SET, CHILDREN, PING, MULTI, MULTI_READ, SASL, CLOSE = 1, 2, 4, 5, 8, 11, 14, 22, 102, -11
WORLD = struct.pack(">ii", 1, 31) + struct.pack(">i", 5) + b"world" + struct.pack(">i", 6) + b"anyone"


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">i", len(data)) + data


class Wire:
    """One session over one socket. Frames are read as they come; nothing is read in the background."""

    def __init__(self, port, host="127.0.0.1", timeout=10_000, receive=None, resume=None):
        """`resume`: whose session is to be gone on with."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family)
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(60)
        self.socket.connect((host, port))
        self.xid = 0
        self.buffer = bytearray()
        self.events = 0
        session, password = (resume.session, resume.password) if resume else (0, bytes(16))
        self.frame(struct.pack(">iqiq", 0, 0, timeout, session) + text(password) + b"\0")
        answer = self.next()
        self.timeout, self.session = struct.unpack_from(">iq", answer, 4)
        self.password = answer[20:36]

    def frame(self, body):
        self.socket.sendall(struct.pack(">i", len(body)) + body)

    def next(self):
        """The next frame; EOFError if the server has closed."""
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from(">i", self.buffer)[0]:
            data = self.socket.recv(1 << 20)
            if not data:
                raise EOFError("closed by the server")
            self.buffer += data
        size = struct.unpack_from(">i", self.buffer)[0]
        body = bytes(self.buffer[4:4 + size])
        del self.buffer[:4 + size]
        return body

    def send(self, op, body=b"", xid=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.frame(struct.pack(">ii", xid, op) + body)
        return xid

    def answer(self, xid):
        """(error, body) of the reply to `xid`; events that come before it are counted."""
        while True:
            frame = self.next()
            got, _, error = struct.unpack_from(">iqi", frame)
            if got == -1:
                self.events += 1
            elif got == xid:
                return error, frame[16:]

    def ask(self, op, body=b""):
        return self.answer(self.send(op, body))

    def create(self, path, data=b"", flags=0, acl=WORLD):
        return self.ask(CREATE, text(path) + text(data) + acl + struct.pack(">i", flags))

    def get(self, path):
        return self.ask(GET, text(path) + b"\0")

    def close(self):
        self.socket.close()


class LoneCase(unittest.TestCase):
    """A standalone server; `settings` are further lines of its configuration."""
    settings = ""

    def setUp(self):
        program = daemon.binary("ensemble-server")
        if not program:
            self.skipTest("ensemble-server is not built (scripts/build)")
        self.program = program
        self.directory = tempfile.mkdtemp(prefix="ensembled-lone-")
        self.server = None
        self.addCleanup(self.clean)

    def clean(self):
        self.end()
        if not os.environ.get("KEEP_FILES"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def configure(self, *lines, address="127.0.0.1"):
        self.port, self.lock = daemon.free_ports()
        self.addCleanup(self.lock.close)
        with open(os.path.join(self.directory, "zoo.cfg"), "w") as file:
            file.write("\n".join((f"dataDir={self.directory}/data", f"clientPort={self.port}", f"clientPortAddress={address}",
                                  "4lw.commands.whitelist=*", "preAllocSize=64", *lines, "")))
        self.log = open(os.path.join(self.directory, "log"), "w")
        self.addCleanup(self.log.close)

    def start(self, *lines, prefix=(), address="127.0.0.1"):
        self.configure(*lines, address=address)
        self.server = subprocess.Popen([*prefix, self.program, os.path.join(self.directory, "zoo.cfg")], stdout=self.log, stderr=self.log)
        daemon.wait_for("the server serves", lambda: self.word("isro") == "rw", 60, self.said)

    def end(self):
        if self.server:
            self.server.send_signal(signal.SIGKILL)
            self.server.wait()
            self.server = None

    def said(self):
        with open(os.path.join(self.directory, "log")) as file:
            return file.read()

    def word(self, word, host="127.0.0.1"):
        try:
            with socket.create_connection((host, self.port), timeout=10) as connection:
                connection.sendall(word.encode())
                answer = b""
                while data := connection.recv(65536):
                    answer += data
                return answer.decode()
        except OSError:
            return ""

    def monitor(self, key):
        lines = (line.split("\t") for line in self.word("mntr").splitlines() if "\t" in line)
        return next((value for name, value in lines if name == f"zk_{key}"), None)

    def resident(self):
        """MiB."""
        with open(f"/proc/{self.server.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

    def peak(self):
        """MiB: the most that was ever resident."""
        with open(f"/proc/{self.server.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
