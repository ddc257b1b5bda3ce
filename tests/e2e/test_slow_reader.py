# SPDX-License-Identifier: Apache-2.0
"""A reader that stops costs its own connection's buffers, stops its sender, and loses nothing."""

import hashlib
import threading
import time

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import RawEndpoint, tunnel

SMALL_BUFFER = 32 << 10
PIECE = bytes(range(256)) * 256  # 64 KiB
PAUSE_S = 10 if env.FULL else 2
# Socket buffers of the kernel between sender and reader, which grow to some megabytes each.
MOST_IN_FLIGHT = 64 << 20
MOST_RSS_KB = 4096 if not env.SANITIZED else 32768


class Sender(threading.Thread):
    """Sends frames until told to stop, then a Close; knows how far it came."""

    def __init__(self, stream, mask):
        super().__init__()
        self.stream, self.mask = stream, mask
        self.sent_bytes = 0
        self.digest = hashlib.sha256()
        self.is_stopping = threading.Event()

    def run(self):
        frame = ws_raw.frame(ws_raw.BINARY, PIECE, mask=self.mask)
        self.stream.sock.settimeout(None)
        while not self.is_stopping.is_set():
            self.stream.send(frame)
            self.sent_bytes += len(frame)
            self.digest.update(PIECE)
        self.stream.send(ws_raw.close_frame(1000, mask=self.mask))

    def wait_blocked(self):
        """Until nothing more has been taken from it for a second."""

        def is_blocked():
            before = self.sent_bytes
            time.sleep(1)
            return self.sent_bytes == before

        env.until(is_blocked, "the sender to be blocked", patience_s=60)


def read_all(stream):
    """Digest of all payload up to the Close frame."""
    digest = hashlib.sha256()
    while True:
        got = stream.read_frame()
        if got.opcode == ws_raw.CLOSE:
            return digest.digest()
        digest.update(got.payload)


def check(daemon, sender, reader):
    rss_kb = daemon.rss_kb()
    sender.start()
    sender.wait_blocked()
    blocked_at = sender.sent_bytes
    time.sleep(PAUSE_S)
    assert sender.sent_bytes == blocked_at < MOST_IN_FLIGHT
    assert daemon.rss_kb() - rss_kb < MOST_RSS_KB
    # The daemon goes on with others meanwhile, and does not spin.
    switches = daemon.context_switches()
    assert daemon.status()["state"]
    assert daemon.context_switches() - switches < 100
    sender.is_stopping.set()
    assert read_all(reader) == sender.digest.digest()
    sender.join()


@pytest.mark.parametrize("reader_side", ["client", "endpoint"])
def test_proxied(sluiced, reader_side):
    with RawEndpoint(receive_buffer=SMALL_BUFFER) as endpoint:
        daemon = sluiced(proxy_config(endpoint.address))
        client, server = tunnel(daemon, endpoint, receive_buffer=SMALL_BUFFER)
        with client, server:
            if reader_side == "client":
                check(daemon, Sender(server, None), client)
            else:
                check(daemon, Sender(client, b"\1\2\3\4"), server)


def test_echo(sluiced):
    """The client sends and does not read its own echo."""
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address(), receive_buffer=SMALL_BUFFER) as client:
        check(daemon, Sender(client, b"\1\2\3\4"), client)


def test_others_are_not_delayed(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address, match='path = "/tunnel"') + ECHO_CONFIG)
    client, server = tunnel(daemon, endpoint, receive_buffer=SMALL_BUFFER)
    with client, server, ws_raw.connect(daemon.address(), "/echo") as other:
        sender = Sender(server, None)
        sender.start()
        sender.wait_blocked()
        for i in range(100):
            other.send(ws_raw.frame(ws_raw.TEXT, f"{i}"))
            other.expect_frame(ws_raw.TEXT, f"{i}")
        sender.is_stopping.set()
        assert read_all(client) == sender.digest.digest()
        sender.join()
