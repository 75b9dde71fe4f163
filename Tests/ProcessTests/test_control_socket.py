"""The daemon's control socket, as whoever reaches it may use it: wrong, slow, too much, or without the right to."""
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

import daemon

NOBODY = 65534
CONNECTIONS = 64
REQUEST_TIMEOUT = 15


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}

    @property
    def json(self):
        return json.loads(self.body)


class Connection:
    """One connection, read answer by answer. Never waits for longer than `within` seconds."""

    def __init__(self, path, within=20):
        self.socket = socket.socket(socket.AF_UNIX)
        # Without a timeout it waits for a place in the queue, rather than fail at once when there is none.
        self.socket.connect(path)
        self.socket.settimeout(within)
        self.rest = b""

    def send(self, data):
        self.socket.sendall(data)
        return self

    def fill(self):
        data = self.socket.recv(65536)
        self.rest += data
        return data

    def answer(self):
        """The next answer; None if the connection ends first."""
        while b"\r\n\r\n" not in self.rest:
            if not self.fill():
                return None
        head, _, rest = self.rest.partition(b"\r\n\r\n")
        length = Answer(head + b"\r\n\r\n").headers.get("content-length", "0")
        while len(rest) < int(length):
            if not self.fill():
                return None
            rest = self.rest.partition(b"\r\n\r\n")[2]
        self.rest = rest[int(length):]
        return Answer(head + b"\r\n\r\n" + rest[:int(length)])

    def is_closed(self):
        try:
            return not self.fill()
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(method, target, body=b"", headers=""):
    return f"{method} {target} HTTP/1.1\r\nHost: daemon\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class ControlSocketCase(unittest.TestCase):
    sections = ""

    @classmethod
    def setUpClass(cls):
        reason = daemon.missing()
        if reason:
            raise unittest.SkipTest(reason)
        cls.daemon = daemon.Daemon(sections=cls.sections)
        cls.addClassCleanup(cls.daemon.close)
        # The daemon's own directory is not for other users.
        place = tempfile.mkdtemp(prefix="ensembled-socket-")
        cls.addClassCleanup(shutil.rmtree, place, ignore_errors=True)
        os.chmod(place, 0o755)
        cls.daemon.socket = os.path.join(place, "control.sock")
        cls.daemon.start().wait_whole()

    def connect(self, within=20):
        connection = Connection(self.daemon.socket, within)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method, target, body=b"", headers=""):
        return self.connect().send(request(method, target, body, headers)).answer()

    def assert_serves(self, within=5):
        begun = time.monotonic()
        self.assertEqual(self.ask("GET", "/v1/status").status, 200)
        self.assertLess(time.monotonic() - begun, within)


class ControlSocket(ControlSocketCase):
    def test_unknown_routes(self):
        for target in ("/", "/v1", "/v1/", "/v1/nothing", "/v2/status", "/v1/status/more", "/v1/../etc/passwd", "*"):
            answer = self.ask("GET", target)
            self.assertEqual((answer.status, answer.json["code"]), (404, "notFound"), target)

    def test_wrong_methods_are_told_the_right_ones(self):
        for method, target, allowed in (("POST", "/v1/status", "GET"), ("DELETE", "/v1/backups", "GET, POST"),
                                        ("GET", "/v1/members/1/stop", "POST"), ("PUT", "/v1/restore", "POST")):
            answer = self.ask(method, target)
            self.assertEqual((answer.status, answer.json["code"]), (405, "wrongMethod"), target)
            self.assertEqual(answer.headers.get("allow"), allowed, target)

    def test_bodies_that_are_no_request(self):
        for body in (b"", b"{", b"[]", b'{"dryRun": "perhaps"}', b"\xff\xfe", b"null", b"{" * 20000):
            answer = self.ask("POST", "/v1/restart-rolling", body)
            self.assertEqual((answer.status, answer.json["code"]), (400, "badRequest"), body[:20])

    def test_a_body_that_is_too_large_is_refused_before_its_end(self):
        self.assertEqual(self.ask("POST", "/v1/backups/prune", b" " * (64 << 10)).status, 400)
        answer = self.ask("POST", "/v1/backups/prune", b" " * ((64 << 10) + 1))
        self.assertEqual((answer.status, answer.json["code"]), (413, "tooLarge"))
        # One that never ends, in chunks: answered at once, and not kept.
        before = self.memory()
        connection = self.connect()
        connection.send(b"POST /v1/backups/prune HTTP/1.1\r\nHost: daemon\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        try:
            for _ in range(1000):
                connection.send(chunk)
        except OSError:
            pass
        self.assertEqual(connection.answer().status, 413)
        self.assertLess(self.memory() - before, 32 << 10, "KiB more than before 64 MiB of body")
        self.assert_serves()

    def memory(self):
        with open(f"/proc/{self.daemon.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def test_headers_that_never_end(self):
        for head in (b"X-Long: " + b"x" * (1 << 20), b"".join(b"X-%d: y\r\n" % n for n in range(100000))):
            connection = self.connect()
            try:
                connection.send(b"GET /v1/status HTTP/1.1\r\n" + head)
            except OSError:
                pass
            try:
                answer = connection.answer()
            except ConnectionResetError:
                # It closed on the rest of what was sent, which may take the answer with it.
                answer = None
            self.assertTrue(answer is None or answer.status in (400, 431), answer and answer.status)
            self.assertTrue(connection.is_closed())
        self.assert_serves()

    def test_what_is_no_http(self):
        for noise in (b"\0" * 1000, b"stat", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", os.urandom(4096) + b"\r\n\r\n"):
            connection = self.connect()
            connection.send(noise)
            connection.socket.shutdown(socket.SHUT_WR)
            answer = connection.answer()
            self.assertTrue(answer is None or answer.status in (400, 404, 405), noise[:20])
        self.assert_serves()

    def test_pipelined_requests_are_answered_in_their_order(self):
        targets = ["/v1/status", "/v1/nothing", "/v1/events?limit=1", "/v1/plan", "/v1/operations/none"] * 4
        connection = self.connect().send(b"".join(request("GET", target) for target in targets))
        self.assertEqual([connection.answer().status for _ in targets], [200, 404, 200, 200, 404] * 4)

    def test_a_request_in_pieces(self):
        connection = self.connect()
        for byte in request("POST", "/v1/restart-rolling", b'{"dryRun": true}'):
            connection.send(bytes([byte]))
        self.assertEqual(connection.answer().status, 200)

    def test_a_client_that_has_ended_its_side_is_answered(self):
        connection = self.connect().send(request("GET", "/v1/status"))
        connection.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.answer().status, 200)
        self.assertTrue(connection.is_closed())

    def test_slow_clients_block_nobody_and_are_closed(self):
        begun = time.monotonic()
        slow = [self.connect(REQUEST_TIMEOUT * 2) for _ in range(45)]
        for index, connection in enumerate(slow):
            # Nothing at all, half a head, a head without its body; and one that was served and then says nothing.
            connection.send((b"", b"GET /v1/sta", request("POST", "/v1/restore", b"12345")[:-3])[index % 3])
        idle = self.connect(REQUEST_TIMEOUT * 2).send(request("GET", "/v1/plan"))
        self.assertEqual(idle.answer().status, 200)
        for _ in range(5):
            self.assert_serves()
        for connection in slow + [idle]:
            self.assertTrue(connection.is_closed())
        self.assertGreater(time.monotonic() - begun, REQUEST_TIMEOUT - 1)

    def test_clients_beyond_the_limit_are_turned_away(self):
        taken = [self.connect() for _ in range(CONNECTIONS)]
        for connection in taken:
            self.assertEqual(connection.send(request("GET", "/v1/plan")).answer().status, 200)
        for _ in range(10):
            refused = self.connect()
            try:
                refused.send(request("GET", "/v1/plan"))
                self.assertIsNone(refused.answer())
            except OSError:
                # Closed on what was just being sent.
                pass
        for connection in taken:
            self.assertEqual(connection.send(request("GET", "/v1/plan")).answer().status, 200)
            connection.close()
        daemon.wait_for("places are free again", self.is_served, 10)

    def is_served(self):
        try:
            return self.ask("GET", "/v1/plan") is not None
        except OSError:
            return False


@unittest.skipUnless(os.geteuid() == 0, "other users to ask as need root")
class Rights(ControlSocketCase):
    # Debian's base group `games` has no member beside the one that the test plays.
    sections = "operator:\n  socketGroup: games\n  socketMode: \"0660\"\n"

    def as_user(self, uid, gid, method, target):
        """The status that another user gets, or the name of the error."""
        program = f"""
import socket, sys
try:
    c = socket.socket(socket.AF_UNIX); c.settimeout(20); c.connect({self.daemon.socket!r})
    c.sendall({request(method, target, b'{"dryRun": true}')!r})
    print(c.recv(4096).split()[1].decode())
except OSError as error:
    print(type(error).__name__)
"""
        done = subprocess.run([sys.executable, "-c", program], user=uid, group=gid, extra_groups=[], cwd="/",
                              capture_output=True, text=True, timeout=30)
        return done.stdout.strip() or done.stderr

    def test_the_sockets_owner_group_and_mode(self):
        found = os.stat(self.daemon.socket)
        self.assertTrue(stat.S_ISSOCK(found.st_mode))
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid), (0o660, 0))
        import grp
        self.assertEqual(grp.getgrgid(found.st_gid).gr_name, "games")

    def test_who_may_read_and_who_may_change(self):
        import grp
        games = grp.getgrnam("games").gr_gid
        read, change = ("GET", "/v1/status"), ("POST", "/v1/restart-rolling")
        self.assertEqual(self.as_user(NOBODY, NOBODY, *read), "PermissionError", "the file's mode keeps strangers out")
        self.assertEqual(self.as_user(NOBODY, games, *read), "200")
        self.assertEqual(self.as_user(NOBODY, games, *change), "200")
        self.assertEqual(self.as_user(0, 0, *change), "200")
        # Where a stranger reaches the socket all the same, the kernel's word on who asks decides.
        os.chmod(self.daemon.socket, 0o666)
        try:
            self.assertEqual(self.as_user(NOBODY, NOBODY, *read), "200")
            for _, target in (change, ("", "/v1/members/1/stop"), ("", "/v1/restore"), ("", "/v1/backups"), ("", "/v1/backups/prune")):
                self.assertEqual(self.as_user(NOBODY, NOBODY, "POST", target), "403", target)
        finally:
            os.chmod(self.daemon.socket, 0o660)
        # Refused before it is looked at: what is there is not told.
        self.assertTrue(all(member["participates"] for member in self.daemon.wait_status()["members"]))


class SocketFile(unittest.TestCase):
    def setUp(self):
        reason = daemon.missing()
        if reason:
            self.skipTest(reason)
        self.daemon = self.make()

    def make(self):
        made = daemon.Daemon()
        self.addCleanup(made.close)
        return made

    def assert_refused(self, other, status, words):
        done = subprocess.run(other.command(), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(words, done.stderr)

    def test_a_dead_daemons_socket_is_replaced(self):
        self.daemon.start().wait_status()
        self.daemon.kill()
        self.assertTrue(os.path.exists(self.daemon.socket))
        self.daemon.start().wait_status()

    def test_a_living_daemons_socket_is_not_taken(self):
        self.daemon.start().wait_status()
        other = self.make()
        other.socket = self.daemon.socket
        before = os.stat(self.daemon.socket).st_ino
        self.assert_refused(other, 75, "another daemon is listening there")
        self.assertEqual(os.stat(self.daemon.socket).st_ino, before)
        self.assertEqual(self.daemon.wait_status()["cluster"], daemon.CLUSTER)

    def test_a_file_that_is_no_socket_stays(self):
        with open(self.daemon.socket, "w") as file:
            file.write("precious")
        self.assert_refused(self.daemon, 73, "is no socket")
        with open(self.daemon.socket) as file:
            self.assertEqual(file.read(), "precious")

    def test_a_daemon_that_ends_removes_its_socket(self):
        self.daemon.start().wait_status()
        self.daemon.process.terminate()
        self.assertEqual(self.daemon.process.wait(60), 0)
        self.daemon.process = None
        self.assertFalse(os.path.exists(self.daemon.socket))


if __name__ == "__main__":
    unittest.main()
