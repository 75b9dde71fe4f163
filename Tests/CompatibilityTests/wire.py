"""The bare client protocol: for sessions that misbehave, and for bytes that no client library sends."""
import socket
import struct


def ustring(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">i", len(data)) + data


OPEN_ACCESS = struct.pack(">ii", 1, 31) + ustring("world") + ustring("anyone")


class Session:
    """One connection and the session on it. Sends nothing by itself, pings neither."""

    def __init__(self, port, timeout=10_000, identity=0, password=b"\0" * 16, last_zxid=0, read_only=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.xid = 0
        request = struct.pack(">iqiq", 0, last_zxid, timeout, identity) + ustring(password)
        self.frame(request + (b"\0" if read_only else b""))
        self.answer = self.receive()
        _, self.timeout, self.identity = struct.unpack(">iiq", self.answer[:16])
        self.password = self.answer[20:36]

    def frame(self, payload):
        self.socket.sendall(struct.pack(">i", len(payload)) + payload)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
        return data

    def receive(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def ask(self, op, body=b"", xid=None):
        """(xid, zxid, error, body) of the reply."""
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.frame(struct.pack(">ii", xid, op) + body)
        reply = self.receive()
        return (*struct.unpack(">iqi", reply[:16]), reply[16:])

    def create(self, path, data=b"", flags=0, op=1):
        _, _, error, body = self.ask(op, ustring(path) + ustring(data) + OPEN_ACCESS + struct.pack(">i", flags))
        if error:
            raise RuntimeError(f"create {path}: error {error}")
        return body

    def is_closed_by_server(self, within=5.0):
        self.socket.settimeout(within)
        try:
            return self.socket.recv(1) == b""
        except (ConnectionError, TimeoutError) as error:
            return isinstance(error, ConnectionError)

    def close(self):
        self.socket.close()
