"""A script's requests as bytes, and a server's frames as values (Jute: big-endian, no tags).

Where a text or buffer stands in a step, these stand for it in JSON: a string; null, which is length −1;
{"hex": "…"} for bytes that are no text; {"repeat": ["x", n]}; {"length": n} for a length that nothing follows.
"""
import struct

OPS = {
    "create": 1, "delete": 2, "exists": 3, "getData": 4, "setData": 5, "getACL": 6, "setACL": 7, "getChildren": 8,
    "sync": 9, "ping": 11, "getChildren2": 12, "check": 13, "multi": 14, "create2": 15, "reconfig": 16,
    "checkWatches": 17, "removeWatches": 18, "createContainer": 19, "deleteContainer": 20, "createTTL": 21,
    "multiRead": 22, "auth": 100, "setWatches": 101, "sasl": 102, "getEphemerals": 103, "getAllChildrenNumber": 104,
    "setWatches2": 105, "addWatch": 106, "whoAmI": 107, "createSession": -10, "closeSession": -11, "error": -1,
    "notification": 0}
NAMES = {number: name for name, number in OPS.items()}

CREATE = (("path", "text"), ("data", "text"), ("acl", "acl"), ("flags", "int"))
VERSIONED = (("path", "text"), ("version", "int"))
WATCHED = (("path", "text"), ("watch", "bool"))
PATH = (("path", "text"),)
TYPED = (("path", "text"), ("type", "int"))
WATCHES = (("zxid", "zxid"), ("data", "texts"), ("exist", "texts"), ("child", "texts"))
BODIES = {
    "create": CREATE, "create2": CREATE, "createContainer": CREATE, "createTTL": CREATE + (("ttl", "long"),),
    "delete": VERSIONED, "check": VERSIONED, "exists": WATCHED, "getData": WATCHED, "getChildren": WATCHED,
    "getChildren2": WATCHED, "getACL": PATH, "sync": PATH, "getEphemerals": PATH, "getAllChildrenNumber": PATH,
    "setData": (("path", "text"), ("data", "text"), ("version", "int")),
    "setACL": (("path", "text"), ("acl", "acl"), ("version", "int")),
    "checkWatches": TYPED, "removeWatches": TYPED, "addWatch": (("path", "text"), ("mode", "int")),
    "setWatches": WATCHES, "setWatches2": WATCHES + (("persistent", "texts"), ("recursive", "texts")),
    "auth": (("type", "int"), ("scheme", "text"), ("credential", "text")),
    "reconfig": (("joining", "text"), ("leaving", "text"), ("members", "text"), ("config", "long")),
    "sasl": (("token", "text"),), "deleteContainer": PATH, "createSession": (("timeout", "int"),)}

# What follows a reply's header if its error is 0.
REPLIES = {
    "create": ("text",), "sync": ("text",), "create2": ("text", "stat"), "createContainer": ("text", "stat"),
    "createTTL": ("text", "stat"), "exists": ("stat",), "setData": ("stat",), "setACL": ("stat",),
    "getData": ("text", "stat"), "getACL": ("acl", "stat"), "getChildren": ("texts",), "getChildren2": ("texts", "stat"),
    "multi": ("results",), "multiRead": ("results",), "addWatch": ("int",), "getEphemerals": ("texts",),
    "getAllChildrenNumber": ("int",), "whoAmI": ("identities",), "reconfig": ("text", "stat"), "sasl": ("text",)}
RESULTS = {
    "create": ("text",), "create2": ("text", "stat"), "createContainer": ("text", "stat"), "createTTL": ("text", "stat"),
    "setData": ("stat",), "delete": (), "check": (), "getData": ("text", "stat"), "getChildren": ("texts",), "error": ("int",)}

STAT = struct.Struct(">qqqqiiiqiiq")
STAT_FIELDS = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner", "dataLength", "children", "pzxid")


# MARK: to bytes

def text(value):
    if value is None:
        return struct.pack(">i", -1)
    if isinstance(value, dict) and "length" in value:
        return struct.pack(">i", value["length"])
    data = plain(value)
    return struct.pack(">i", len(data)) + data


def plain(value):
    """The bytes that a JSON value stands for."""
    if isinstance(value, dict):
        return value["repeat"][0].encode() * value["repeat"][1] if "repeat" in value else bytes.fromhex(value["hex"])
    return (value or "").encode("utf-8", "surrogatepass")


def vector(items, encode):
    if items is None:
        return struct.pack(">i", -1)
    if isinstance(items, dict):
        return struct.pack(">i", items["length"])
    return struct.pack(">i", len(items)) + b"".join(map(encode, items))


def field(kind, value, base):
    if kind == "text":
        return text(value)
    if kind == "texts":
        return vector(value, text)
    if kind == "acl":
        return vector(value, lambda right: struct.pack(">i", right[0]) + text(right[1]) + text(right[2]))
    if kind == "zxid":
        # Zxids of a script count from its start.
        return struct.pack(">q", value + base)
    return struct.pack({"int": ">i", "long": ">q", "bool": ">b"}[kind], value)


def body(step, base=0):
    """The request's body: what follows xid and type."""
    op = step["op"]
    if op in ("multi", "multiRead"):
        data = b"".join(struct.pack(">ibi", part.get("number", OPS[part["op"]]), 0, -1) + body(part, base) for part in step["parts"])
        data += struct.pack(">ibi", -1, 1, -1)
    else:
        data = b"".join(field(kind, step[name], base) for name, kind in BODIES.get(op, ()))
    return damaged(data, step)


def damaged(data, step):
    """`cut` bytes fewer at the end, a byte changed by `poke`, `more` bytes behind: what no client sends."""
    if "poke" in step and data:
        at, value = step["poke"]
        data = data[:at % len(data)] + bytes([value]) + data[at % len(data) + 1:]
    if "cut" in step:
        data = data[:max(len(data) - step["cut"], 0)]
    return data + bytes.fromhex(step.get("more", ""))


# MARK: to values

class Reader:
    """Raises struct.error or ValueError if the bytes are not what they should be."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values if len(values) > 1 else values[0]

    def text(self):
        length = self.take(">i")
        if length == -1:
            return None
        if length < 0 or self.at + length > len(self.data):
            raise ValueError(f"a length of {length}")
        data = self.data[self.at:self.at + length]
        self.at += length
        return data.decode("utf-8", "backslashreplace")

    def items(self, read):
        count = self.take(">i")
        return None if count == -1 else [read() for _ in range(count)]

    def texts(self):
        return self.items(self.text)

    def identities(self):
        return self.items(lambda: [self.text(), self.text()])

    def acl(self):
        return self.items(lambda: [self.take(">i"), self.text(), self.text()])

    def stat(self):
        values = STAT.unpack_from(self.data, self.at)
        self.at += STAT.size
        return dict(zip(STAT_FIELDS, values))

    def int(self):
        return self.take(">i")

    def results(self):
        results = []
        while True:
            number, done, error = self.take(">ibi")
            if done:
                return results + [["end", number, error]]
            kinds = RESULTS[NAMES[number]]
            results.append([NAMES[number], error] + [getattr(self, kind)() for kind in kinds])


def reply(op, data):
    """What a reply's body holds; bytes that do not fit the operation are shown as they are."""
    reader = Reader(data)
    try:
        values = [getattr(reader, kind)() for kind in REPLIES.get(op, ())]
    except (struct.error, ValueError, KeyError):
        return [{"unreadable": data[:200].hex(), "of": len(data)}]
    if reader.at != len(data):
        values.append({"behind": data[reader.at:][:200].hex()})
    return values


def event(data):
    reader = Reader(data)
    return [reader.take(">i"), reader.take(">i"), reader.text()]
