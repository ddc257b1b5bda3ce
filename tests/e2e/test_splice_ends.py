# SPDX-License-Identifier: Apache-2.0
"""Ends of spliced connections: found whatever is lost on the way, and accounted for."""

import os
import signal
import time

import pytest

from lib import env
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
    # A client that is gone when the endpoint's Close frame comes answers by an RST.
    assert {row["reason"] for row in rows} <= {"eof", "reset"}
    assert "events of the kernel were lost" in network.daemon.stderr()


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
