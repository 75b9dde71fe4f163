"""The whole tree of one member, as any client may read it, and what two of them differ in."""
import dataclasses
import struct

import wire

WINDOW = 100
GET_DATA, GET_ACL, SYNC, GET_CHILDREN = 4, 6, 9, 8
NO_NODE = -101
STAT = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner", "length", "children", "pzxid")
STAT_FORM = ">qqqqiiiqiiq"


@dataclasses.dataclass(frozen=True)
class Node:
    data: bytes
    stat: bytes
    access: bytes


def read(port):
    """{path: Node} behind a sync. /zookeeper/config is each server's own."""
    session = wire.Session(port)
    session.socket.settimeout(20)
    try:
        _, _, error, _ = session.ask(SYNC, wire.ustring("/"))
        if error:
            raise OSError(f"sync: error {error}")
        tree, level = {}, ["/"]
        while level:
            data = ask_all(session, [(GET_DATA, wire.ustring(path) + b"\0") for path in level])
            access = ask_all(session, [(GET_ACL, wire.ustring(path)) for path in level])
            children = ask_all(session, [(GET_CHILDREN, wire.ustring(path) + b"\0") for path in level])
            below = []
            for path, (body, rights, names) in zip(level, zip(data, access, children)):
                if body is None or rights is None or names is None:
                    # It ended meanwhile: another reading will tell.
                    continue
                tree[path] = Node(body[4:-68] if body[:4] != b"\xff\xff\xff\xff" else b"", body[-68:], rights[:-68])
                below += [child for name in strings(names) if (child := path.rstrip("/") + "/" + name) != "/zookeeper/config"]
            level = below
        session.ask(-11)
        return tree
    finally:
        session.close()


def ask_all(session, requests):
    """The bodies of the replies, None where the node is absent."""
    bodies = []
    for first in range(0, len(requests), WINDOW):
        part = requests[first:first + WINDOW]
        for op, body in part:
            session.xid += 1
            session.frame(struct.pack(">ii", session.xid, op) + body)
        for _ in part:
            reply = session.receive()
            error = struct.unpack(">i", reply[12:16])[0]
            if error not in (0, NO_NODE):
                raise OSError(f"a read was answered with error {error}")
            bodies.append(None if error else reply[16:])
    return bodies


def strings(data):
    count, at, found = struct.unpack(">i", data[:4])[0], 4, []
    for _ in range(count):
        length = struct.unpack(">i", data[at:at + 4])[0]
        found.append(data[at + 4:at + 4 + length].decode())
        at += 4 + length
    return found


def differences(one, other):
    """The first few, in words."""
    found = []
    for path in sorted(one.keys() | other.keys()):
        if one.get(path) != other.get(path):
            found.append(f"{path}: {difference(one.get(path), other.get(path))}")
    return found[:5] + ([f"and {len(found) - 5} more"] if len(found) > 5 else [])


def difference(one, other):
    if one is None or other is None:
        there = one or other
        return f"only in the {'first' if one else 'second'}, made by {struct.unpack('>q', there.stat[:8])[0]:x}"
    parts = [f"{name} {before:x} and {after:x}" for name, before, after in
             zip(STAT, struct.unpack(STAT_FORM, one.stat), struct.unpack(STAT_FORM, other.stat)) if before != after]
    if one.data != other.data:
        parts.append(f"data {one.data[:30]!r} and {other.data[:30]!r}")
    if one.access != other.access:
        parts.append("their access lists")
    return ", ".join(parts)
