"""Writers that count: each knows, for each of its own nodes, what may be there, by what was acknowledged to it."""
import dataclasses
import random
import struct
import threading
import time

import wire

CREATE, DELETE, SET, SYNC, MULTI, CREATE2, CONTAINER, CLOSE = 1, 2, 5, 9, 14, 15, 19, -11
EPHEMERAL, SEQUENCE, AS_CONTAINER = 1, 2, 4
NO_NODE, NODE_EXISTS, BAD_ARGUMENTS = -101, -110, -8
ANY_VERSION = struct.pack(">i", -1)
RESTRICTED = struct.pack(">ii", 2, 31) + wire.ustring("world") + wire.ustring("anyone") + struct.pack(">i", 1) \
    + wire.ustring("ip") + wire.ustring("10.0.0.1")
SESSION_TIMEOUT = 8000
NODES_KEPT = 60


@dataclasses.dataclass
class Write:
    """A request and what it does if it is granted: for each path the value that it leaves, None for none.
    - may_fail: errors that a server is free to answer with.
    - version: that the answer to a set must name."""
    op: int
    body: bytes
    effects: list
    may_fail: tuple = ()
    version: int | None = None
    is_sequence: bool = False
    is_ephemeral: bool = False

    @property
    def path(self):
        return self.effects[0][0]


@dataclasses.dataclass
class Plan:
    """What the writers of a round do; drawn once."""
    containers_by_create: bool
    large_values: bool
    depth: int
    continues_xids: bool


class Ledger:
    """What may stand at each path, all writers together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.allowed = {}
        self.acknowledged = 0
        self.unknown = 0
        self.violations = []

    def granted(self, effects):
        with self.lock:
            self.acknowledged += 1
            for path, value in effects:
                self.allowed[path] = [value]

    def doubt(self, effects):
        """The outcome is not known: what was there, or what was asked for."""
        with self.lock:
            self.unknown += 1
            for path, value in effects:
                self.allowed.setdefault(path, [None]).append(value)

    def fail(self, text):
        with self.lock:
            self.violations.append(text)

    def judge(self, tree, who):
        """What a member's tree lacks, or has too much."""
        found = []
        for path, values in self.allowed.items():
            node = tree.get(path)
            if (node and node.data) not in values:
                found.append(f"{who}: {path} is {shown(node and node.data)}; acknowledged: {' or '.join(map(shown, values))}")
        for path in tree:
            if path.startswith("/w") and path not in self.allowed and "/sequence-" not in path and path.count("/") > 1:
                found.append(f"{who}: {path} was never asked for")
        return found


def shown(value):
    if value is None:
        return "absent"
    return value.decode(errors="replace") if len(value) < 60 else f"{value[:30].decode(errors='replace')}… ({len(value)} bytes)"


class Writer(threading.Thread):
    """One client, one session after the other, several requests on their way at once, all below its own node."""

    def __init__(self, number, seed, plan, ledger, ports):
        super().__init__(daemon=True)
        self.number, self.plan, self.ledger, self.ports = number, plan, ledger, ports
        self.random = random.Random(f"{seed} {number}")
        self.root = f"/w{number}"
        self.counter = 0
        # The nodes whose value is certain, with their versions; what is not granted yet counts as granted while planning.
        self.nodes = {}
        self.ephemerals = []
        self.session = None
        self.identity, self.password, self.last_zxid, self.xid = 0, b"\0" * 16, 0, 0
        self.has_root = False
        self.paused, self.idle, self.ending = threading.Event(), threading.Event(), threading.Event()

    # One batch after the other

    def run(self):
        try:
            while not self.ending.is_set():
                if self.paused.is_set():
                    self.idle.set()
                    time.sleep(0.02)
                    continue
                self.idle.clear()
                try:
                    if self.session is None:
                        self.connect()
                    if not self.has_root:
                        self.make_root()
                    self.batch()
                except (OSError, struct.error):
                    self.disconnect()
                    time.sleep(0.05)
        finally:
            self.idle.set()

    def connect(self):
        if self.random.random() < 0.3:
            self.forget()
        session = wire.Session(self.random.choice(self.ports), SESSION_TIMEOUT, self.identity, self.password, self.last_zxid)
        if session.timeout <= 0:
            session.close()
            self.forget()
            return
        if session.identity != self.identity:
            self.xid = 0
        session.xid = self.xid if self.plan.continues_xids else 0
        session.socket.settimeout(5)
        self.session, self.identity, self.password = session, session.identity, session.password

    def forget(self):
        """The session is left to its expiry; its nodes end some time."""
        self.identity, self.password, self.ephemerals = 0, b"\0" * 16, []

    def disconnect(self):
        if self.session:
            self.xid = self.session.xid
            self.session.close()
            self.session = None

    def make_root(self):
        _, zxid, error, _ = self.session.ask(CREATE, wire.ustring(self.root) + wire.ustring("") + wire.OPEN_ACCESS + struct.pack(">i", 0))
        if error not in (0, NODE_EXISTS):
            raise OSError(f"error {error}")
        self.has_root = True

    def batch(self):
        writes = [self.next_write() for _ in range(self.random.randint(1, self.plan.depth))]
        first = self.session.xid + 1
        answered = 0
        try:
            frames = [struct.pack(">ii", first + index, write.op) + write.body for index, write in enumerate(writes)]
            self.session.xid += len(frames)
            self.session.socket.sendall(b"".join(struct.pack(">i", len(frame)) + frame for frame in frames))
            for index, write in enumerate(writes):
                reply = self.session.receive()
                xid, zxid, error = struct.unpack(">iqi", reply[:16])
                if xid != first + index:
                    self.ledger.fail(f"order: {self.root} asked {first + index} and was answered {xid}")
                    raise OSError("answered out of order")
                if error == -112 or error == -118:
                    raise OSError("the session ended")
                answered += 1
                self.last_zxid = max(self.last_zxid, zxid)
                self.take(write, error, reply[16:], zxid)
        finally:
            for write in writes[answered:]:
                self.doubt(write)
            if answered < len(writes):
                # Planned upon what is now in doubt.
                for write in writes[answered:]:
                    for path, _ in write.effects:
                        self.nodes.pop(path, None)

    def doubt(self, write):
        self.ledger.doubt(write.effects)

    def take(self, write, error, body, zxid):
        if error:
            if error not in write.may_fail:
                self.ledger.fail(f"answer: operation {write.op} of {write.path} got error {error} at {zxid:x} from session "
                                 f"{self.identity & (1 << 64) - 1:x}")
            for path, _ in write.effects:
                self.nodes.pop(path, None)
            if error not in write.may_fail:
                self.doubt(write)
            return
        effects = write.effects
        if write.op == MULTI and body[:4] == struct.pack(">i", -1):
            self.ledger.fail(f"answer: a multi of {write.path} was refused at {zxid:x}: {body[:60].hex()}")
            self.doubt(write)
            return
        if write.op in (CREATE, CREATE2, CONTAINER):
            path = body[4:4 + struct.unpack(">i", body[:4])[0]].decode()
            if write.is_sequence:
                effects = [(path, effects[0][1])]
            elif path != write.path:
                self.ledger.fail(f"answer: the creation of {write.path} was answered with {path} at {zxid:x}")
        if write.version is not None and struct.unpack(">i", body[32:36])[0] != write.version:
            self.ledger.fail(f"answer: a set of {write.path} should have made version {write.version}, not "
                             f"{struct.unpack('>i', body[32:36])[0]}, at {zxid:x}")
        self.ledger.granted(effects)
        if write.is_ephemeral:
            self.ephemerals.append(write.path)
            # From now on it may end with its session.
            self.ledger.doubt([(write.path, None)])

    # What to write

    def next_write(self):
        choice = self.random.randrange(100)
        if len(self.nodes) > NODES_KEPT:
            return self.delete()
        if choice < 45 and self.nodes:
            return self.set(self.random.choice(list(self.nodes)))
        if choice < 70 or len(self.nodes) < 4:
            return self.create()
        if choice < 78:
            return self.delete()
        if choice < 86:
            return self.multi()
        if choice < 90:
            path = self.fresh("ephemeral")
            return Write(CREATE, self.creation(path, self.value(), EPHEMERAL), [(path, self.last_value)], is_ephemeral=True)
        if choice < 93:
            return Write(CREATE, self.creation(f"{self.root}/sequence-", self.value(), SEQUENCE),
                         [(f"{self.root}/sequence-", self.last_value)], is_sequence=True)
        if choice < 96:
            path = self.fresh("container")
            return Write(CONTAINER, self.creation(path, self.value(), AS_CONTAINER), [(path, self.last_value)])
        if self.plan.containers_by_create:
            path = self.fresh("plain")
            # Ours may refuse what makes Apache's server announce a wrong digest.
            return Write(self.random.choice((CREATE, CREATE2)), self.creation(path, self.value(), AS_CONTAINER),
                         [(path, self.last_value)], may_fail=(BAD_ARGUMENTS,))
        return self.create()

    def fresh(self, kind):
        self.counter += 1
        return f"{self.root}/{kind}{self.counter}"

    def value(self):
        self.counter += 1
        text = f"{self.number}:{self.counter}".encode()
        if self.plan.large_values and self.random.randrange(150) == 0:
            text += b"." * self.random.randrange(100_000, 900_000)
        self.last_value = text
        return text

    def creation(self, path, value, flags=0):
        access = RESTRICTED if self.random.randrange(8) == 0 else wire.OPEN_ACCESS
        return wire.ustring(path) + wire.ustring(value) + access + struct.pack(">i", flags)

    def create(self):
        parents = [path for path in self.nodes if path.count("/") < 5]
        path = self.fresh("n")
        if parents and self.random.randrange(3) == 0:
            path = f"{self.random.choice(parents)}/n{self.counter}"
        self.nodes[path] = 0
        return Write(CREATE, self.creation(path, self.value()), [(path, self.last_value)])

    def set(self, path):
        self.nodes[path] += 1
        return Write(SET, wire.ustring(path) + wire.ustring(self.value()) + ANY_VERSION, [(path, self.last_value)],
                     version=self.nodes[path])

    def delete(self):
        leaves = [path for path in self.nodes if not self.has_children(path)]
        if not leaves:
            return self.create()
        path = self.random.choice(leaves)
        del self.nodes[path]
        return Write(DELETE, wire.ustring(path) + ANY_VERSION, [(path, None)])

    def has_children(self, path):
        """- Those in doubt count too: a path that was ever used below it."""
        return any(other.startswith(path + "/") for other in self.nodes) \
            or any(other.startswith(path + "/") and values != [None] for other, values in list(self.ledger.allowed.items()))

    def multi(self):
        parts = [self.create(), self.create()]
        if len(self.nodes) > 4:
            parts += [self.set(self.random.choice(list(self.nodes))), self.delete()]
        effects = {}
        for part in parts:
            effects.update(part.effects)
        body = b"".join(struct.pack(">i?i", part.op, False, -1) + part.body for part in parts)
        return Write(MULTI, body + struct.pack(">i?i", -1, True, -1), list(effects.items()))

    def end(self):
        """Ends the session in order, as far as its server allows it."""
        self.ending.set()
        self.join(15)
        if self.session:
            try:
                _, _, error, _ = self.session.ask(CLOSE)
                if not error:
                    self.ledger.granted([(path, None) for path in self.ephemerals])
            except OSError:
                pass
            self.disconnect()
