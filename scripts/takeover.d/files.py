"""Snapshots and logs of ZooKeeper read in Python: a third reading of the formats, beside Apache's and ours, for tests.
The layouts stand in Apache's FileSnap.java, FileTxnLog.java and SerializeUtils.java."""
import dataclasses
import os
import struct
import zlib

LOG_HEADER = b"ZKLG" + struct.pack(">iq", 2, 0)
ERROR = -1


@dataclasses.dataclass
class Entry:
    """One transaction in a log. - digest: of the tree after it as the leader announced it, or None."""
    zxid: int
    kind: int
    checksum: int
    digest: int | None
    file: str
    start: int
    end: int


def start_zxid(name):
    """Of `log.1f` and `snapshot.1f.gz`: 0x1f."""
    return int(name.split(".")[1], 16)


def named(folder, prefix):
    """The files `prefix.<hexadecimal>` in the order of their numbers."""
    return sorted((name for name in os.listdir(folder) if name.startswith(prefix + ".")), key=start_zxid)


def entries_of(path):
    """The whole entries of one log file, up to its zeros or its torn end."""
    with open(path, "rb") as file:
        data = file.read()
    at, entries = 16, []
    while at + 12 <= len(data):
        checksum, length = struct.unpack(">qi", data[at:at + 12])
        end = at + 12 + length + 1
        if length <= 0 or end > len(data) or zlib.adler32(data[at + 12:end - 1]) != checksum or data[end - 1] != 0x42:
            break
        payload = data[at + 12:end - 1]
        zxid, kind = struct.unpack(">q8xi", payload[12:32])
        # Nothing says where a transaction's body ends but the body itself; a digest is version 2 and eight bytes at the end.
        has_digest = kind != ERROR and len(payload) >= 44 and payload[-12:-8] == b"\0\0\0\2"
        digest = struct.unpack(">Q", payload[-8:])[0] if has_digest else None
        entries.append(Entry(zxid, kind, checksum, digest, os.path.basename(path), at, end))
        at = end
    return entries


def log_entries(folder):
    """Of all log files of a `version-2`, in order."""
    return [entry for name in named(folder, "log") for entry in entries_of(os.path.join(folder, name))]


def was_synchronising(folder):
    """Whether the log is of a later epoch than the one that its server took over last."""
    with open(os.path.join(folder, "currentEpoch"), "rb") as file:
        current = int(file.read())
    entries = log_entries(folder)
    return bool(entries) and entries[-1].zxid >> 32 > current


def missing(folder):
    """(before, after) of the first place inside an epoch where the logs lack transactions that no snapshot makes up for, or
    None. 3.8.0 leaves such logs: a learner that is being brought up may apply what it never logs (class of ZOOKEEPER-4646)."""
    covered = max(map(start_zxid, named(folder, "snapshot")), default=0)
    last = 0
    for entry in log_entries(folder):
        if last and entry.zxid > last + 1 and entry.zxid >> 32 == last >> 32 and entry.zxid > covered + 1:
            return last, entry.zxid
        last = max(last, entry.zxid)
    return None


@dataclasses.dataclass
class SnapshotSummary:
    nodes: int
    sessions: int
    # The highest transaction that any node names.
    newest: int
    # The two are in snapshots of 3.6 and later.
    zxid: int | None
    digest: int | None


def read_snapshot(path):
    """What an uncompressed snapshot holds."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] != b"ZKSN":
        raise ValueError(f"{path}: no snapshot")
    at = 16

    def number(form):
        nonlocal at
        (value,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return value

    def buffer():
        nonlocal at
        length = max(number(">i"), 0)
        at += length
        return data[at - length:at]

    sessions = number(">i")
    at += 12 * sessions
    for _ in range(number(">i")):
        number(">q")
        for _ in range(number(">i")):
            number(">i")
            buffer()
            buffer()
    nodes = newest = 0
    while buffer() != b"/":
        buffer()
        at += 8
        newest = max(newest, *struct.unpack_from(">qq", data, at), *struct.unpack_from(">q", data, at + 52))
        at += 60
        nodes += 1
    at += 8 + 5
    if at + 20 > len(data):
        return SnapshotSummary(nodes, sessions, newest, None, None)
    return SnapshotSummary(nodes, sessions, newest, number(">q"), (number(">i"), number(">Q"))[1])
