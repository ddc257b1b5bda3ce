# SPDX-License-Identifier: Apache-2.0
"""HTTP heads and WebSocket frames by hand, with every malformation that a test may want."""

import base64
import hashlib
import os
import socket
import struct
from dataclasses import dataclass

from lib import env

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the sample of RFC 6455 s1.3
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_for(key):
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


# ---- frames ---------------------------------------------------------------------------------


def apply_mask(payload, mask):
    repeated = mask * (len(payload) // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[: len(payload)], "big")
    return number.to_bytes(len(payload), "big")


def frame(
    opcode, payload=b"", *, fin=True, rsv=0, mask=b"\x37\xfa\x21\x3d", length=None, form=None
):
    """
    One frame; @mask None for a server's. @length: what the header announces, if not the truth.
    @form: bits of the length field (7, 16 or 64), if not the smallest.
    """
    if isinstance(payload, str):
        payload = payload.encode()
    announced = len(payload) if length is None else length
    form = form or (7 if announced < 126 else 16 if announced < 1 << 16 else 64)
    masked = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    if form == 7:
        head += bytes([masked | announced])
    elif form == 16:
        head += bytes([masked | 126]) + struct.pack("!H", announced)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", announced)
    if mask is None:
        return head + payload
    return head + mask + apply_mask(payload, mask)


def server_frame(opcode, payload=b"", **options):
    return frame(opcode, payload, mask=None, **options)


def close_payload(code, reason=""):
    return struct.pack("!H", code) + (reason if isinstance(reason, bytes) else reason.encode())


def close_frame(code=1000, reason="", **options):
    return frame(CLOSE, close_payload(code, reason), **options)


@dataclass
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    mask: bytes = None

    @property
    def masked(self):
        return self.mask is not None

    @property
    def close_code(self):
        """Of a Close frame; None if it has none."""
        assert self.opcode == CLOSE, self
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None


# ---- heads ----------------------------------------------------------------------------------


def request(
    path="/echo",
    *,
    method="GET",
    version="HTTP/1.1",
    key=KEY,
    host="sluice.example",
    protocol=None,
    extensions=None,
    change=None,
    extra=(),
):
    """
    A WebSocket request head. @change: {header: new value, or None to leave it out};
    @extra: further header lines, as they are.
    """
    headers = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": protocol,
        "Sec-WebSocket-Extensions": extensions,
        **(change or {}),
    }
    lines = [f"{method} {path} {version}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([*lines, *extra, "", ""]).encode("latin-1")


def response_101(key, *, accept=None, change=None, extra=()):
    """What an endpoint answers; malformed through the same options as request()."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept or accept_for(key),
        **(change or {}),
    }
    lines = ["HTTP/1.1 101 Switching Protocols"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([*lines, *extra, "", ""]).encode("latin-1")


class Head:
    """A received head: first line, and headers in order; names are compared in any case."""

    def __init__(self, data):
        lines = data.decode("latin-1").split("\r\n")
        self.raw = data
        self.first = lines[0]
        pairs = [line.partition(":") for line in lines[1:] if line]
        self.fields = [(name, value.strip(" \t")) for name, _, value in pairs]

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} is repeated: {values}"
        return values[0] if values else None

    @property
    def status(self):
        return int(self.first.split(" ")[1])


# ---- connections ----------------------------------------------------------------------------


class Stream:
    """A blocking socket whose reads never wait for ever."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(env.PATIENCE_S)
        if sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_pieces(self, data, piece=1):
        """In segments of @piece bytes, so that the peer is likely to read them one by one."""
        for start in range(0, len(data), piece):
            self.sock.sendall(data[start : start + piece])

    def shutdown_write(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _more(self):
        piece = self.sock.recv(1 << 18)
        self.buffer += piece
        return bool(piece)

    def has_read(self, count):
        """So many bytes are here that nobody has taken yet; waits for some."""
        return len(self.buffer) >= count or (self._more() and len(self.buffer) >= count)

    def read_exactly(self, count):
        while len(self.buffer) < count:
            assert self._more(), f"end after {len(self.buffer)} of {count} bytes: {self.buffer!r}"
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            assert self._more(), f"end inside a head: {self.buffer!r}"
        end = self.buffer.index(b"\r\n\r\n") + 4
        return Head(self.read_exactly(end))

    def read_body(self, head):
        return self.read_exactly(int(head.get("Content-Length")))

    def read_to_end(self):
        """All bytes up to the peer's FIN or RST."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            pass
        data, self.buffer = self.buffer, b""
        return data

    def read_frame(self):
        first, second = self.read_exactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.read_exactly(2))
            assert length > 125, "length not minimal"
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read_exactly(8))
            assert length > 0xFFFF, "length not minimal"
        mask = self.read_exactly(4) if second & 0x80 else None
        payload = self.read_exactly(length)
        if mask:
            payload = apply_mask(payload, mask)
        return Frame(first & 0x0F, payload, bool(first & 0x80), first & 0x70, mask)

    def expect_frame(self, opcode, payload=b"", **attributes):
        if isinstance(payload, str):
            payload = payload.encode()
        got = self.read_frame()
        assert got.opcode == opcode and got.payload == payload, f"{got} is not {opcode} {payload!r}"
        for name, value in attributes.items():
            assert getattr(got, name) == value, got

    def expect_close(self, code):
        """A Close frame with @code (None: without a code)."""
        got = self.read_frame()
        assert got.opcode == CLOSE and got.close_code == code, f"{got} is not Close {code}"
        return got

    def expect_end(self):
        """FIN or RST, and nothing ahead of it."""
        assert self.read_to_end() == b""

    def is_silent(self, seconds=0.3):
        """Nothing arrives for a while: for what must not happen, which cannot be waited for."""
        if self.buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            self._more()
            return False
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(env.PATIENCE_S)


def dial(address, receive_buffer=None, source=None):
    """A TCP connection to (host, port), or a unix one to a path."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        sock.settimeout(env.PATIENCE_S)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            sock.bind((source, 0))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return Stream(sock)


def upgrade(stream, path="/echo", **options):
    """Sends a request, and checks the 101 as RFC 6455 s4.1 wants it. Returns its head."""
    stream.send(request(path, **options))
    return check_101(stream, options.get("key", KEY))


def check_101(stream, key=KEY):
    head = stream.read_head()
    assert head.status == 101, head.raw + stream.read_to_end()
    assert head.get("Upgrade").lower() == "websocket"
    assert "upgrade" in head.get("Connection").lower()
    assert head.get("Sec-WebSocket-Accept") == accept_for(key)
    return head


def connect(address, path="/echo", receive_buffer=None, source=None, **options):
    """A client after the handshake."""
    stream = dial(address, receive_buffer, source)
    try:
        stream.response = upgrade(stream, path, **options)
    except BaseException:
        stream.close()
        raise
    return stream
