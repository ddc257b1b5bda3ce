# SPDX-License-Identifier: Apache-2.0
"""Frames that only the kernel sees are counted there; where it has missed some, it says so."""

from lib import env
from lib.splice_network import RENO, result_of

CONNECTIONS = env.scale_full(16, 200)
MESSAGES = env.scale_full(1600, 40000)


def run(network):
    """Messages of sizes that are answered by one frame each. Return: the log's rows, and how many
    frames each direction had: the messages, and a Close frame of each connection."""
    client = network.client("-c", CONNECTIONS, "-m", "pipeline", "--depth", 4, "-n", MESSAGES,
                            "-s", "1-9000", "--verify", "--hold-after-open", "1",
                            "--timeout", "60", "--connect-timeout", "30")
    result = result_of(client, 20 * env.PATIENCE_S)
    assert result["messages_total"] == MESSAGES
    rows = network.lines(CONNECTIONS)
    assert sum(row["promotions"] for row in rows) > 0
    return rows, MESSAGES + CONNECTIONS


def test_without_loss_the_counts_are_the_senders(splice_network):
    network = splice_network()
    rows, sent = run(network)
    for row in rows:
        assert row["path"] == "splice" and row["frames_exact"], row
        assert row["frames_in"] == row["frames_out"], row
    assert sum(row["frames_in"] for row in rows) == sent


def test_with_loss_they_are_exact_or_said_not_to_be(splice_network):
    network = splice_network(sysctls=RENO)
    network.impair(drop=1)
    rows, sent = run(network)
    exact = [row for row in rows if row["frames_exact"]]
    for row in exact:
        assert row["frames_in"] == row["frames_out"], row
    for row in rows:
        assert row["frames_in"] + row["frames_out"] <= 2 * sent
    for direction in "frames_in", "frames_out":
        counted = sum(row[direction] for row in rows)
        assert counted == sent if len(exact) == len(rows) else counted < sent, (counted, sent)
    print(len(exact), "of", len(rows), "exact")
    assert network.impaired()[0] > 0
