# SPDX-License-Identifier: Apache-2.0
"""tunnel_timeout and close_timeout: what ends a connection, and what keeps it."""

import time

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import RawEndpoint, tunnel

IDLE_S = 0.8
RENEWED_S = 3 if env.IN_VM else 2  # where traffic must come in time
CONFIG = "limits { close_timeout = 600ms }\n"


@pytest.fixture
def start(sluiced, endpoint):
    def start(idle_s=IDLE_S):
        route = f"tunnel_timeout = {int(idle_s * 1000)}ms"
        return sluiced(CONFIG + proxy_config(endpoint.address, route=route))

    return start


def expect_idle_close(daemon, client, server):
    for stream in (client, server):
        stream.expect_close(1001)
    client.send(ws_raw.close_frame(1001))
    server.send(ws_raw.close_frame(1001, mask=None))
    client.expect_end()
    server.shutdown_write()
    server.expect_end()
    (row,) = daemon.access_log(1)
    assert (row["reason"], row["close_code"]) == ("tunnel_timeout", 1001)
    assert daemon.closed("tunnel_timeout") == 1


def test_idle_tunnel_is_closed_on_both_sides(start, endpoint):
    daemon = start()
    client, server = tunnel(daemon, endpoint)
    with client:
        expect_idle_close(daemon, client, server)


@pytest.mark.parametrize("sender", ["client", "endpoint"])
def test_traffic_in_either_direction_renews_it(start, endpoint, sender):
    daemon = start(RENEWED_S)
    client, server = tunnel(daemon, endpoint)
    with client:
        for i in range(6):
            time.sleep(RENEWED_S / 4)
            opcode = ws_raw.PING if i % 2 else ws_raw.BINARY
            if sender == "client":
                client.send(ws_raw.frame(opcode, b"%d" % i))
                server.expect_frame(opcode, b"%d" % i)
            else:
                server.send(ws_raw.server_frame(opcode, b"%d" % i))
                client.expect_frame(opcode, b"%d" % i)
        expect_idle_close(daemon, client, server)


def test_no_timeout(start, endpoint):
    daemon = start(0)
    client, _ = tunnel(daemon, endpoint)
    with client:
        assert client.is_silent(2 * IDLE_S)
        assert daemon.connections()[0]["state"] == "open"


def test_echo_route_has_it_too(sluiced):
    daemon = sluiced(
        CONFIG + 'route e { match { path = "/echo" } echo = true  tunnel_timeout = 500ms }'
    )
    with ws_raw.connect(daemon.address()) as client:
        client.expect_close(1001)
        client.send(ws_raw.close_frame(1001))
        client.expect_end()
    assert daemon.access_log(1)[0]["reason"] == "tunnel_timeout"


def test_timeout_while_output_waits_for_a_reader(sluiced):
    """Nothing moves any more, so it is idle; the Close stays behind what was not read."""
    with RawEndpoint(receive_buffer=4096) as endpoint:
        # The reader may come late, but not behind close_timeout.
        limits = "limits { close_timeout = 4s }\n"
        daemon = sluiced(limits + proxy_config(endpoint.address, route="tunnel_timeout = 800ms"))
        client, server = tunnel(daemon, endpoint)
        with client, server:
            client.sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                while True:
                    client.send(ws_raw.frame(ws_raw.BINARY, bytes(1 << 20)))
            client.sock.settimeout(env.PATIENCE_S)
            client.expect_close(1001)
            assert daemon.access_log(1)[0]["reason"] == "tunnel_timeout"


@pytest.mark.parametrize("silent", ["client", "endpoint", "both"])
def test_peer_that_does_not_answer_a_close_is_given_up(start, endpoint, silent):
    daemon = start()
    client, server = tunnel(daemon, endpoint)
    with client:
        for name, stream in (("client", client), ("endpoint", server)):
            stream.expect_close(1001)
            if silent not in (name, "both"):
                stream.send(ws_raw.close_frame(1001, mask=None if stream is server else b"abcd"))
                stream.shutdown_write()
        client.expect_end()
        server.expect_end()
    # The first cause stays the reason.
    assert daemon.access_log(1)[0]["reason"] == "tunnel_timeout"


@pytest.mark.parametrize("silent", ["client", "endpoint"])
def test_closing_handshake_between_the_peers_is_limited_too(start, endpoint, silent):
    """Both Closes have passed, but one peer never closes its TCP connection."""
    daemon = start(0)
    client, server = tunnel(daemon, endpoint)
    with client:
        client.send(ws_raw.close_frame(1000))
        server.expect_close(1000)
        server.send(ws_raw.close_frame(1000, mask=None))
        client.expect_close(1000)
        one, other = (client, server) if silent == "endpoint" else (server, client)
        one.shutdown_write()
        other.expect_end()
        one.expect_end()
    (row,) = daemon.access_log(1)
    assert (row["reason"], row["close_code"]) == ("close_frame", 1000)
    daemon.wait_live(0)


def test_client_of_echo_that_never_closes_is_given_up(sluiced):
    daemon = sluiced(CONFIG + ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as client:
        client.send(ws_raw.close_frame(1000))
        client.expect_close(1000)
        client.expect_end()
        daemon.wait_live(0)  # although this end is still open
    assert daemon.access_log(1)[0]["reason"] == "close_frame"
