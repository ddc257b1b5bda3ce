# SPDX-License-Identifier: Apache-2.0
"""Spliced connections outlive the daemon: the next one knows, times, closes and accounts for them."""

import json
import signal
import struct

import pytest

from lib import env
from lib.splice_network import MASKED, MASKED_CLOSE, PLAIN, PLAIN_CLOSE, result_of

PINS = "/sys/fs/bpf/sluice"


def adopted(network, n):
    """The rows of @n connections that were adopted, once they are."""

    def rows():
        rows = network.connections()
        return rows if len(rows) == n and all(row["adopted"] for row in rows) else None

    return env.until(rows, f"{n} adopted connections")


def entries(network, name):
    """What bpftool finds in a map."""
    dump = network.box.run("bpftool", "-j", "map", "dump", "pinned", f"{PINS}/{name}").stdout
    return json.loads(dump)


def wait_empty(network, *names):
    for name in names:
        env.until(lambda name=name: not entries(network, name), f"nothing in {name}")


def put(network, name, key, value):
    def hexes(data):
        return ["hex", *(f"{byte:02x}" for byte in data)]

    network.box.run("bpftool", "map", "update", "pinned", f"{PINS}/{name}", "key", *hexes(key),
                    "value", *hexes(value))


def restart(network):
    """Killed, and another started."""
    network.kill_daemon()
    network.start_daemon()


def assert_exact(rows, messages):
    assert sum(row["bytes_in"] - MASKED_CLOSE for row in rows) == messages * (64 + MASKED)
    assert sum(row["bytes_out"] - PLAIN_CLOSE for row in rows) == messages * (64 + PLAIN)


@pytest.mark.parametrize("version", [4, 6])
def test_killed_and_restarted_it_goes_on(splice_network, version):
    network = splice_network(version)
    client = network.client("-c", 6, "-m", "rate", "-r", "600", "-d", "4", "-s", "64", "--verify")
    network.wait_spliced(6)
    before = {row["conn"]: row for row in network.connections()}
    restart(network)
    rows = adopted(network, 6)
    assert {row["conn"] for row in rows} == set(before)
    for row in rows:
        old = before[row["conn"]]
        for key in ("source", "listener", "route", "cluster", "endpoint", "path", "reason",
                    "state"):
            assert row[key] == old[key], key
        assert row["age_ms"] >= old["age_ms"] and row["bytes_in"] >= old["bytes_in"]
    assert network.ctl("show", "clusters")[0]["connections"] == 6
    assert network.ctl("show", "routes")[0]["connections"] == 6
    messages = result_of(client)["messages_total"]
    network.wait_none()
    lines = network.lines(6)
    assert len(lines) == 6
    assert {(line["path"], line["promotions"], line["status"]) for line in lines} == {
        ("splice", 1, 101)}
    assert {line["conn"] for line in lines} == set(before)
    assert_exact(lines, messages)
    assert network.ctl("show", "clusters")[0]["connections"] == 0
    assert not entries(network, "conns")


def test_twice_in_sequence_and_stopped_in_between(splice_network):
    """By SIGTERM, too: what the kernel serves needs no daemon, and no byte is lost."""
    network = splice_network()
    client = network.client("-c", 4, "-m", "rate", "-r", "400", "-d", "6", "-s", "64", "--verify")
    network.wait_spliced(4)
    network.stop_daemon()
    network.start_daemon()
    adopted(network, 4)
    restart(network)
    adopted(network, 4)
    network.stop_daemon()
    network.start_daemon()
    adopted(network, 4)
    messages = result_of(client)["messages_total"]
    network.wait_none()
    assert_exact(network.lines(4), messages)
    assert len(network.lines(4)) == 4
