"""Scripts from seeds: the same seed, the same script, on every machine.

Few names, so that steps meet; mostly legal, so that there is something to meet; every illegal argument now and then.
"""
import random

SESSIONS = 3
NAMES = ("/a", "/b", "/a/x", "/a/y", "/a/x/1", "/b/x", "/b/x/2", "/é", "/日本/語")
SYSTEM = ("/", "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/n", "/zookeeper/config/n")
BAD = ("", "a", "a/b", "/a/", "//", "//a", "/a//b", "/.", "/..", "/a/.", "/a/../b", "/a/./b", "/a\0b", "/\u0001", "/\u007f", "/a\u0085",
       "/\ud800", "/\ue000", "/\uf8ff", "/\ufff0", "/\uffff", "/\U0001F600", "/a\n", "/zookeeper/", None,
       {"hex": "2fff"}, {"hex": "2fc080"}, {"hex": "2fe28228"}, {"hex": "2f61c3"})
ODD = ("/...", "/.a", "/a.", "/ ", "/a b", "/%2f", "/\ufeff", "/\u00a0", "/e\u0301", "/\uffef", "/" + "n" * 300,
       {"repeat": ["/n", 200]})
DATA = ("", "d", "data", "ü", None, {"hex": "00ff80"}, {"repeat": ["x", 1000]})
OPEN = [[31, "world", "anyone"]]
USERS = ("ann:a", "ben:b")
ANN = "ann:i9V/d2HTT0sehGWzvQcFNipywIQ="
LISTS = (OPEN, [[1, "world", "anyone"]], [[30, "world", "anyone"]], [[31, "auth", ""]], [[15, "auth", "ignored"]],
         [[31, "digest", ANN]], [[1, "world", "anyone"], [31, "digest", ANN]], [[31, "ip", "127.0.0.1"]], [[31, "ip", "127.0.0.0/8"]],
         [[31, "ip", "10.0.0.1"]], [[1, "ip", "127.0.0.1"], [16, "world", "anyone"]], [[0, "world", "anyone"]],
         [[31, "world", "anyone"], [31, "world", "anyone"]], [[31, "auth", ""], [1, "world", "anyone"]])
BAD_LISTS = ([], None, [[31, "world", "someone"]], [[31, "none", "x"]], [[31, "digest", "nocolon"]], [[31, "digest", "a:b:c"]],
             [[31, "digest", ""]], [[31, "ip", "nonsense"]], [[31, "ip", "1.2.3"]], [[31, "ip", "1.2.3.4/33"]], [[31, "ip", "1.2.3.4/-1"]],
             [[31, "super", ""]], [[31, "x509", "CN=a"]], [[31, "sasl", "a"]], [[31, "", ""]], [[31, None, None]],
             [[31, "world", None]], [[-1, "world", "anyone"]], [[255, "world", "anyone"]], {"length": -2})
SCHEMES = (("digest", USERS[0]), ("digest", USERS[0]), ("digest", USERS[1]), ("ip", ""), ("ip", "10.0.0.1"), ("digest", "ann:other"))
BAD_SCHEMES = (("world", "anyone"), ("none", "x"), ("digest", "nocolon"), ("digest", ""), ("digest", None), ("super", "a:b"),
               ("auth", ""), ("", ""), (None, None), ("digest", ":"), ("digest", "a:b:c"), ("digest", ":x"))


class Generator:
    def __init__(self, seed, steps):
        self.random = random.Random(seed)
        self.count = steps
        # Each script leans to some kinds of steps, or all scripts would be alike.
        self.lean = {kind: self.random.choice((1, 1, 3, 0.2)) for kind in KINDS}
        self.malice = self.random.choice((0.02, 0.1, 0.3))
        self.is_system = self.random.random() < 0.2
        # Of each session. In 3.8 a watch of one kind replaces that of another at the same path (ZOOKEEPER-4466, 3.9.0):
        # a session that mixed them would differ for that reason all the time.
        self.kinds = [self.random.choice(("one-shot", "persistent", "recursive")) for _ in range(SESSIONS)]

    def script(self):
        steps = [{"s": s, "do": "open"} for s in range(SESSIONS)]
        while len(steps) < self.count:
            made = self.step()
            steps += made if isinstance(made, list) else [made]
        return steps

    def step(self):
        kinds = list(KINDS)
        kind = self.random.choices(kinds, [KINDS[k] * self.lean[k] for k in kinds])[0]
        step = getattr(self, kind)()
        if isinstance(step, dict):
            step = self.of_one_kind({"s": self.random.randrange(SESSIONS), **step})
            if step["do"] == "ask" and self.random.random() < self.malice / 8:
                step.update(self.random.choice((
                    {"cut": self.random.randint(1, 12)}, {"cut": 1000}, {"more": "00"}, {"more": "00000000ffffffff"},
                    {"poke": [self.random.randrange(64), self.random.choice((0, 1, 0x7f, 0x80, 0xff))]})))
                if step["op"].startswith(("create", "multi")):
                    # A changed byte may ask for what KNOWN_DIFFERENCES can't tell from the step.
                    step.pop("poke", None)
        return step

    def of_one_kind(self, step):
        """The step with no watch but of its session's kind."""
        kind = self.kinds[step["s"]]
        if "watch" in step and kind != "one-shot":
            step["watch"] = 0
        if step.get("op") == "addWatch" and step["mode"] in (0, 1):
            if kind == "one-shot":
                return {"s": step["s"], **self.ask("exists", path=step["path"], watch=1)}
            step["mode"] = int(kind == "recursive")
        for name, its_kind in (("data", "one-shot"), ("exist", "one-shot"), ("child", "one-shot"), ("persistent", "persistent"),
                               ("recursive", "recursive")):
            if step.get("op", "").startswith("setWatches") and name in step and kind != its_kind:
                step[name] = []
        return step

    # MARK: Arguments

    def is_bad(self):
        return self.random.random() < self.malice

    def path(self):
        if self.is_bad():
            return self.random.choice(BAD if self.random.random() < 0.7 else ODD)
        if self.random.random() < (0.3 if self.is_system else 0.03):
            return self.random.choice(SYSTEM)
        return self.random.choice(NAMES)

    def data(self):
        return self.random.choice(DATA)

    def acl(self):
        if self.is_bad():
            return self.random.choice(BAD_LISTS)
        return OPEN if self.random.random() < 0.8 else self.random.choice(LISTS)

    def version(self):
        return self.random.choice((-1, -1, -1, -1, 0, 0, 1, 2, -2, 2147483647, -2147483648))

    def watch(self):
        return self.random.choice((0, 0, 1, 1, 1, 2) if self.is_bad() else (0, 1))

    def ask(self, op, **arguments):
        return {"do": "ask", "op": op, **arguments}

    # MARK: Steps

    def creates(self):
        op = self.random.choice(("create", "create", "create", "create2", "create2", "createContainer", "createTTL"))
        flags = {"createContainer": 4, "createTTL": 5}.get(op) or self.random.choice((0, 0, 0, 1, 1, 2, 3))
        if self.is_bad():
            flags = self.random.choice((0, 1, 2, 3, 4, 5, 6, 7, -1, 100))
        step = self.ask(op, path=self.path(), data=self.data(), acl=self.acl(), flags=flags)
        if flags in (2, 3) and isinstance(step["path"], str) and self.random.random() < 0.3:
            step["path"] += "/"
        if op == "createTTL":
            # Never −1: with flags of another kind it ends Apache's server, with all its sessions.
            step["ttl"] = self.random.choice((1000, 0, 1 << 41))
        return step

    def large(self):
        """A frame of about the longest length: one byte more closes the connection."""
        # xid, type, path "/a", access list and flags.
        rest = 8 + 4 + 2 + 4 + 4 + 27 + 4
        size = 0xfffff - rest + self.random.choice((-100, -1, 0, 1, 1000))
        session = self.random.randrange(SESSIONS)
        return [{"s": session, **self.ask("create", path="/a", data={"repeat": ["x", size]}, acl=OPEN, flags=0)},
                {"s": session, "do": "resume"}, {"s": session, **self.ask("getData", path="/a", watch=0)},
                {"s": session, **self.ask("delete", path="/a", version=-1)}]

    def deletes(self):
        return self.ask("delete", path=self.path(), version=self.version())

    def sets(self):
        return self.ask("setData", path=self.path(), data=self.data(), version=self.version())

    def lists(self):
        if self.random.random() < 0.5:
            return self.ask("getACL", path=self.path())
        return self.ask("setACL", path=self.path(), acl=self.acl(), version=self.version())

    def reads(self):
        op = self.random.choice(("exists", "getData", "getChildren", "getChildren2"))
        return self.ask(op, path=self.path(), watch=self.watch())

    def counts(self):
        op = self.random.choice(("getAllChildrenNumber", "getEphemerals", "sync"))
        path = self.path()
        if op == "getEphemerals" and self.random.random() < 0.3:
            path = self.random.choice(("/", "", "/a/", "/a", "a"))
        return self.ask(op, path=path)

    def watches(self):
        if self.random.random() < 0.6:
            return self.ask("addWatch", path=self.path(), mode=self.random.choice((0, 1, 2, -1) if self.is_bad() else (0, 1)))
        kinds = (0, 1, 2, 3, 4, 5, 6, -1) if self.is_bad() else (1, 2, 3)
        return self.ask(self.random.choice(("checkWatches", "removeWatches")), path=self.path(), type=self.random.choice(kinds))

    def restores(self):
        op = self.random.choice(("setWatches", "setWatches2"))
        some = lambda: [self.path() for _ in range(self.random.randrange(3))]
        step = self.ask(op, zxid=self.random.randrange(self.count + 5), data=some(), exist=some(), child=some())
        if op == "setWatches2":
            step.update(persistent=some(), recursive=some())
        if self.is_bad():
            step[self.random.choice(("data", "exist", "child"))] = self.random.choice((None, {"length": -5}, {"length": 1 << 28}))
        return {**step, "xid": -8}

    def multis(self):
        parts = []
        for _ in range(self.random.choice((0, 1, 2, 2, 3, 5))):
            kind = self.random.randrange(10)
            if kind < 5:
                op, flags = self.random.choice((
                    ("create", 0), ("create", 0), ("create", 1), ("create", 2), ("create2", 0), ("createContainer", 4)))
                parts.append({"op": op, "path": self.path(), "data": self.data(), "acl": self.acl(), "flags": flags})
            elif kind < 7:
                parts.append({"op": "setData", "path": self.path(), "data": self.data(), "version": self.version()})
            elif kind < 9:
                parts.append({"op": "delete", "path": self.path(), "version": self.version()})
            else:
                parts.append({"op": "check", "path": self.path(), "version": self.version()})
        if self.is_bad() and parts:
            self.random.choice(parts)["number"] = self.random.choice((3, 4, 7, 14, 0, -1, 999, -11))
        for part in parts:
            # On a null path 3.8 takes a zxid and logs nothing for it: its own log has a gap then, which this project's
            # readers take for lost transactions.
            part["path"] = "a" if part["path"] is None else part["path"]
        return self.ask("multi", parts=parts)

    def multi_reads(self):
        ops = ("getData", "getChildren") if not self.is_bad() else ("getData", "getChildren", "exists", "setData", "getChildren2")
        parts = []
        for _ in range(self.random.randrange(4)):
            part = {"op": self.random.choice(ops), "path": self.path(), "watch": self.watch()}
            parts.append({**part, "data": "", "version": -1} if part["op"] == "setData" else part)
        return self.ask("multiRead", parts=parts)

    def credentials(self):
        if self.random.random() < 0.3:
            return self.ask("whoAmI")
        if not self.is_bad():
            scheme, credential = self.random.choice(SCHEMES)
            return {**self.ask("auth", type=0, scheme=scheme, credential=credential), "xid": -4}
        scheme, credential = self.random.choice(BAD_SCHEMES)
        session = self.random.randrange(SESSIONS)
        return [{"s": session, **self.ask("auth", type=0, scheme=scheme, credential=credential), "xid": -4},
                {"s": session, "do": "resume"}]

    def strange(self):
        """Operations that no client should ask for; the session goes on with a new connection."""
        op = self.random.choice(("whoAmI", "whoAmI", "reconfig", "notification", "error"))
        step = self.ask(op, joining=None, leaving=None, members=None, config=-1)
        if op == "whoAmI":
            step["number"] = self.random.choice((999, -100, 10, 108))
        if op != "reconfig":
            step["closes"] = True
        session = self.random.randrange(SESSIONS)
        return [{"s": session, **step}, {"s": session, "do": "resume"}]

    def frames(self):
        """A frame that is no request, or no frame; the session goes on with a new connection."""
        session = self.random.randrange(SESSIONS)
        content = self.random.choice((
            "00000000", "00000002abcd", "0000000400000001", "ffffffff", "80000000", "7fffffff00", "00100000" + "00" * 8,
            "000000080000000100000001", "0000000800000001ffffffff", "72756f6b", "00000009000000010000000300"))
        return [{"s": session, "do": "frames", "hex": content}, {"s": session, "do": "resume"}]

    def knocks(self):
        connect = "00000000" + "00" * 8 + "00002710" + "00" * 8
        content = self.random.choice((
            "0000002d" + connect + "00000010" + "00" * 17, "0000002c" + connect + "00000010" + "00" * 16,
            "0000002e" + connect + "00000010" + "00" * 18, "00000004" + "00000000", "00000000", "ffffffff", "00100000",
            "0000001d" + connect + "ffffffff00", "0000001d" + connect + "0000000000", "00000020" + connect + "0000000400000000",
            "0000002d" + "00000007" + connect[8:] + "00000010" + "00" * 17, "0000002d" + connect + "00000020" + "00" * 17,
            "0000002d" + connect[:24] + "ffffffff" + connect[32:] + "00000010" + "00" * 17))
        return {"do": "knock", "hex": content}

    def connections(self):
        session = self.random.randrange(SESSIONS)
        kind = self.random.randrange(7)
        if kind == 0:
            return {"s": session, "do": "resume"}
        if kind == 1:
            return [{"s": session, "do": "drop"}, {"s": session, "do": "resume"}]
        if kind == 2:
            return [{"s": session, **self.ask("closeSession")}, {"s": session, "do": "resume"}, {"s": session, "do": "open"}]
        if kind == 3:
            return [{"s": session, "do": "drop"}, {"s": session, "do": "resume", "timeout": self.random.choice((1, 0, -5, 1000, 1 << 30))},
                    {"s": session, "do": "resume"}]
        if kind == 4:
            change = self.random.choice(({"password": "wrong"}, {"password": "short"}, {"password": "none"}, {"identity": "unknown"}))
            return [{"s": session, "do": "drop"}, {"s": session, "do": "resume", **change}, {"s": session, "do": "resume"}]
        if kind == 5:
            change = self.random.choice(({"seen": 1}, {"seen": 100000}, {"version": 3}, {"readOnly": None}, {"readOnly": 1}))
            return [{"s": session, "do": "drop"}, {"s": session, "do": "resume", **change}, {"s": session, "do": "resume"}]
        return [{"s": session, "do": "expire"}, {"s": session, "do": "open"}]


# The kinds of steps and how often they come.
KINDS = {"creates": 24, "deletes": 8, "sets": 8, "lists": 5, "reads": 18, "counts": 5, "watches": 8, "restores": 2, "multis": 8,
         "multi_reads": 2, "large": 0.2, "credentials": 3, "strange": 1, "frames": 1, "knocks": 1, "connections": 2}


def script(seed, steps=60):
    return Generator(seed, steps).script()
