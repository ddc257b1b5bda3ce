# SPDX-License-Identifier: Apache-2.0
"""An RST reaches the other side as an RST or an end, behind the bytes that came before it."""

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import tunnel

SIZE = 200_000


def by_side(side, client, server):
    return (client, server) if side == "client" else (server, client)


def frame(side, payload):
    return (
        ws_raw.frame(ws_raw.BINARY, payload)
        if side == "client"
        else ws_raw.server_frame(ws_raw.BINARY, payload)
    )


sides = pytest.mark.parametrize("side", ["client", "endpoint"])


@sides
def test_idle_connection(sluiced, endpoint, side):
    daemon = sluiced(proxy_config(endpoint.address))
    one, other = by_side(side, *tunnel(daemon, endpoint))
    with other:
        one.reset()
        with pytest.raises(ConnectionResetError):
            other.sock.recv(1)
    assert daemon.access_log(1)[0]["reason"] == "reset"
    assert daemon.closed("reset") == 1
    daemon.wait_live(0)


@sides
def test_bytes_sent_before_arrive(sluiced, endpoint, side):
    daemon = sluiced(proxy_config(endpoint.address))
    one, other = by_side(side, *tunnel(daemon, endpoint))
    with other:
        data = frame(side, bytes(SIZE))
        one.send(data)
        # An RST that overtakes its data in the gateway's own socket would take it away: that is
        # TCP's, so wait until the gateway has it.
        key = "bytes_in" if side == "client" else "bytes_out"
        env.until(lambda: daemon.connections()[0][key] == len(data), "the gateway to have all")
        one.reset()
        assert other.read_to_end() == data
    daemon.wait_live(0)


@sides
def test_while_the_other_side_sends(sluiced, endpoint, side):
    daemon = sluiced(proxy_config(endpoint.address))
    one, other = by_side(side, *tunnel(daemon, endpoint))
    opposite = "endpoint" if side == "client" else "client"
    with other:
        other.send(frame(opposite, bytes(SIZE)))
        one.reset()
        assert other.read_to_end() == b""
    daemon.wait_live(0)


def test_during_the_handshake(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request())
        server = endpoint.accept()
        server.read_head()
        client.reset()
        server.expect_end()
    daemon.wait_live(0)
    (row,) = daemon.access_log(1)
    assert row["status"] is None and row["reason"] in ("reset", "eof")


def test_echo(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as client:
        client.send(ws_raw.frame(ws_raw.BINARY, bytes(SIZE)))
        client.reset()
    daemon.wait_live(0)
    assert daemon.access_log(1)[0]["reason"] == "reset"
