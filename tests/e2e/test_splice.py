# SPDX-License-Identifier: Apache-2.0
"""Packet splice: connections leave the relay for the kernel, and end there."""

import os
import signal

import pytest

from lib import env
from lib.splice_network import MASKED, MASKED_CLOSE, PLAIN, PLAIN_CLOSE, ended, result_of

ENOUGH = env.scale(1 << 20, sanitized=4)  # bytes of each connection


@pytest.mark.parametrize("version", [4, 6])
def test_busy_connections_are_spliced_and_every_byte_arrives(splice_network, version):
    network = splice_network(version)
    n = env.scale(16, 2)
    client = network.client("-c", n, "-d", "60", "-s", "64-3000", "--verify")
    network.wait_spliced(n)
    assert network.splice_offload()["connections"] == n
    network.wait_moving(ENOUGH)
    result = ended(client)
    assert result["opened"] == n and result["messages"] > n
    network.wait_none()
    rows = network.lines(n)
    assert {(row["path"], row["promotions"]) for row in rows} == {("splice", 1)}
    assert all(row["frames_in"] > 0 and row["frames_out"] > 0 for row in rows)


def test_an_endpoint_on_the_same_host(splice_network):
    """Its packets never leave by a wire: over lo, whose MTU is not the client's."""
    network = splice_network(endpoint="10.2.0.1:9000", hooks=("gc", "lo"))
    client = network.client("-c", 8, "-d", "60", "-s", "64-100000", "--verify")
    network.wait_spliced(8)
    network.wait_moving(10 * ENOUGH)
    assert ended(client)["opened"] == 8
    network.wait_none()
    assert {row["path"] for row in network.lines(8)} == {"splice"}


def test_the_access_log_is_exact_to_the_byte(splice_network):
    network = splice_network()
    client = network.client("-c", 4, "-n", "20000", "-s", "64",
                            "--hold-after-open", "3")
    messages = result_of(client)["messages_total"]
    network.wait_none()
    rows = network.lines(4)
    assert {row["path"] for row in rows} == {"splice"}
    assert sum(row["bytes_in"] - MASKED_CLOSE for row in rows) == messages * (64 + MASKED)
    assert sum(row["bytes_out"] - PLAIN_CLOSE for row in rows) == messages * (64 + PLAIN)


def test_a_spliced_connection_has_no_descriptor(splice_network):
    network = splice_network()

    def n_fds():
        return len(os.listdir(f"/proc/{network.pid}/fd"))

    network.ctl("status")  # it has opened all that it needs
    before = n_fds()
    client = network.client("-c", 100, "-m", "idle", "-d", "60")
    network.wait_spliced(100)
    env.until(lambda: n_fds() <= before + 4, "closed sockets")
    client.stop(signal.SIGINT)
    network.wait_none()
    assert len(network.lines(100)) == 100


def test_a_client_that_comes_again_from_its_port_meets_the_gateway(splice_network):
    """And not the endpoint, by the entries of the connection before."""
    network = splice_network()
    network.box.run("ip", "netns", "exec", "c", "sh", "-c",
                    "echo 20000 20031 >/proc/sys/net/ipv4/ip_local_port_range")
    each = 50 if env.IN_VM else 200
    client = network.client("-c", 4, "-n", 100 * each, "--messages-per-conn", each, "--churn",
                            "--verify")
    opened = result_of(client)["opened"]
    assert opened > 64
    network.wait_none()
    rows = network.lines(opened)
    assert len(rows) == opened
    assert "splice" in {row["path"] for row in rows}


def test_a_reset_ends_both_sides(splice_network):
    network = splice_network()
    client = network.client("-c", 8, "-m", "idle", "-d", "60", "--reset")
    network.wait_spliced(8)
    client.stop(signal.SIGINT)
    network.wait_none()
    assert {row["reason"] for row in network.lines(8)} == {"reset"}


def test_tunnel_timeout_counts_what_the_kernel_sees(splice_network):
    network = splice_network(route="tunnel_timeout = 5s")
    busy = network.client("-c", 2, "-m", "rate", "-r", "40", "-d", "60")
    idle = network.client("-c", 3, "-m", "idle", "-d", "60")
    rows = network.lines(3)
    assert {row["reason"] for row in rows[:3]} == {"tunnel_timeout"}
    assert ended(busy)["messages"] > 0
    network.wait_none()
    assert "tunnel_timeout" not in {row["reason"] for row in network.lines(5)[3:]}
    idle.kill()


def test_the_operator_can_close_it(splice_network):
    network = splice_network()
    client = network.client("-c", 2, "-m", "idle", "-d", "60")
    network.wait_spliced(2)
    network.ctl("close", network.connections()[0]["conn"])
    env.until(lambda: len(network.connections()) == 1, "one connection less")
    client.kill()


def test_kill_of_the_daemon_costs_no_byte(splice_network):
    network = splice_network()
    client = network.client("-c", 8, "-d", "60", "-s", "64-3000", "--verify")
    network.wait_spliced(8)
    network.kill_daemon()
    network.wait_moving(ENOUGH, "--offline")
    result = ended(client)
    assert result["opened"] == 8 and result["messages"] > 8


@pytest.mark.parametrize(
    "options, path_reason",
    [
        ({"route": "splice = off"}, ("relay", "policy")),
        ({"kernel": "splice = off"}, ("relay", "policy")),
        ({"hooks": None}, ("relay", "not_loaded")),
        ({"hooks": ("gc",)}, ("relay", "no_hook")),
        ({"hooks": ("gb",)}, ("relay", "no_hook")),
    ],
)
def test_who_stays_on_the_relay_and_why(splice_network, options, path_reason):
    network = splice_network(**options)
    client = network.client("-c", 2, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [path_reason] * 2, f"two connections: {path_reason}")
    client.stop(signal.SIGINT)
    assert {row["path"] for row in network.lines(2)} == {"relay"}


def test_offload_says_what_is_missing(splice_network):
    network = splice_network(hooks=None)
    row = network.splice_offload()
    assert (row["available"], row["reason"]) == (False, "not_loaded")
    assert row["detail"] == "/sys/fs/bpf/sluice: nothing is loaded there (sluice-loader load)"
