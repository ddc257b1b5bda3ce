# SPDX-License-Identifier: Apache-2.0
"""Packet splice: the port of a connection that has ended rests, and then is used again."""

import signal

from lib import env
from lib.splice_network import result_of

PORTS = {20000, 20001, 20002, 20003}
SOURCE_PORTS = 'source_ports = "20000-20003"'
N = len(PORTS)


def ports_at_the_endpoint(network):
    """That its connections come from."""
    lines = network.inside("b", "ss", "-Htn", "state", "established").stdout.splitlines()
    return {int(line.split()[-1].rpartition(":")[2]) for line in lines}


def usage(network):
    ports = network.splice_offload()["splice"]["ports"]
    assert (ports["first"], ports["last"]) == (min(PORTS), max(PORTS))
    return ports["used"], ports["quarantined"]


def test_a_port_that_rests_is_nobodys(splice_network):
    """With all of them taken, or at rest, who comes is served by the relay, from a port of the kernel's."""
    network = splice_network(kernel=f"{SOURCE_PORTS} quarantine = 10m")
    first = network.client("-c", N, "-m", "idle", "-d", "60")
    network.wait_spliced(N)
    assert ports_at_the_endpoint(network) == PORTS
    second = network.client("-c", 1, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "ports")] + [("splice", "none")] * N, "both")
    first.stop(signal.SIGINT)
    result_of(first)
    env.until(lambda: network.paths() == [("relay", "ports")], "the end of the first")
    assert sum(usage(network)) == N
    third = network.client("-c", 1, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "ports")] * 2, "another")
    assert not ports_at_the_endpoint(network) & PORTS
    for client in (second, third):
        client.stop(signal.SIGINT)
    network.wait_none()


def test_a_port_is_used_again(splice_network):
    """The same addresses at both ends, again and again: each connection is one of its own."""
    rounds = 4
    network = splice_network(kernel=f"{SOURCE_PORTS} quarantine = 1s")
    messages = 0
    for i in range(rounds):
        client = network.client("-c", N, "-m", "rate", "-r", "400", "-d", "60", "-s", "64",
                                "--verify")
        network.wait_spliced(N)
        assert ports_at_the_endpoint(network) == PORTS, f"round {i}"
        client.stop(signal.SIGINT)
        messages += result_of(client)["messages_total"]
        network.wait_none()
        env.until(lambda: usage(network) == (0, 0), "the end of the quarantine")
        assert network.splice_offload()["splice"]["maps"]["flows4"]["entries"] == 0
    lines = network.lines(rounds * N)
    assert len(lines) == rounds * N
    assert {(line["path"], line["reason"]) for line in lines} == {("splice", "close_frame")}
    server = network.stop_server()
    assert server["connections"] == rounds * N and server["aborted"] == 0
    assert sum(line["bytes_in"] for line in lines) == server["stream_received"]
    assert sum(line["bytes_out"] for line in lines) == server["stream_sent"]
    assert messages > 0
