# SPDX-License-Identifier: Apache-2.0
"""An endpoint with a health page: on as many connections as come, in threads of the test."""

import socket
import threading

from lib import ws_raw


def answer(status):
    """A behaviour: the page is there, with this status."""
    data = f"HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n".encode()
    return lambda stream: (stream.read_head(), stream.send(data))


def _echo(stream):
    head = stream.read_head()
    stream.send(ws_raw.response_101(head.get("Sec-WebSocket-Key")))
    while True:
        frame = stream.read_frame()
        if frame.opcode == ws_raw.PING:
            frame.opcode = ws_raw.PONG
        stream.send(ws_raw.server_frame(frame.opcode, frame.payload))
        if frame.opcode == ws_raw.CLOSE:
            return


class CheckedEndpoint:
    """
    Requests for /health get @health(stream), all others a WebSocket echo. `health` may be set at
    any time. A behaviour that wants to hang blocks until `closed` is set.
    """

    def __init__(self, health=None, port=0):
        self.health = health or answer(200)
        self.closed = threading.Event()
        self.n_checks = 0
        self._lock = threading.Lock()
        self._streams = set()
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sock.bind(("127.0.0.1", port))
        self._sock.listen(256)
        self.port = self._sock.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._threads = []
        self._spawn(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the endpoint and its connections; the next connect is refused. May be repeated."""
        if self.closed.is_set():
            return
        self.closed.set()
        # Wakes accept() in its thread, which close() alone would not.
        self._sock.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for stream in self._streams:
                try:
                    stream.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        for thread in list(self._threads):
            thread.join()
        self._sock.close()

    def _spawn(self, *target):
        thread = threading.Thread(target=target[0], args=target[1:], daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self.closed.is_set():
            try:
                sock = self._sock.accept()[0]
            except OSError:
                return
            with self._lock:
                if self.closed.is_set():
                    sock.close()
                    return
                stream = ws_raw.Stream(sock)
                self._streams.add(stream)
            self._spawn(self._serve, stream)

    def _serve(self, stream):
        try:
            first = stream.sock.recv(64, socket.MSG_PEEK)
            if first.startswith(b"GET /health"):
                with self._lock:
                    self.n_checks += 1
                self.health(stream)
            elif first:
                _echo(stream)
        except (OSError, AssertionError, AttributeError):
            pass  # the peer has gone; a test sees that elsewhere
        finally:
            with self._lock:
                self._streams.discard(stream)
            stream.close()
