# SPDX-License-Identifier: Apache-2.0
"""show connections in the way of ss: both legs, an order, the first few, and all columns."""

import json

import pytest

from lib import env, ws_raw
from lib.control import ControlError
from lib.daemon import ECHO_CONFIG, SANITIZER_ENV, proxy_config
from lib.endpoint import tunnel
from lib.terminal import Terminal


def address_of(pair):
    return "%s:%d" % pair


def test_addresses_of_both_legs(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client:
        (row,) = daemon.connections()
        assert row["source"] == address_of(client.sock.getsockname())
        assert row["local"] == address_of(client.sock.getpeername())
        assert row["endpoint_source"] == address_of(server.sock.getpeername())
        assert row["endpoint_address"] == endpoint.address
        assert row["client_rtt_us"] > 0 and row["endpoint_rtt_us"] > 0
        assert row["frames_exact"] and row["tenant"] == ""
    server.close()


def test_what_has_no_second_leg_and_no_tcp(sluiced, directory):
    path = directory / "l.sock"
    daemon = sluiced(ECHO_CONFIG + f'listener public {{ listen = {{"unix:{path}"}} }}\n')
    with ws_raw.connect(daemon.address()):
        (row,) = daemon.connections()
        assert (row["source"], row["local"]) == ("unix:", f"unix:{path}")
        assert row["endpoint_source"] == row["endpoint_address"] == ""
        assert row["client_rtt_us"] is None and row["endpoint_rtt_us"] is None


class Three:
    """Connections that have sent 1, 2 and 3 messages, of two workers."""

    def __init__(self, sluiced):
        self.daemon = sluiced("worker { count = 2 }\n" + ECHO_CONFIG)
        self.streams = [ws_raw.connect(self.daemon.address()) for _ in range(3)]
        for i, stream in enumerate(self.streams):
            for _ in range(i + 1):
                stream.send(ws_raw.frame(ws_raw.TEXT, "x"))
                stream.expect_frame(ws_raw.TEXT, "x")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in self.streams:
            stream.close()

    def frames(self, **args):
        return [row["frames_in"] for row in self.daemon.connections(**args)]

    def printed_frames(self, *argv):
        code, out, err = self.daemon.sluicectl("-j", "show", "connections", *argv)
        assert (code, err) == (0, "")
        return [row["frames_in"] for row in json.loads(out)]


def test_order_and_limit(sluiced):
    with Three(sluiced) as three:
        assert three.frames(sort="frames", limit=2) == [3, 2]
        assert three.frames(sort="-frames", limit=2) == [1, 2]
        assert three.frames(sort="bytes", limit=500) == [3, 2, 1]
        assert three.frames(sort="age", limit=1) == [1]
        assert three.frames(sort="-age", limit=1) == [3]
        assert len(three.frames(limit=2)) == 2
        assert sorted(three.frames(limit=3)) == [1, 2, 3]
        assert three.frames(sort="frames", limit=2, route="other") == []
        # The daemon chooses, or the command sorts all of them itself: the result is the same.
        assert three.printed_frames("--sort", "frames", "--limit", "2") == [3, 2]
        assert three.printed_frames("--sort=-frames", "--limit", "100000") == [1, 2, 3]
        assert three.printed_frames("--sort", "frames") == [3, 2, 1]
        assert len(three.printed_frames("--limit", "1")) == 1


def test_order_by_round_trip_time(sluiced):
    with Three(sluiced) as three:
        rows = three.daemon.connections(sort="rtt", limit=3)
        rtts = [row["client_rtt_us"] for row in rows]
        assert len(rtts) == 3 and min(rtts) > 0


def test_limit_over_many_pages(sluiced):
    daemon = sluiced("worker { count = 2 }\n" + ECHO_CONFIG)
    count = 200
    held = [ws_raw.connect(daemon.address()) for _ in range(count)]
    try:
        in_turn = [address_of(stream.sock.getsockname()) for stream in held]
        for limit in 1, 63, 64, 65, 150, 199, 200, 201:
            rows = daemon.connections(limit=limit)
            assert len({row["conn"] for row in rows}) == len(rows) == min(limit, count)
            rows = daemon.connections(limit=limit, sort="age")
            assert [row["source"] for row in rows] == in_turn[:limit]
    finally:
        for stream in held:
            stream.close()


@pytest.mark.parametrize(
    "args",
    [
        {"sort": "frames"},
        {"sort": "rate", "limit": 1},
        {"sort": "connections", "limit": 1},
        {"sort": "shoe-size", "limit": 1},
        {"sort": 5, "limit": 1},
        {"limit": 0},
        {"limit": 501},
        {"limit": "many"},
        {"by": "route"},
    ],
    ids=lambda args: "-".join(map(str, args.values())),
)
def test_what_makes_no_sense_is_refused(sluiced, args):
    daemon = sluiced(ECHO_CONFIG)
    with pytest.raises(ControlError) as error:
        daemon.connections(**args)
    assert error.value.code == "bad_argument"


@pytest.mark.parametrize(
    "argv",
    [
        ["show", "connections", "--sort", "shoe-size"],
        ["show", "connections", "--sort", "rate"],
        ["show", "connections", "--limit", "0"],
        ["show", "connections", "--limit", "x"],
        ["show", "routes", "--sort", "age"],
        ["show", "routes", "--limit", "1"],
        ["show", "routes", "--long"],
    ],
    ids=" ".join,
)
def test_wrong_usage(sluiced, argv):
    daemon = sluiced(ECHO_CONFIG)
    code, out, err = daemon.sluicectl(*argv)
    assert code == 2 and out == "" and err


def test_nobody_has_a_tenant_yet(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()):
        assert len(daemon.connections()) == 1
        assert daemon.connections(tenant="acme") == []


def table(daemon, columns, *argv):
    show = [env.BUILD / "sluicectl", "-s", daemon.control_path, "show", "connections", *argv]
    with Terminal(show, columns, environment=SANITIZER_ENV) as terminal:
        code, err = terminal.wait()
        assert (code, err) == (0, "")
        return terminal.written.decode().splitlines()


def test_columns_adapt_to_the_terminal(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client:
        previous = set()
        for columns in 40, 80, 120, 400:
            head, row, *note = table(daemon, columns)
            assert len(head) <= columns and len(row) <= columns
            titles = set(head.split())
            assert {"CONN", "SOURCE"} <= titles and previous <= titles
            assert bool(note) == (columns < 400), note
            previous = titles
        assert {"SOURCE", "LOCAL", "FROM", "TO", "RTT", "CLASS", "TENANT"} <= previous
        for option in "--long", "-l":
            head, _ = table(daemon, 40, option)
            assert set(head.split()) == previous
    server.close()
