# SPDX-License-Identifier: Apache-2.0
"""Spliced connections outlive the daemon: the next one knows, times, closes and accounts for them."""

import json
import signal
import struct

import pytest

from lib import env
from lib.splice_network import (MASKED, MASKED_CLOSE, PLAIN, PLAIN_CLOSE, ended,
                                far_address)

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


class Value:
    """Of a map, with fields to be written by their names in its BTF."""

    def __init__(self, network, name, data=None):
        dump = network.box.run("bpftool", "-j", "btf", "dump", "map", "pinned", f"{PINS}/{name}",
                               "value").stdout
        struct_name = {"conns": "sl_conn", "flows4": "sl_flow"}[name]
        (layout,) = (t for t in json.loads(dump)["types"] if t.get("name") == struct_name)
        self.offsets = {m["name"]: m["bits_offset"] // 8 for m in layout["members"]}
        self.data = bytearray(data or bytes(layout["size"]))

    def set(self, **fields):
        for field, data in fields.items():
            offset = self.offsets[field]
            self.data[offset:offset + len(data)] = data
        return self


def u32(number):
    return struct.pack("<I", number)


def put(network, name, key, value):
    def hexes(data):
        return ["hex", *(f"{byte:02x}" for byte in bytes(data))]

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
    client = network.client("-c", 6, "-m", "rate", "-r", "600", "-d", "60", "-s", "64", "--verify")
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
    network.wait_moving()
    messages = ended(client)["messages_total"]
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
    client = network.client("-c", 4, "-m", "rate", "-r", "400", "-d", "60", "-s", "64", "--verify")
    network.wait_spliced(4)
    network.stop_daemon()
    network.start_daemon()
    adopted(network, 4)
    network.wait_moving()
    restart(network)
    adopted(network, 4)
    network.wait_moving()
    network.stop_daemon()
    network.start_daemon()
    adopted(network, 4)
    network.wait_moving()
    messages = ended(client)["messages_total"]
    network.wait_none()
    assert_exact(network.lines(4), messages)
    assert len(network.lines(4)) == 4


def test_stopped_amid_promotions(splice_network):
    """Each is either closed with a Close frame, or left as a whole."""
    network = splice_network()
    client = network.client("-c", env.scale(400, 4), "-m", "idle", "-d", "60")
    env.until(lambda: network.splice_offload()["connections"], "the first one")
    network.stop_daemon()
    left = network.ctl("show", "connections", "--offline")
    assert left
    states = [flow["formatted"]["value"]["state"] for flow in entries(network, "flows4")]
    assert states.count(2) == 2 * len(left) and set(states) <= {2, 3}
    network.start_daemon()
    rows = adopted(network, len(left))
    assert {row["conn"] for row in rows} == {row["conn"] for row in left}
    client.kill()


def test_offline_the_maps_tell_the_same(splice_network):
    network = splice_network()
    client = network.client("-c", 3, "-n", "3", "-s", "100", "--hold-after-open", "30")
    network.wait_spliced(3)

    def offline(*filters):
        return network.ctl("show", "connections", "--offline", *filters)

    online = sorted(network.connections(), key=lambda row: row["conn"])
    rows = offline()
    assert [list(row) for row in rows] == [list(row) for row in online]
    network.kill_daemon()
    rows = sorted(offline(), key=lambda row: row["conn"])
    for row, known in zip(rows, online, strict=True):
        assert row["worker"] is None and not row["adopted"]
        assert row["age_ms"] >= known["age_ms"] and row["idle_ms"] >= 0
        for key in set(row) - {"worker", "age_ms", "idle_ms"}:
            assert row[key] == known[key], key
    assert offline("--conn", rows[0]["conn"]) and len(offline("--route", "r")) == 3
    assert len(offline("--source", "10.1.0.0/24", "--endpoint", "e0", "--path", "splice")) == 3
    for nothing in ("--route", "x"), ("--source", "10.2.0.0/24"), ("--older", "1h"), (
            "--idle", "1h"), ("--path", "relay"):
        assert offline(*nothing) == []
    (row,) = network.ctl("show", "offload", "--offline")
    assert (row["path"], row["connections"]) == ("splice", 3)
    client.kill()


def test_offline_without_pins_or_rights_says_so(splice_network):
    network = splice_network(hooks=None)

    def refused(*argv):
        done = network.box.run(*argv, check=False)
        assert done.returncode == 1
        return done.stderr

    show = (env.BUILD / "sluicectl", "show", "connections", "--offline")
    assert refused(*show) == f"sluicectl: {PINS}: nothing is loaded there (sluice-loader load)\n"
    assert "/nowhere" in refused(*show, "--pins", "/nowhere")
    network.box.loader("load", "--group", "0")
    assert "is this user in the group" in refused("setpriv", "--reuid", "65534", "--regid",
                                                  "65534", "--clear-groups", *show)
    assert refused(*show, "--older", "x") == (
        'sluicectl: older = "x": expected a duration such as 30s\n')


def test_after_an_edit_of_the_configuration_names_stay(splice_network):
    """Numbers of the configuration mean nothing to an earlier one's connections."""
    network = splice_network(more="""
cluster other { endpoint z { address = "10.2.0.2:9001" } }
route first { match { path = "/first" } proxy = other }
""")
    client = network.client("-c", 2, "-m", "idle", "-d", "60")
    network.wait_spliced(2)
    text = network.config.read_text()
    network.kill_daemon()
    # The route is renamed, and the order of all is another.
    edited = text.replace("route r {", "route renamed {").replace("route first", "route last")
    edited = edited.replace("cluster other {", "cluster another {").replace(
        "proxy = other", "proxy = another")
    network.config.write_text(edited)
    network.start_daemon()
    rows = adopted(network, 2)
    assert {(row["route"], row["cluster"], row["endpoint"]) for row in rows} == {("r", "c", "e0")}
    connections = {row["name"]: row["connections"] for row in network.ctl("show", "routes")}
    assert connections == {"renamed": 0, "last": 0}
    assert {row["endpoint"]: row["connections"] for row in network.ctl("show", "clusters")} == {
        "z": 0, "e0": 2}
    # Nothing of it is there any more.
    network.config.write_text(text.replace("cluster c {", "cluster d {").replace(
        "proxy = c ", "proxy = d "))
    restart(network)
    assert {row["cluster"] for row in adopted(network, 2)} == {"c"}
    assert all(row["connections"] == 0 for row in network.ctl("show", "clusters"))
    # And a reload has it back.
    network.config.write_text(text)
    network.ctl("reload")
    env.until(lambda: network.ctl("show", "routes")[1]["connections"] == 2, "both to follow")
    client.stop(signal.SIGINT)
    network.wait_none()
    assert {(line["route"], line["endpoint"]) for line in network.lines(2)} == {("r", "e0")}


def test_limits_run_on_and_the_operator_can_close(splice_network):
    """The record's tunnel_timeout, whatever the configuration says by now."""
    network = splice_network(route="tunnel_timeout = 8s")
    idle = network.client("-c", 2, "-m", "idle", "-d", "60")
    network.wait_spliced(2)
    network.kill_daemon()
    network.config.write_text(network.config.read_text().replace("= 8s", "= 1h"))
    network.start_daemon()
    rows = adopted(network, 2)
    network.ctl("close", rows[0]["conn"])
    lines = network.lines(2)
    assert [line["reason"] for line in lines] == ["closed_by_operator", "tunnel_timeout"]
    assert lines[0]["conn"] == rows[0]["conn"]
    assert not entries(network, "conns")
    idle.kill()


def test_restarted_without_splice_on_its_route_it_comes_back(splice_network):
    """What a reload does at once must not wait for one behind a restart."""
    network = splice_network(route="splice = auto")
    client = network.client("-c", 2, "-m", "rate", "-r", "200", "-d", "60", "-s", "64", "--verify")
    network.wait_spliced(2)
    text = network.config.read_text()
    network.kill_daemon()
    network.config.write_text(text.replace("splice = auto", "splice = off"))
    network.start_daemon()
    env.until(lambda: network.paths() == [("relay", "policy")] * 2, "both on the relay")
    assert not entries(network, "conns")
    network.config.write_text(text)
    network.ctl("reload")
    network.wait_spliced(2)
    messages = ended(client)["messages_total"]
    network.wait_none()
    lines = network.lines(2)
    assert_exact(lines, messages)
    assert [line["promotions"] for line in lines] == [2, 2]


def directions(network):
    return [flow["formatted"]["value"]["direction"] for flow in entries(network, "flows4")]


def test_what_ended_meanwhile_is_accounted_for(splice_network):
    network = splice_network()
    ending = network.client("-c", 3, "-d", "60", "-m", "rate", "-r", "400", "-s", "64")
    network.wait_spliced(3)
    reset = network.client("-c", 2, "-m", "idle", "-d", "60", "--reset")
    network.wait_spliced(5)
    network.kill_daemon()
    messages = ended(ending)["messages_total"]
    reset.stop(signal.SIGINT)
    network.start_daemon()
    lines = network.lines(5)
    assert not network.connections()
    by_reason = {reason: [line for line in lines if line["reason"] == reason]
                 for reason in ("close_frame", "reset")}
    assert_exact(by_reason["close_frame"], messages)
    assert len(by_reason["reset"]) == 2
    # Late packets of an endpoint that said FIN still find their way, over a restart, too.
    env.until(lambda: directions(network) == [1] * 3, "the quarantine of three")
    restart(network)
    env.until(lambda: "3 more are in quarantine" in network.daemon.stderr(), "the same")
    assert directions(network) == [1] * 3 and len(network.lines(5)) == 5


def removed(network, flows):
    text = f"removed 0 records and {flows} flows that belonged to nothing"
    env.until(lambda: text in network.daemon.stderr(), text)


def test_leftovers_of_the_relay_are_removed(splice_network):
    """Their sockets died with the daemon, and the kernel has told their peers."""
    network = splice_network(sysctls=[("c", "net.ipv4.tcp_timestamps", 0)])
    client = network.client("-c", 4, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "options")] * 4, "four on the relay")
    assert len(entries(network, "flows4")) == 8
    network.kill_daemon()
    client.wait(6 * env.PATIENCE_S)
    assert len(entries(network, "flows4")) == 8
    network.start_daemon()
    removed(network, 8)
    assert not entries(network, "flows4")


_DIES_SILENTLY = """
import socket, struct
s = socket.create_server(("10.1.0.1", 7000))
print("ready", flush=True)
c, peer = s.accept()
c.recv(1)
c.setsockopt(6, 19, 1)
numbers = []
for queue in 1, 2:
    c.setsockopt(6, 20, queue)
    numbers.append(c.getsockopt(6, 21) & 0xffffffff)
c.close()
print(peer[1], *numbers, flush=True)
"""

_WAITS = """
import socket
c = socket.create_connection(("10.1.0.1", 7000))
c.send(b"x")
try:
    print("read", c.recv(1), flush=True)
except ConnectionResetError:
    print("reset", flush=True)
"""


def test_a_peer_that_nobody_would_tell_is_reset(splice_network):
    """A socket that dies in repair says nothing: such is a daemon killed in the middle of a try."""
    network = splice_network()
    python = "/usr/bin/python3"
    dying = network.start(python, "-c", _DIES_SILENTLY)
    dying.wait_line()
    waiting = network.start("ip", "netns", "exec", "c", python, "-c", _WAITS)
    env.until(lambda: dying.stdout().count("\n") == 2, "the end of the socket")
    port, end_seq, ack = map(int, dying.stdout().splitlines()[1].split())
    network.kill_daemon()
    flow = Value(network, "flows4").set(end_seq=u32(end_seq), ack=u32(ack), marks=b"\x01")
    put(network, "flows4", bytes([10, 1, 0, 2, 10, 1, 0, 1]) + struct.pack(">HH", port, 7000),
        flow.data)
    assert waiting.is_running()
    network.start_daemon()
    assert waiting.wait_line() == "reset"
    removed(network, 1)
    assert "(1 peers reset)" in network.daemon.stderr()


def test_garbage_is_named_and_does_no_harm(splice_network):
    network = splice_network()
    client = network.client("-c", 2, "-m", "rate", "-r", "100", "-d", "60", "--verify")
    network.wait_spliced(2)
    record = network.box.run("bpftool", "-j", "map", "dump", "pinned", f"{PINS}/conns").stdout
    good = bytes(int(byte, 16) for byte in json.loads(record)[0]["value"])
    network.kill_daemon()

    def conn(n, **fields):
        value = Value(network, "conns", good).set(conn_id=struct.pack("<Q", n), **fields)
        put(network, "conns", struct.pack("<Q", n), value.data)

    conn(1001, listener=u32(77))
    conn(1002, tenant=b"x" * 32)
    conn(1003, path=b"\x63")
    conn(1004, spliced_ns=b"\xff" * 8)
    put(network, "conns", struct.pack("<Q", 1005), bytes(len(good)))
    for port, flow in (80, {"state": u32(9)}), (81, {"direction": b"\x07"}):
        put(network, "flows4", bytes([192, 0, 2, 1, 192, 0, 2, 2, 0, port, 1, 0]),
            Value(network, "flows4").set(**flow).data)
    network.start_daemon()
    adopted(network, 2)
    said = env.until(lambda: network.daemon.stderr() if "adopted 2" in network.daemon.stderr()
                     else None, "the end of it")
    assert said.count("conns 000000000") == 5
    for name in (": no listener has the number 77",
                 ": the tenant has no end",
                 ": path 99 is not splice",
                 ": its times are in no order",
                 ": the id in it is not its own",
                 "flows4 192.0.2.1:80 > 192.0.2.2:256: state 0x9 is none",
                 "flows4 192.0.2.1:81 > 192.0.2.2:256: direction 7 is none"):
        assert said.count(name) == 1, (name, said)
    assert len(entries(network, "conns")) == 2 and len(entries(network, "flows4")) == 4
    ended(client)


def test_two_daemons_do_not_share_the_pins(splice_network):
    network = splice_network()
    config = network.box.directory / "second.conf"
    config.write_text(network.config.read_text().replace("control.sock", "second.sock").replace(
        "10.1.0.1:8080", "10.1.0.1:8081"))
    second = network.start(env.BUILD / "sluiced", "-c", config)
    env.until(lambda: "another sluiced works with it" in second.stderr(), "the reason")


def resident_bytes(network):
    with open(f"/proc/{network.pid}/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def test_many_cost_no_more_than_before(splice_network):
    n = env.scale_full(2000, 15000) // 4 * 4
    network = splice_network(flows=2 * n + 1000, far_addresses=(4, 4),
                             more=f"limits {{ max_connections = {2 * n} }}")
    clients = [network.client("-c", n // 4, "-m", "idle", "-d", "100", "--source",
                              far_address(4, 1, i)) for i in range(4)]

    def spliced():
        return network.splice_offload()["connections"] == n

    env.until(spliced, f"{n} spliced connections", 6 * env.PATIENCE_S)
    before = resident_bytes(network)
    restart(network)
    env.until(lambda: f"adopted {n} " in network.daemon.stderr(), "all of them")
    assert spliced()
    assert {row["connections"] for row in network.ctl("show", "clusters")} == {n // 4}
    if not env.SANITIZED:
        env.until(lambda: resident_bytes(network) < before + 100 * n + 2**20, "as little memory")
    for client in clients:
        client.kill()
