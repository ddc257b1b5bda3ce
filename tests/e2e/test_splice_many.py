# SPDX-License-Identifier: Apache-2.0
"""Packet splice: more connections than the daemon may have descriptors for."""

import os

from lib import env
from lib.splice_network import result_of

CONNECTIONS = env.scale_full(1500, 15000)
NOFILE = env.scale_full(200, 1000)
PATIENCE_S = 12 * env.PATIENCE_S


def memory_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def test_more_connections_than_descriptors(splice_network):
    """All are opened as fast as they can be: who comes while there is no room waits a little."""
    network = splice_network(nofile=NOFILE, flows=CONNECTIONS)
    before = memory_bytes(network.pid)
    client = network.client("-c", CONNECTIONS, "-m", "rate", "-r", env.scale_full(1500, 5000),
                            "-n", 2 * CONNECTIONS, "-s", "64-1000", "--verify",
                            "--hold-after-open", env.scale_full(1, 4), "--timeout", "30")
    env.until(lambda: network.splice_offload()["connections"] == CONNECTIONS or
              not client.is_running() or client.stderr(), f"{CONNECTIONS} spliced connections", PATIENCE_S)
    assert client.is_running() and not client.stderr(), client.stderr()
    env.until(lambda: len(os.listdir(f"/proc/{network.pid}/fd")) < NOFILE // 2, "closed sockets")
    each = (memory_bytes(network.pid) - before) / CONNECTIONS
    print(f"{CONNECTIONS} connections, {each:.0f} bytes of the daemon each")
    result = result_of(client, PATIENCE_S)
    assert result["opened"] == CONNECTIONS and result["failed"] == 0
    assert result["messages"] == 2 * CONNECTIONS
    network.wait_none(PATIENCE_S)
    rows = network.lines(CONNECTIONS)
    assert len(rows) == CONNECTIONS and {row["path"] for row in rows} == {"splice"}
