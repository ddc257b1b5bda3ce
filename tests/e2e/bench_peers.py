# SPDX-License-Identifier: Apache-2.0
"""sluice-bench as a process, and peers for it that do exactly what a test says."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

import websockets

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("SLUICE_BUILD", "build")
BENCH = str(BUILD / "sluice-bench")
PATIENCE_S = 60  # for what must happen; a test that waits so long has failed

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def run_client(*options, status=None, timeout=PATIENCE_S, **keywords):
    """A whole run. Returns (result, stderr); @status is the exit status that it must have."""
    done = subprocess.run([BENCH, "client", *map(str, options), "--json"], capture_output=True,
                          text=True, timeout=timeout, check=False, **keywords)
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    result = json.loads(done.stdout)
    assert (result["errors_total"] > 0) == (done.returncode == 1), (result, done.stderr)
    if status is not None:
        assert done.returncode == status, (result, done.stderr)
    return result, done.stderr


def clean_run(*options, **keywords):
    """A run in which nothing may go wrong. Returns its result."""
    return run_client(*options, status=0, **keywords)[0]


def failing_run(kind, *options, **keywords):
    """A run whose errors are all of @kind. Returns (result, stderr)."""
    result, err = run_client(*options, status=1, **keywords)
    kinds = {name for name, n in result["errors"].items() if n}
    assert kinds == {kind}, (result["errors"], err)
    return result, err


class BenchServer:
    """`sluice-bench server`, stopped at the end of the block; .counters is what it counted."""

    def __init__(self, *options, listen="127.0.0.1:0", workers=1, **keywords):
        self.process = subprocess.Popen(
            [BENCH, "server", "--listen", listen, "--workers", str(workers), "--json",
             *map(str, options)], stdout=subprocess.PIPE, text=True, **keywords)
        self.counters = None
        assert select.select([self.process.stdout], [], [], PATIENCE_S)[0], "not ready"
        ready = self.process.stdout.readline().split()
        assert ready and ready[0] == "ready", ready
        self.addresses = ready[1:]
        self.url = f"ws://{self.addresses[0]}/"

    @property
    def port(self):
        return int(self.addresses[0].rsplit(":", 1)[1])

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def stop(self):
        if self.counters is None:
            self.process.send_signal(signal.SIGTERM)
            out, _ = self.process.communicate(timeout=PATIENCE_S)
            assert self.process.returncode == 0
            self.counters = json.loads(out)
        return self.counters

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


@contextlib.contextmanager
def library_server(handler, **options):
    """python3-websockets in a thread of its own; yields its URL."""
    started = threading.Event()
    state = {}

    async def serve():
        state["stop"] = asyncio.Event()
        state["loop"] = asyncio.get_running_loop()
        async with websockets.serve(handler, "127.0.0.1", 0, max_size=None, **options) as server:
            state["port"] = server.sockets[0].getsockname()[1]
            started.set()
            await state["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert started.wait(PATIENCE_S)
    try:
        yield f"ws://127.0.0.1:{state['port']}/"
    finally:
        state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join(PATIENCE_S)


# ---- byte by byte ------------------------------------------------------------------------------


def accept_key(key):
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest)


def frame(opcode, payload=b"", fin=True, first=None, mask=None):
    """One frame. @first replaces its first byte, @mask (4 bytes) makes it a client's."""
    first = first if first is not None else (0x80 if fin else 0) | opcode
    bit = 0x80 if mask is not None else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, bit | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, bit | 127, len(payload))
    if mask is None:
        return head + payload
    repeated = (mask * (len(payload) // 4 + 1))[:len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked.to_bytes(len(payload), "big")


class Frame:
    def __init__(self, first, payload, mask):
        self.fin = bool(first & 0x80)
        self.opcode = first & 0xF
        self.payload = payload
        self.mask = mask  # None: not masked


class RawConnection:
    """A socket with frames on it; either side."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def read(self, n):
        while len(self.buffer) < n:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head

    def read_frame(self):
        first, second = self.read(2)
        length = second & 0x7F
        if length == 126:
            length, = struct.unpack("!H", self.read(2))
        elif length == 127:
            length, = struct.unpack("!Q", self.read(8))
        mask = self.read(4) if second & 0x80 else None
        payload = self.read(length)
        if mask:
            repeated = (mask * (length // 4 + 1))[:length]
            payload = (int.from_bytes(payload, "big") ^
                       int.from_bytes(repeated, "big")).to_bytes(length, "big")
        return Frame(first, payload, mask)

    def read_message(self):
        """The payload of a whole message, whatever its frames."""
        payload = b""
        while True:
            one = self.read_frame()
            payload += one.payload
            if one.fin:
                return payload

    def send(self, data):
        self.sock.sendall(data)

    def at_end(self):
        """Whether nothing but the peer's FIN comes any more."""
        return self.buffer == b"" and self.sock.recv(1) == b""


def field(head, name):
    """A header's value in a head of bytes, or None."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name.lower():
            return value.strip()
    return None


def accept_upgrade(connection, extra=b""):
    """Answers the upgrade on a server's RawConnection. Returns the request head."""
    head = connection.read_head()
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: " +
                    accept_key(field(head, b"Sec-WebSocket-Key")) + b"\r\n" + extra + b"\r\n")
    return head


def open_upgrade(sock, path="/", protocol=None):
    """Upgrades a client's socket. Returns (RawConnection, response head)."""
    connection = RawConnection(sock)
    extra = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    connection.send((f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n").encode())
    return connection, connection.read_head()


class RawServer:
    """Runs handler(RawConnection) for each connection, in a thread; its exceptions are raised at
    the end of the block, less those of a client that went away."""

    def __init__(self, handler):
        self.handler = handler
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = []
        self.errors = []
        self.peers = []
        self.port = self.listener.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/"

    def serve_one(self, sock):
        sock.settimeout(PATIENCE_S)
        with sock:
            try:
                self.handler(RawConnection(sock))
            except (EOFError, ConnectionError):
                pass
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(error)

    def accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer[0])
            thread = threading.Thread(target=self.serve_one, args=[sock])
            self.threads.append(thread)
            thread.start()

    def __enter__(self):
        thread = threading.Thread(target=self.accept)
        self.threads.append(thread)
        thread.start()
        return self

    def __exit__(self, kind, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(PATIENCE_S)
        if self.errors and kind is None:
            raise self.errors[0]
