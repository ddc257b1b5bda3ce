# SPDX-License-Identifier: Apache-2.0
"""max_connection_duration: an end also for connections that are never idle."""

import time

import pytest

from lib import ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import tunnel

LIMIT_S = 0.8
LATER_S = 4  # where two must overlap


def limit(seconds=LIMIT_S):
    return f"max_connection_duration = {int(seconds * 1000)}ms"


def read_to_close(stream):
    while True:
        frame = stream.read_frame()
        if frame.opcode == ws_raw.CLOSE:
            return frame


def test_busy_tunnel_ends_between_two_frames(sluiced, endpoint):
    """The endpoint sends all the time: every frame arrives whole, and then the Close."""
    tunnels = proxy_config(endpoint.address, route=limit())
    daemon = sluiced("limits { close_timeout = 1s }\n" + tunnels)
    began = time.monotonic()
    client, server = tunnel(daemon, endpoint)
    payload = bytes(range(256)) * 50
    with client:
        client.sock.settimeout(0.02)
        got = b""
        while b"max_connection_duration" not in got[-64:]:
            server.send(ws_raw.server_frame(ws_raw.BINARY, payload))
            try:
                while chunk := client.sock.recv(1 << 16):
                    got += chunk
            except TimeoutError:
                pass
        assert time.monotonic() - began >= LIMIT_S * 0.9  # never early
        whole = ws_raw.server_frame(ws_raw.BINARY, payload)
        frames, rest = divmod(len(got), len(whole))
        assert got[: frames * len(whole)] == whole * frames
        assert got[frames * len(whole) :] == ws_raw.close_frame(
            1001, b"max_connection_duration", mask=None
        )
        assert frames > 0
    server.close()
    daemon.wait_closed("max_connection_duration", 1)
    (row,) = daemon.access_log(1)
    assert (row["reason"], row["close_code"]) == ("max_connection_duration", 1001)


@pytest.mark.parametrize("route", ["", "max_connection_duration = 0"])
def test_without_it_nothing_ends(sluiced, route):
    daemon = sluiced(
        f'route free {{ match {{ path = "/free" }} echo = true {route} }}\n'
        f'route echo {{ match {{ path = "/echo" }} echo = true {limit()} }}\n'
    )
    with ws_raw.connect(daemon.address(), "/free") as free, ws_raw.connect(
        daemon.address()
    ) as limited:
        close = read_to_close(limited)
        assert (close.close_code, close.payload[2:]) == (1001, b"max_connection_duration")
        free.send(ws_raw.frame(ws_raw.TEXT, b"still here", mask=b"abcd"))
        free.expect_frame(ws_raw.TEXT, b"still here")


def test_each_counts_from_its_own_opening(sluiced):
    daemon = sluiced(ECHO_CONFIG.replace("echo = true", f"echo = true {limit(LATER_S)}"))
    with ws_raw.connect(daemon.address()) as first:
        time.sleep(LATER_S / 2)
        with ws_raw.connect(daemon.address()) as second:
            assert read_to_close(first).close_code == 1001
            second.send(ws_raw.frame(ws_raw.TEXT, b"x", mask=b"abcd"))
            second.expect_frame(ws_raw.TEXT, b"x")
            assert read_to_close(second).close_code == 1001
