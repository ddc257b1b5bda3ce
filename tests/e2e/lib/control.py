# SPDX-License-Identifier: Apache-2.0
"""The control protocol (one JSON object a line), spoken directly."""

import json
import socket

from lib import env


class ControlError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['detail']}")
        self.code = error["code"]


class Control:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Without a timeout: with one, Linux fails a connect to a full backlog at once.
            self.sock.connect(str(path))
            self.sock.settimeout(env.PATIENCE_S)
        except OSError:
            self.sock.close()
            raise
        self._buffer = b""
        self._next_id = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def read_line(self):
        """One reply line as an object, or None at the end of the stream."""
        while b"\n" not in self._buffer:
            try:
                piece = self.sock.recv(1 << 16)
            except ConnectionResetError:
                piece = b""
            if not piece:
                assert not self._buffer, f"half a reply: {self._buffer[:100]!r}"
                return None
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def call(self, cmd, **args):
        """Result data; the pages of a list are joined. Raises ControlError."""
        number = self._next_id
        self._next_id += 1
        self.send(json.dumps({"v": 1, "id": number, "cmd": cmd, "args": args}).encode() + b"\n")
        rows = None
        while True:
            reply = self.read_line()
            assert reply is not None, f"control socket closed during {cmd}"
            assert reply["id"] == number
            if not reply["ok"]:
                raise ControlError(reply["error"])
            if rows is None and not reply["more"]:
                return reply["data"]
            rows = (rows or []) + reply["data"]
            if not reply["more"]:
                return rows
