# SPDX-License-Identifier: Apache-2.0
"""A backend inside the test process: accepts when told, answers what it is told."""

import socket

from lib import env, ws_raw


class RawEndpoint:
    def __init__(self, host="127.0.0.1", port=0, receive_buffer=None, backlog=64):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.bind((host, port))
        self.sock.listen(backlog)
        self.sock.settimeout(env.PATIENCE_S)
        host, port = self.sock.getsockname()[:2]
        self.port = port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._accepted = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()
        for stream in self._accepted:
            stream.close()

    def accept(self):
        """The next connection, before anything was read from it."""
        stream = ws_raw.Stream(self.sock.accept()[0])
        self._accepted.append(stream)
        return stream

    def accept_upgrade(self, **response):
        """The next connection after its handshake; its request stands in `.request`."""
        stream = self.accept()
        stream.request = stream.read_head()
        stream.send(ws_raw.response_101(stream.request.get("Sec-WebSocket-Key"), **response))
        return stream

    def has_caller(self):
        """Whether a connection is waiting to be accepted now."""
        self.sock.settimeout(0)
        try:
            self.accept()
            return True
        except BlockingIOError:
            return False
        finally:
            self.sock.settimeout(env.PATIENCE_S)


def tunnel(daemon, endpoint, path="/tunnel", *, response=None, receive_buffer=None, **options):
    """A client and, behind the gateway, its endpoint, both after the handshake."""
    client = ws_raw.dial(daemon.address(), receive_buffer)
    try:
        client.send(ws_raw.request(path, **options))
        server = endpoint.accept_upgrade(**(response or {}))
        client.response = ws_raw.check_101(client, options.get("key", ws_raw.KEY))
    except BaseException:
        client.close()
        raise
    return client, server
