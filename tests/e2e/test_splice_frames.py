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
                            "-s", "1-9000", "--verify", "--hold-after-open", "3",
                            "--timeout", "60", "--connect-timeout", "30")
    result = result_of(client, 20 * env.PATIENCE_S)
    assert result["messages_total"] == MESSAGES
    rows = network.lines(CONNECTIONS)
    assert sum(row["promotions"] for row in rows) > 0
    return rows, MESSAGES + CONNECTIONS


def out_of_order(network):
    """Segments that came to the far ends before others that were sent before."""
    total = 0
    for name in "cb":
        names, values = (line.split() for line in network.inside(name, "cat", "/proc/net/netstat")
                         .stdout.splitlines() if line.startswith("TcpExt:"))
        total += int(values[names.index("TCPOFOQueue")])
    return total


def test_without_loss_the_counts_are_the_senders(splice_network):
    network = splice_network()
    rows, sent = run(network)
    assert {row["path"] for row in rows} == {"splice"}
    exact = [row for row in rows if row["frames_exact"]]
    for row in exact:
        assert row["frames_in"] == row["frames_out"], row
    # A segment that overtook another, or met a walker at work, costs its connection the claim.
    assert exact and len(rows) - len(exact) <= 1 + out_of_order(network)
    if len(exact) == len(rows):
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
        # One may lose its place behind the last frame.
        assert counted == sent if len(exact) == len(rows) else counted <= sent, (counted, sent)
    print(len(exact), "of", len(rows), "exact")
    assert network.impaired()[0] > 0
