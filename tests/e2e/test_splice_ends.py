# SPDX-License-Identifier: Apache-2.0
"""Ends of spliced connections: found whatever is lost on the way, and accounted for."""

import os
import signal
import time

import pytest

from lib import env, ws_raw
from lib.splice_network import MASKED, PLAIN_CLOSE


def stable(read):
    """What read() gives when it gives the same twice, a while apart."""

    def twice():
        first = read()
        time.sleep(0.3)
        return first if read() == first else None

    return env.until(twice, "figures that stand still")


def test_ends_are_found_although_their_events_were_lost(splice_network):
    """A ring buffer of 128 events, which nobody empties while all connections close."""
    network = splice_network(load=("--events", "4kb"))
    n = 200
    client = network.client("-c", n, "-m", "idle", "-d", "60")
    network.wait_spliced(n)
    os.kill(network.pid, signal.SIGSTOP)
    try:
        client.stop(signal.SIGINT)
        client.wait()
    finally:
        os.kill(network.pid, signal.SIGCONT)
    network.wait_none()
    rows = network.lines(n)
    assert len(rows) == n and {row["path"] for row in rows} == {"splice"}
    # Also if the client is gone when the endpoint's Close frame comes, and answers by an RST.
    assert {row["reason"] for row in rows} == {"close_frame"}
    assert network.metrics()("sluice_splice_events_lost_total") > 0


@pytest.mark.parametrize("version", [4, 6])
def test_silent_peers_are_told_at_once_that_it_is_over(splice_network, version):
    """By the operator's close and by tunnel_timeout: neither waits for their next packet."""
    network = splice_network(version, route="tunnel_timeout = 8s")
    client = network.client("-c", 4, "-m", "idle", "-d", "60")
    network.wait_spliced(4)
    for row in network.connections()[:2]:
        network.ctl("close", row["conn"])
    assert {row["reason"] for row in network.lines(2)[:2]} == {"closed_by_operator"}
    env.until(lambda: network.n_established("c") == 0 and network.n_established("b") == 0,
              "no socket on either side")
    rows = network.lines(4)
    assert sorted(row["reason"] for row in rows) == ["closed_by_operator"] * 2 + [
        "tunnel_timeout"] * 2
    assert {(row["path"], row["close_code"]) for row in rows} == {("relay", 1001)}
    client.kill()


def test_an_end_by_decision_is_accounted_for_to_the_byte(splice_network):
    network = splice_network()
    client = network.client("-c", 2, "-m", "rate", "-r", "200", "-s", "64", "-d", "60")
    network.wait_spliced(2)
    env.until(lambda: all(row["bytes_in"] > 50 * (64 + MASKED) for row in network.connections()),
              "traffic")
    client.send_signal(signal.SIGSTOP)  # nothing is on its way from here on
    try:
        before = stable(lambda: sorted((row["conn"], row["bytes_in"], row["bytes_out"])
                                       for row in network.connections()))
        for conn, _, _ in before:
            network.ctl("close", conn)
        rows = network.lines(2)
    finally:
        client.kill()
    # Our Close frame is of what the client was sent, though of nobody's stream.
    assert sorted((row["conn"], row["bytes_in"], row["bytes_out"] - PLAIN_CLOSE)
                  for row in rows) == before
    m = network.metrics()
    for direction in ("in", "out"):
        counted = sum(m("sluice_bytes_total", path=path, direction=direction)
                      for path in ("relay", "splice"))
        ours = 2 * PLAIN_CLOSE if direction == "out" else 0
        assert counted == sum(row[f"bytes_{direction}"] for row in rows) - ours


# ---- by the peers' Close frames, whose FINs do not follow ---------------------------------------

CODES = {"relay": 1000, "splice": None}  # the kernel passes Close frames without a look inside


def server_close(code):
    return ws_raw.server_frame(ws_raw.CLOSE, ws_raw.close_payload(code))


def exchange_close(client, server):
    client.send(ws_raw.close_frame(1000))
    server.expect_close(1000)
    server.send(server_close(1000))
    client.expect_close(1000)


@pytest.fixture(params=["relay", "splice"])
def path(request):
    return request.param


@pytest.fixture
def closing_tunnels(make_tunnels, path):
    """start(close_timeout) -> tunnels that only their peers' closing ends, and one of them."""

    def start(close_timeout, version=4):
        splice = "auto" if path == "splice" else "off"
        tunnels = make_tunnels(version, route=f"tunnel_timeout = 0  splice = {splice}",
                               more=f"limits {{ close_timeout = {close_timeout} }}")
        return tunnels, *(tunnels.open_spliced() if path == "splice" else tunnels.open())

    return start


def expect_close_frame(network, path):
    network.wait_none()
    (row,) = network.lines(1)
    assert (row["reason"], row["close_code"]) == ("close_frame", CODES[path])
    assert network.metrics()("sluice_closed_total", reason="close_frame") == 1
    return row


@pytest.mark.parametrize("version, silent", [(4, "client"), (4, "endpoint"), (4, "both"),
                                             (6, "both")])
def test_who_does_not_close_behind_the_close_frames_is_given_up(closing_tunnels, path, version,
                                                               silent):
    tunnels, client, server = closing_tunnels("600ms", version)
    exchange_close(client, server)
    for name, stream, other in ("client", client, server), ("endpoint", server, client):
        if silent not in (name, "both"):
            stream.shutdown_write()
            other.expect_end()
    client.expect_end()
    server.expect_end()
    row = expect_close_frame(tunnels.network, path)
    # One that nobody has ended yet is told by a FIN, which takes sockets.
    assert row["path"] == ("relay" if silent == "both" else path)
    demoted = tunnels.network.metrics()("sluice_demotions_total", reason="close_timeout")
    assert demoted == (path == "splice")
    client.close()
    server.close()
    env.until(lambda: not tunnels.network.unfinished(), "no socket on either side")


def test_who_vanishes_amid_the_closing_handshake_is_given_up(closing_tunnels, path):
    tunnels, client, server = closing_tunnels("600ms")
    client.send(ws_raw.close_frame(1000))
    server.expect_close(1000)
    tunnels.network.inside("c", "ip", "link", "set", "c0", "down")
    server.send(server_close(1000))
    server.expect_end()
    expect_close_frame(tunnels.network, path)


def test_one_close_frame_is_no_end(closing_tunnels, path):
    tunnels, client, server = closing_tunnels("100ms")
    client.send(ws_raw.close_frame(1000))
    server.expect_close(1000)
    assert client.is_silent(1)
    server.send(ws_raw.server_frame(ws_raw.TEXT, b"late, but not too late"))
    client.expect_frame(ws_raw.TEXT, b"late, but not too late")
    (row,) = tunnels.network.connections()
    assert (row["state"], row["path"]) == ("open", path)
    server.send(server_close(1000))
    client.expect_close(1000)
    client.expect_end()
    expect_close_frame(tunnels.network, path)


def states(network):
    return [(row["state"], row["path"]) for row in network.connections()]


def test_it_is_listed_as_closing_and_not_closed_again(closing_tunnels, path):
    tunnels, client, server = closing_tunnels("10m")
    network = tunnels.network
    exchange_close(client, server)
    env.until(lambda: states(network) == [("closing", path)], "its state")
    assert network.ctl("close", "--all") == {"closed": 0}
    client.shutdown_write()
    server.expect_end()
    server.shutdown_write()
    client.expect_end()
    assert expect_close_frame(network, path)["path"] == path


@pytest.mark.parametrize("path", ["splice"])
def test_who_comes_back_to_the_relay_has_no_more_time(closing_tunnels, path):
    # Time to look at it before it is over.
    tunnels, client, server = closing_tunnels("10s" if env.IN_VM or env.SANITIZED else "5s")
    network = tunnels.network
    exchange_close(client, server)
    env.until(lambda: states(network) == [("closing", "splice")], "its state")
    network.ctl("demote", "--all")
    env.until(lambda: states(network) == [("closing", "relay")], "it on the relay")
    client.expect_end()
    server.expect_end()
    assert expect_close_frame(network, path)["path"] == "relay"


@pytest.mark.parametrize("path", ["splice"])
def test_who_closes_while_there_is_no_daemon_is_given_up_by_the_next(closing_tunnels, path):
    tunnels, client, server = closing_tunnels("600ms")
    tunnels.network.kill_daemon()
    exchange_close(client, server)
    assert client.is_silent(2)
    (row,) = tunnels.network.ctl("show", "connections", "--offline")
    assert row["state"] == "closing"
    tunnels.network.start_daemon()
    client.expect_end()
    server.expect_end()
    assert expect_close_frame(tunnels.network, path)["path"] == "relay"


@pytest.mark.parametrize("path", ["splice"])
def test_who_is_closing_is_left_to_the_next_daemon(closing_tunnels, path):
    tunnels, client, server = closing_tunnels("10m")
    network = tunnels.network
    exchange_close(client, server)
    env.until(lambda: states(network) == [("closing", "splice")], "its state")
    network.stop_daemon()
    network.start_daemon()
    env.until(lambda: states(network) == [("closing", "splice")], "it adopted")
    client.shutdown_write()
    server.expect_end()
    server.shutdown_write()
    client.expect_end()
    assert expect_close_frame(network, path)["path"] == "splice"
