# SPDX-License-Identifier: Apache-2.0
"""Classes in the kernel: what the hook holds spliced connections to, and how it marks them."""

import contextlib
import json
import signal

import pytest

from lib import env, ws_raw
from lib.capture import INCOMING, Capture
from lib.endpoint import RawEndpoint
from lib.splice_network import CLIENTS, ended, read_stats

KB = 1024
SUPER_PACKET = 64 * KB  # of GRO: it may overdraw a bucket once
ENDPOINTS = {4: "10.2.0.2", 6: "fd02::2"}


def of_class(keys, route=""):
    return dict(more=f"class k {{ {keys} }}", route=f"class = k  {route}")


def change_class(network, keys):
    text = network.config.read_text()
    before = text[text.index("class k {") : text.index("}", text.index("class k {")) + 1]
    network.config.write_text(text.replace(before, f"class k {{ {keys} }}"))
    network.ctl("reload")


@contextlib.contextmanager
def spliced(network):
    """A client and its endpoint in the hands of the test."""
    with contextlib.ExitStack() as stack:
        with network.box.thread_in("b"):
            endpoint = stack.enter_context(RawEndpoint(ENDPOINTS[network.version], 9000))
        host, _, port = CLIENTS[network.version].rpartition(":")
        with network.box.thread_in("c"):
            client = stack.enter_context(ws_raw.dial((host.strip("[]"), int(port))))
        client.send(ws_raw.request("/"))
        server = endpoint.accept_upgrade()
        ws_raw.check_101(client)
        network.wait_spliced(1)
        yield client, server


def talk(client, server, text=b"as it was sent"):
    client.send(ws_raw.frame(ws_raw.TEXT, text))
    server.expect_frame(ws_raw.TEXT, text)
    server.send(ws_raw.server_frame(ws_raw.TEXT, text))
    client.expect_frame(ws_raw.TEXT, text)


def policies(network):
    """Rows that are in use, as the hook reads them."""
    flows = network.box.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/sluice/flows4")
    used = {row["formatted"]["value"]["policy"] for row in json.loads(flows.stdout)}
    rows = network.box.run("bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/sluice/policies")
    return {
        row["formatted"]["key"]: row["formatted"]["value"]
        for row in json.loads(rows.stdout)
        if row["formatted"]["key"] in used
    }


# ---- marks ----------------------------------------------------------------------------------


def code_points(captures):
    return [{tos >> 2 for tos, _, payload in capture.packets() if payload} for capture in captures]


@pytest.mark.parametrize("version", [4, 6])
def test_code_point_on_both_legs(splice_network, version):
    """Of a conversation that the kernel forwards; a reload changes it there."""
    network = splice_network(version, server=None, **of_class("dscp = AF41"))
    with spliced(network) as (client, server), contextlib.ExitStack() as stack:
        captures = []
        for where, interface in ("c", "c0"), ("b", "b0"):
            with network.box.thread_in(where):
                captures.append(stack.enter_context(Capture(interface, INCOMING)))
        talk(client, server)
        assert code_points(captures) == [{34}, {34}]
        change_class(network, "dscp = 7")
        talk(client, server)
        assert code_points(captures) == [{7}, {7}]
        change_class(network, "")
        talk(client, server)
        assert code_points(captures) == [{0}, {0}]  # as the peers have sent them
        assert network.paths() == [("splice", "none")]


# ---- rates ----------------------------------------------------------------------------------


def watch(network, key, rate, burst, slack, enough):
    """
    What passes between two looks is within the rate, by the gateway's own clock; until @enough
    has. An age is cut to whole ms.
    """
    (first,) = network.connections()

    def has_passed():
        (row,) = network.connections()
        seconds = (row["age_ms"] + 1 - first["age_ms"]) / 1000
        assert row[key] - first[key] <= burst + slack + rate * seconds, (first, row)
        return row[key] - first[key] >= enough

    env.until(has_passed, f"{enough} more {key}", 6 * env.PATIENCE_S)


def test_bytes_are_held_to_the_rate(splice_network):
    rate, burst = 300 * KB, 16 * KB
    network = splice_network(**of_class(f"rate_bytes = {rate}  burst_bytes = {burst}"))
    client = network.client(
        "-c", 1, "-d", "100", "-s", "16384", "--hold-after-open", "1", "--verify"
    )
    network.wait_spliced(1)
    watch(network, "bytes_in", rate, burst, SUPER_PACKET, 150 * KB)
    assert network.paths() == [("splice", "none")]
    assert read_stats(network)["drop_limit"] > 0
    change_class(network, "")
    network.wait_moving(4 << 20)
    assert ended(client)["opened"] == 1
    network.wait_none()


def test_frames_are_held_to_the_rate(splice_network):
    rate, burst = 200, 20
    network = splice_network(**of_class(f"rate_frames = {rate}  burst_frames = {burst}"))
    client = network.client("-c", 1, "-d", "100", "-s", "8", "--hold-after-open", "1", "--verify")
    network.wait_spliced(1)
    # One packet may have many, and passes if the bucket holds anything; here it has few.
    watch(network, "frames_in", rate, burst, burst, 120)
    assert network.paths() == [("splice", "none")]
    assert ended(client)["opened"] == 1
    network.wait_none()


# ---- rows -----------------------------------------------------------------------------------


def test_rows_outlive_the_daemon(splice_network):
    """What is spliced keeps its row; the next daemon knows the class, and gives it to no other."""
    keys = "rate_bytes = 1mb  priority = 3  dscp = EF"
    network = splice_network(server=None, **of_class(keys, route="max_frame = 64kb"))
    with spliced(network) as (client, server):
        ((number, row),) = policies(network).items()
        assert number != 0
        assert (row["byte_rate"], row["priority"], row["dscp"]) == (1 << 20, 3, 46)
        assert (row["max_frame"], row["walk"]) == (64 * KB, 1)
        assert network.splice_offload()["splice"]["maps"]["policies"] == {"entries": 1, "max": 256}
        network.kill_daemon()
        text = network.config.read_text().replace("class k {", "class other {")
        network.config.write_text(text.replace("class = k", "class = other"))
        network.start_daemon()
        network.wait_spliced(1)
        (listed,) = network.connections()
        assert (listed["class"], listed["adopted"]) == ("k", True)
        assert policies(network) == {number: row}
        talk(client, server)
    network.wait_none()
    assert network.lines(1)[0]["class"] == "k"


@pytest.mark.parametrize("limit", ["max_frame = 1kb", "max_message = 1kb"])
def test_frames_over_a_limit_end_as_on_the_relay(splice_network, limit):
    network = splice_network(server=None, route=limit)
    with spliced(network) as (client, server):
        talk(client, server, b"x" * KB)
        client.send(ws_raw.frame(ws_raw.BINARY, b"y" * (KB + 1)))
        client.expect_close(1009)
        server.expect_close(1009)
    network.wait_none()
    (row,) = network.lines(1)
    assert (row["close_code"], row["promotions"]) == (1009, 1)


def test_max_connection_duration_says_so(splice_network):
    network = splice_network(route="max_connection_duration = 8s")
    client = network.client("-c", 4, "-m", "idle", "-d", "100")
    network.wait_spliced(4)
    network.wait_none()
    client.stop(signal.SIGINT)
    assert json.loads(client.stdout())["close_codes"] == {"1001": 4}
    rows = network.lines(4)
    assert {(row["reason"], row["close_code"]) for row in rows} == {
        ("max_connection_duration", 1001)
    }
