#!/bin/sh
# Apache's server starts on a data directory that our code wrote, and serves what is in it. The other direction is
# RecoveryTests.aDirectoryOfApacheLoads, over files that Apache's server wrote. Our logs say how far they are durable, in the header's
# database id and in a trailer behind the last entry, the one that was ended as the one that a kill left: it must pass over both.
# Needs: Debian's zookeeper and python3-kazoo, a JRE; without them it says so and exits 77. Takes about 5 s after the build.
# Usage: disk-formats.sh [PORT]
set -eu
port=${1:-22080}
jar=/usr/share/java/zookeeper.jar
[ -f "$jar" ] && command -v java >/dev/null || { echo "skipped: no java, or no $jar (package zookeeper)"; exit 77; }
/usr/bin/python3 -c 'import kazoo' 2>/dev/null || { echo "skipped: no python3-kazoo"; exit 77; }
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 "$server" 2>/dev/null; rm -rf "$work"' EXIT

(cd "$root" && KEEPER_DISK_FORMATS_DIR=$work/data swift test --filter DiskFormatExport) >"$work/swift.log" 2>&1 ||
    { tail -20 "$work/swift.log"; exit 1; }
grep -o 'digest [0-9]* zxid [0-9]* nodes [0-9]*' "$work/swift.log"
digest=$(sed -n 's/.*digest \([0-9]*\) zxid.*/\1/p' "$work/swift.log" | head -1)

/usr/bin/python3 - "$work/data/version-2" <<'PY'
import glob, struct, sys

ends = []
for path in sorted(glob.glob(sys.argv[1] + "/log.*"), key=lambda path: int(path.rsplit(".", 1)[1], 16)):
    data, end = open(path, "rb").read(), 16
    while end + 12 <= len(data) and (length := struct.unpack_from(">i", data, end + 8)[0]):
        end += 12 + length + 1
    header, = struct.unpack_from(">Q", data, 8)
    trailer, = struct.unpack_from(">Q", data, end)
    assert header, "%s: no mark in the header" % path
    assert trailer >> 24 == end, "%s: the trailer names %d, the entries end at %d" % (path, trailer >> 24, end)
    ends.append((end, len(data)))
assert len(ends) == 3, ends
assert ends[0][1] == ends[0][0] + 12 and ends[1][1] > ends[1][0] + 1000, "one ended, one as a kill leaves it: %s" % ends
print("three logs with marks in header and trailer: entries end at %s" % ", ".join("%d of %d bytes" % pair for pair in ends))
PY

java -Dzookeeper.admin.enableServer=false -Dzookeeper.4lw.commands.whitelist='*' -cp "$jar" \
    org.apache.zookeeper.server.ZooKeeperServerMain "$port" "$work/data" >"$work/java.log" 2>&1 &
server=$!

/usr/bin/python3 - "$port" "$digest" "$work/data/version-2" <<'PY'
import glob, socket, struct, sys, time
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError

port, digest, data = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def word(text):
    with socket.create_connection(("127.0.0.1", port), 2) as s:
        s.sendall(text)
        answer = b""
        while part := s.recv(65536):
            answer += part
        return answer.decode()

for _ in range(80):
    try:
        # Before it serves it may also close without a byte.
        if "Mode: standalone" in word(b"srvr"):
            break
    except OSError:
        pass
    time.sleep(0.25)

# The snapshot that Apache's server takes when it has replayed ends with zxid, digest version and digest of its own tree, and a
# seal of 13 bytes.
path = max(glob.glob(data + "/snapshot.*"), key=lambda path: int(path.rsplit(".", 1)[1], 16))
zxid, version, found = struct.unpack(">qiq", open(path, "rb").read()[-33:-13])
assert (version, found & (1 << 64) - 1) == (2, digest), "%s: digest %x at %x, and not %x" % (path, found, zxid, digest)
client = KazooClient("127.0.0.1:%d" % port)
client.start()
assert sorted(client.get_children("/")) == sorted(
    ["zookeeper", "ephemeral"] + ["n%d" % n for n in range(50) if n != 3]), client.get_children("/")
assert client.get("/n2")[0] == b"from a multi"
assert client.get("/n4")[0] == b"last"
assert client.get("/n5")[0] == b"value 5"
try:
    client.get("/n1")
    raise AssertionError("/n1 is open to all")
except NoAuthError:
    pass
client.create("/written-by-apache", b"x")
client.stop()
print("Apache's server replayed our files to the same digest and serves them")
PY
