"""Runs one script against one side (a server or an ensemble) and writes down everything that came back.

A step is over when its reply is there, or its connection is closed, and every connection has answered a ping behind it:
what a server sent before that was caused by this step or an earlier one. So two sessions interleave the same on both
sides.
"""
import base64
import hashlib
import socket
import struct
import time

from . import encoding

PING_XID, EVENT_XID = -2, -1
# Of a drain's sync, which takes the place of the ping where a connection's server may lag behind.
DRAIN_XID = 0x7EEEEEEE
PATIENCE = 10.0
SUPER = "super:differential"
SUPER_DIGEST = "super:" + base64.b64encode(hashlib.sha1(SUPER.encode()).digest()).decode()


class Silence(Exception):
    """Neither an answer nor an end of the connection."""


class Connection:
    """One socket; what arrives is kept in `inbox` until the step that caused it takes it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.inbox = []
        self.asked = {}
        self.is_open = True
        self.greeted = False
        self.password = ""
        self.last_ping_zxid = 0

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            # The end of the connection shows when it is read.
            pass

    def send_frame(self, payload):
        self.send(struct.pack(">i", len(payload)) + payload)

    def request(self, xid, number, body=b"", op=None):
        self.asked[xid] = op
        self.send_frame(struct.pack(">ii", xid, number) + body)

    def frame(self, patience=PATIENCE):
        """The next frame's payload, or None at the end of the connection."""
        deadline = time.monotonic() + patience
        while True:
            if len(self.buffer) >= 4:
                length = struct.unpack_from(">i", self.buffer)[0]
                if len(self.buffer) >= 4 + length:
                    payload, self.buffer = self.buffer[4:4 + length], self.buffer[4 + length:]
                    return payload
            self.socket.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                part = self.socket.recv(1 << 18)
            except TimeoutError:
                raise Silence() from None
            except OSError:
                part = b""
            if not part:
                self.close()
                return None
            self.buffer += part

    def take_in(self, patience=PATIENCE):
        """The xid of the next frame, whose content goes into the inbox; None at the end of the connection."""
        payload = self.frame(patience)
        if payload is None:
            self.inbox.append(["closed"])
            return None
        if not self.greeted:
            self.greeted = True
            self.password = payload[20:36].hex()
            self.identity = int.from_bytes(payload[8:16], "big")
            self.inbox.append(greeting(payload))
            return "greeting"
        if len(payload) < 16:
            self.inbox.append(["short", payload.hex()])
            return "short"
        xid, zxid, error = struct.unpack_from(">iqi", payload)
        if xid == EVENT_XID and xid not in self.asked:
            self.inbox.append(["event", zxid, encoding.event(payload[16:])])
        elif xid not in (PING_XID, DRAIN_XID):
            values = encoding.reply(self.asked.get(xid), payload[16:])
            self.inbox.append(["reply", xid, zxid, error, values])
        else:
            self.last_ping_zxid = zxid
        return xid

    def read_until(self, xid, patience=PATIENCE):
        """True if it came, False if the connection ended first."""
        while self.is_open:
            got = self.take_in(patience)
            if got == xid:
                return True
        return False

    def drain(self, by_sync):
        """Collects what the server has sent by now."""
        if not self.is_open or not self.greeted:
            return
        if by_sync:
            self.request(DRAIN_XID, encoding.OPS["sync"], encoding.text("/"))
            self.read_until(DRAIN_XID)
        else:
            self.request(PING_XID, encoding.OPS["ping"])
            self.read_until(PING_XID)

    def taken(self):
        entries, self.inbox = self.inbox, []
        return entries

    def close(self):
        self.is_open = False
        self.socket.close()


def greeting(payload):
    """A connect answer; the password only by its length, for it follows from the session."""
    try:
        version, timeout, identity, length = struct.unpack_from(">iiqi", payload)
    except struct.error:
        return ["short", payload.hex()]
    return ["connected", version, timeout, identity, length, payload[20 + max(length, 0):].hex()]


def hello(timeout=30_000, identity=0, password="00" * 16, seen=0, version=0, read_only=0):
    """A connect request; `password` null has length −1, `read_only` null leaves the byte out."""
    body = struct.pack(">iqiq", version, seen, timeout, identity)
    body += encoding.text(None if password is None else {"hex": password})
    return body if read_only is None else body + bytes([read_only])


class Player:
    """One side while a script runs. `ports` are the side's servers; session k lives at the k-th, cyclically."""

    def __init__(self, ports, administrator):
        self.ports, self.administrator = ports, administrator
        self.by_sync = len(ports) > 1
        self.connections, self.identities, self.passwords = {}, {}, {}
        # Every session that was opened, in the order of opening.
        self.opened, self.secrets = [], {}
        self.xid = 0
        administrator.drain(self.by_sync)
        administrator.taken()
        self.base = administrator.last_ping_zxid
        self.started = time.time()

    def play(self, steps):
        """The transcript: for each step, what each session received, by session."""
        heard = []
        for step in steps:
            # Behind silence, or the end of the server, nothing is worth waiting for.
            heard.append({"stop": True} if heard and "stop" in heard[-1] else self.step(step))
        return heard

    def step(self, step):
        session = step.get("s", 0)
        before = self.connections.get(session)
        try:
            getattr(self, "do_" + step["do"])(step, session)
            # The asking connection first: the others may only now be told.
            for number in sorted(self.connections, key=lambda n: n != session):
                self.connections[number].drain(self.by_sync)
        except (Silence, OSError) as problem:
            return {str(session): [["silence" if isinstance(problem, Silence) else "no server"]], "stop": True}
        heard = {str(n): entries for n, c in sorted(self.connections.items()) if (entries := c.taken())}
        if before is not None and before is not self.connections.get(session) and (left := before.taken()):
            heard[f"{session} before"] = left
        return heard

    def port(self, session, step):
        return self.ports[step.get("server", session) % len(self.ports)]

    def live(self, session):
        connection = self.connections.get(session)
        return connection if connection and connection.is_open else None

    # MARK: Steps

    def do_open(self, step, session):
        self.greet(step, session, 0, "00" * 16, Connection(self.port(session, step)))

    def do_resume(self, step, session):
        """The session's next connection, beside the one that it has."""
        identity = {"own": self.identities.get(session, 1), "unknown": 0x1234567}[step.get("identity", "own")]
        password = {"right": self.passwords.get(session, "00" * 16), "wrong": "78" * 16, "short": "00", "none": None}
        before = self.live(session)
        self.greet(step, session, identity, password[step.get("password", "right")], Connection(self.port(session, step)))
        if before and step.get("server") is None and step.get("password", "right") == "right":
            # Who holds the session now cuts the other off.
            before.read_until("end")

    def greet(self, step, session, identity, password, connection):
        seen = step.get("seen", 0)
        connection.send_frame(hello(
            step.get("timeout", 30_000), identity, password, seen + self.base if seen else 0, step.get("version", 0),
            step.get("readOnly", 0)))
        connection.take_in()
        answer = connection.inbox[-1]
        if answer[0] != "connected" or answer[3] == 0:
            if connection.is_open:
                connection.read_until("end")
            # A refused connection leaves the session's own in place.
            if session in self.connections:
                self.connections[session].inbox += [["refused"] + entry for entry in connection.taken()]
                return
        else:
            self.identities[session] = answer[3]
            if answer[3] not in self.opened:
                self.opened.append(answer[3])
                self.secrets[answer[3]] = connection.password
            self.passwords[session] = connection.password
        self.connections[session] = connection

    def do_drop(self, step, session):
        if connection := self.live(session):
            connection.close()

    def do_expire(self, step, session):
        """The session gets the shortest timeout by a new connection, and nothing is heard from it any more."""
        if not self.live(session):
            return
        self.do_resume({"timeout": 1}, session)
        connection = self.connections[session]
        deadline = time.monotonic() + PATIENCE
        while connection.is_open and time.monotonic() < deadline:
            try:
                connection.take_in(patience=0.2)
            except Silence:
                for number, other in self.connections.items():
                    if number != session:
                        other.drain(self.by_sync)
                self.administrator.drain(False)

    def do_ask(self, step, session):
        if not (connection := self.live(session)):
            return
        if "xid" in step:
            xid = step["xid"]
        else:
            self.xid += 1
            xid = self.xid
        number = step.get("number", encoding.OPS[step["op"]])
        connection.request(xid, number, encoding.body(step, self.base), step["op"])
        if step["op"] == "closeSession":
            connection.read_until("end")
        elif step.get("closes"):
            # Apache's server closes some time after its answer.
            try:
                connection.read_until("end", patience=0.5)
            except Silence:
                pass
        elif step.keys() & {"cut", "poke"}:
            # Perhaps nobody answers; the drain's ping finds out.
            return
        else:
            connection.read_until(xid)

    def do_frames(self, step, session):
        """Bytes as they are, then a ping: whoever is still connected answers it."""
        if not (connection := self.live(session)):
            return
        connection.send(bytes.fromhex(step["hex"]))
        try:
            connection.read_until("end", patience=0.5)
        except Silence:
            pass

    def do_knock(self, step, session):
        """A connection of its own whose first bytes are the step's."""
        connection = Connection(self.port(session, step))
        connection.send(bytes.fromhex(step["hex"]))
        try:
            connection.take_in(patience=3.0)
            if connection.is_open:
                connection.request(0x55, encoding.OPS["closeSession"], op="closeSession")
                connection.read_until("end", patience=3.0)
        except Silence:
            connection.inbox.append(["silence"])
        connection.close()
        entries = connection.taken()
        if session in self.connections:
            self.connections[session].inbox += [["knock"] + entry for entry in entries]

    def end(self):
        """Ends all sessions, so that only the tree is left, and nothing expires while the next script runs."""
        held = {self.identities.get(number): c for number, c in self.connections.items() if c.is_open and c.greeted}
        for identity in self.opened:
            connection = held.get(identity) or self.regained(identity)
            if not connection.is_open:
                continue
            connection.request(0x7FFFFF, encoding.OPS["closeSession"], op="closeSession")
            try:
                connection.read_until("end")
            except Silence:
                connection.close()
        self.opened = []

    def regained(self, identity):
        """A connection of a session that was dropped; a closed one if the session is over."""
        connection = Connection(self.ports[0])
        connection.send_frame(hello(30_000, identity, self.secrets[identity]))
        connection.take_in()
        if connection.is_open and connection.inbox[-1][3] == 0:
            connection.read_until("end")
        return connection
