# SPDX-License-Identifier: Apache-2.0
"""Ends of spliced connections: found whatever is lost on the way, and accounted for."""

import os
import signal


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
    assert {row["reason"] for row in rows} == {"eof"}
    assert "events of the kernel were lost" in network.daemon.stderr()
