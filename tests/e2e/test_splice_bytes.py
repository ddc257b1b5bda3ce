# SPDX-License-Identifier: Apache-2.0
"""Packet splice: messages of all sizes over many connections, and who has counted how much."""

import pytest

from lib import env
from lib.splice_network import RENO, result_of

CONNECTIONS = env.scale_full(40, 1000)
MESSAGES = env.scale_full(600, 10000)
PATIENCE_S = 60 * env.PATIENCE_S


def assert_counted(network, results):
    """Both ends and the access log agree to the byte."""
    n = sum(result["opened"] for result in results)
    network.wait_none()
    rows = network.lines(n)
    assert {(row["path"], row["promotions"]) for row in rows} == {("splice", 1)}
    assert len(rows) == n
    server = network.stop_server()
    assert server["aborted"] == 0 and server["connections"] == n
    to_endpoint = sum(row["bytes_in"] for row in rows)
    to_client = sum(row["bytes_out"] for row in rows)
    assert to_endpoint == sum(r["stream_sent"] for r in results) == server["stream_received"]
    assert to_client == sum(r["stream_received"] for r in results) == server["stream_sent"]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mode", [("pingpong",), ("pipeline", "--depth", 8)], ids=lambda m: m[0])
def test_messages_of_all_sizes(splice_network, version, mode):
    network = splice_network(version, sysctls=RENO)
    client = network.client("-c", CONNECTIONS, "-m", *mode, "-n", MESSAGES, "-s", "64-1m",
                            "--verify", "--hold-after-open", "1", "--timeout", "60")
    network.wait_spliced(CONNECTIONS)
    result = result_of(client, PATIENCE_S)
    assert result["messages_total"] == MESSAGES
    assert_counted(network, [result])
