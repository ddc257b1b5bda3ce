# SPDX-License-Identifier: Apache-2.0
"""
Every counter, wherever it is told, against what clients sent and endpoints saw: /metrics, status,
show routes and clusters, and the sums over the access log, after one mixture of known loads.
"""

import collections
import json

import pytest

from lib import bench, env, ws_raw

KINDS = ["text", "binary", "continuation", "close", "ping", "pong"]
CLIENT_HEADER, SERVER_HEADER = 6, 2  # of frames up to 125 bytes
CONNECTIONS = env.scale(60)

CONFIG = """\
worker {{ count = 2 }}
listener public {{ listen = {{"127.0.0.1:0"}} }}
listener unused {{ listen = {{"127.0.0.1:0"}} }}
cluster pair {{
  endpoint a {{ address = "{0}" }}
  endpoint b {{ address = "{1}" }}
}}
cluster single {{
  endpoint c {{ address = "{2}" }}
}}
cluster gone {{
  retries = 0
  ejection {{ failures = off }}
  endpoint d {{ address = "127.0.0.1:1" }}
}}
route echo   {{ match {{ path = "/echo" }} echo = true  max_message = 1kb }}
route pair   {{ match {{ path = "/pair" }} proxy = pair }}
route single {{ match {{ path = "/single" }} proxy = single }}
route gone   {{ match {{ path = "/gone" }} proxy = gone }}
route page   {{ match {{ path = "/page" }} respond {{ body = "page" }} }}
route strict {{ match {{ path = "/strict" }} origin = {{"https://a.example"}} echo = true }}
"""
PATH_OF = {"echo": "local", "pair": "relay", "single": "relay"}

# A load: route, number of connections, messages on each, frames of each, opcode, payload of a
# frame, how it ends: options of the client, reason, Close code.
Load = collections.namedtuple("Load", "route conns messages frames kind size end reason code")
CLOSE_1000 = ([], "close_frame", 1000)
LOADS = [
    Load("echo", CONNECTIONS, 5, 1, "binary", 100, *CLOSE_1000),
    Load("echo", 3, 4, 3, "text", 40, ["--close", "3001"], "close_frame", 3001),
    Load("pair", CONNECTIONS, 7, 1, "binary", 125, *CLOSE_1000),
    Load("pair", 6, 5, 4, "binary", 25, ["--close", "4999"], "close_frame", 4999),
    Load("single", CONNECTIONS, 3, 1, "text", 0, *CLOSE_1000),
    Load("single", 5, 2, 2, "text", 60, ["--close", "0"], "close_frame", None),
    Load("single", 4, 2, 1, "binary", 9, ["--close", "none"], "eof", None),
    Load("pair", 4, 3, 1, "binary", 11, ["--half-close"], "eof", None),
    Load("single", 3, 3, 1, "binary", 13, ["--reset"], "reset", None),
]
PINGS = [b"", b"?", b"x" * 125]


def run_load(directory, daemon, load):
    result = bench.clean_client(
        directory,
        daemon.url("/" + load.route),
        *["-c", str(load.conns), "-n", str(load.conns * load.messages)],
        *["--messages-per-conn", str(load.messages), "--size", str(load.frames * load.size)],
        *["--fragment", str(load.frames), f"--{load.kind}", "--verify", *load.end],
    )
    assert result["messages_total"] == load.conns * load.messages
    assert result["opened"] == load.conns
    if load.reason == "close_frame":
        # 1005 is how a client names that there was none (RFC 6455 s7.1.5).
        assert result["close_codes"] == {str(load.code or 1005): load.conns}


class Expected:
    """What the loads come to."""

    def __init__(self):
        self.closed = collections.Counter()
        self.codes = collections.Counter()
        self.refused = collections.Counter()
        self.matched = collections.Counter()  # by route, also what was refused later
        self.messages = collections.Counter()  # by route
        self.frames = collections.Counter()  # by path, direction, kind
        self.bytes = collections.Counter()  # by path, direction

    def add_frames(self, route, kind, count, size, directions=("in", "out")):
        for direction in directions:
            header = CLIENT_HEADER if direction == "in" else SERVER_HEADER
            self.frames[PATH_OF[route], direction, kind] += count
            self.bytes[PATH_OF[route], direction] += count * (header + size)

    def add_end(self, route, count, reason, code):
        self.matched[route] += count
        self.closed[reason] += count
        self.codes[code] += count
        if reason == "close_frame":
            self.add_frames(route, "close", count, 2 if code else 0)

    def add_load(self, load):
        n = load.conns * load.messages
        self.messages[load.route] += n
        n_more = n * (load.frames - 1)
        if PATH_OF[load.route] == "relay":
            self.add_frames(load.route, load.kind, n, load.size)
            self.add_frames(load.route, "continuation", n_more, load.size)
        else:  # our own echo answers in whole messages
            self.add_frames(load.route, load.kind, n, load.size, ["in"])
            self.add_frames(load.route, "continuation", n_more, load.size, ["in"])
            self.add_frames(load.route, load.kind, n, load.frames * load.size, ["out"])
        self.add_end(load.route, load.conns, load.reason, load.code)


def send_pings(daemon, route, expected):
    with ws_raw.connect(daemon.address(), "/" + route) as client:
        for payload in PINGS:
            client.send(ws_raw.frame(ws_raw.PING, payload))
            client.expect_frame(ws_raw.PONG, payload)
            expected.add_frames(route, "ping", 1, len(payload), ["in"])
            expected.add_frames(route, "pong", 1, len(payload), ["out"])
        client.send(ws_raw.close_frame(1000))
        client.expect_close(1000)
        expected.add_end(route, 1, "close_frame", 1000)


def violate(daemon, expected):
    """A reserved bit, and a message over the limit, in turn closed by the gateway."""
    for data, reason, code in [
        (ws_raw.frame(ws_raw.TEXT, rsv=ws_raw.RSV1), "reserved_bits", 1002),
        (ws_raw.frame(ws_raw.BINARY, bytes(2000)), "message_too_large", 1009),
    ]:
        with ws_raw.connect(daemon.address(), "/strict", extra=["Origin: https://a.example"]):
            pass  # ends without a word
        expected.matched["strict"] += 1
        expected.closed["eof"] += 1
        expected.codes[None] += 1
        with ws_raw.connect(daemon.address(), "/echo") as client:
            client.send(data)
            client.expect_close(code)
        expected.matched["echo"] += 1
        expected.closed[reason] += 1
        expected.codes[code] += 1


# reason: (status, route that matched, request)
REFUSALS = {
    "no_route": (404, None, ws_raw.request("/nowhere")),
    "origin": (403, "strict", ws_raw.request("/strict", extra=["Origin: https://b.example"])),
    "bad_key": (400, "echo", ws_raw.request("/echo", key="short")),
    "upgrade_required": (426, "echo", b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"),
    "method_not_allowed": (405, "echo", ws_raw.request("/echo").replace(b"GET", b"PUT", 1)),
    "bad_host": (400, None, b"GET /echo HTTP/1.1\r\n\r\n"),
    "endpoint_connect_failed": (502, "gone", ws_raw.request("/gone")),
}


def be_refused(daemon, expected):
    """Each reason another number of times, so that none can stand for another."""
    for times, (reason, (status, route, data)) in enumerate(REFUSALS.items(), start=1):
        for _ in range(times):
            with ws_raw.dial(daemon.address()) as client:
                client.send(data)
                assert client.read_head().status == status
                client.shutdown_write()
                client.read_to_end()
        expected.refused[reason] += times
        if route:
            expected.matched[route] += times


def ask_for_page(daemon, expected, times=2):
    for _ in range(times):
        with ws_raw.dial(daemon.address()) as client:
            client.send(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.read_head().status == 200
            client.shutdown_write()
            client.read_to_end()
    expected.matched["page"] += times
    expected.closed["response"] += times


def total(counter):
    return sum(counter.values())


def nonzero(counts):
    return {key: count for key, count in counts.items() if count}


@pytest.fixture(name="run", scope="module")
def run_fixture(module_directory, module_sluiced):
    """-> daemon, what is expected of it, what its endpoints counted."""
    servers = {
        name: bench.BenchServer(module_directory, "-w", "1", name=f"server-{name}")
        for name in "abc"
    }
    try:
        expected = Expected()
        daemon = module_sluiced(CONFIG.format(*(s.address for s in servers.values())))
        for load in LOADS:
            run_load(module_directory, daemon, load)
            expected.add_load(load)
        for route in PATH_OF:
            send_pings(daemon, route, expected)
        be_refused(daemon, expected)
        ask_for_page(daemon, expected)
        daemon.wait_live(0)
        counted = {name: server.counted() for name, server in servers.items()}
        yield daemon, expected, counted
    finally:
        for server in servers.values():
            server.kill()


def test_accepted(run):
    daemon, expected, _ = run
    n = total(expected.closed) + total(expected.refused)
    m = daemon.metrics()
    assert daemon.status()["accepted"] == n
    assert m("sluice_accepted_total", listener="public") == n == m("sluice_accepted_total")
    assert m("sluice_accepted_total", listener="unused") == 0
    rows = daemon.access_log(n)
    assert len({row["conn"] for row in rows}) == len(rows) == n
    n_upgraded = total(expected.closed) - expected.closed["response"]
    assert m("sluice_handshake_seconds_count") == n_upgraded


@pytest.mark.parametrize("key", ["closed", "refused"])
def test_ends_by_reason(run, key):
    daemon, expected, _ = run
    counts = dict(getattr(expected, key))
    assert nonzero(daemon.status()[key]) == counts
    m = daemon.metrics()
    for reason, count in counts.items():
        assert m(f"sluice_{key}_total", reason=reason) == count
    assert m(f"sluice_{key}_total") == sum(counts.values())
    logged = collections.Counter(row["reason"] for row in daemon.access_log())
    assert {reason: n for reason, n in logged.items() if reason in counts} == counts


def test_status_of_refusals(run):
    daemon, expected, _ = run
    rows = [row for row in daemon.access_log() if row["reason"] in REFUSALS]
    logged = collections.Counter((row["reason"], row["status"], row["route"]) for row in rows)
    assert logged == {(r, *REFUSALS[r][:2]): n for r, n in expected.refused.items()}
    assert {row[key] for row in rows for key in ("frames_in", "frames_out")} == {0}


def test_close_codes(run):
    daemon, expected, _ = run
    rows = [row for row in daemon.access_log() if row["status"] == 101]
    assert collections.Counter(row["close_code"] for row in rows) == expected.codes


def test_frames_by_kind(run):
    daemon, expected, _ = run
    traffic, m = daemon.status()["traffic"], daemon.metrics()
    for path in ("local", "relay"):
        for direction in ("in", "out"):
            counts = {kind: expected.frames[path, direction, kind] for kind in KINDS}
            assert traffic[path][f"frames_{direction}"] == counts, (path, direction)
            for kind, count in counts.items():
                labels = {"path": path, "direction": direction, "kind": kind}
                assert m("sluice_frames_total", **labels) == count, labels
            rows = [row for row in daemon.access_log() if row["path"] == path]
            assert sum(row[f"frames_{direction}"] for row in rows) == sum(counts.values())
    assert m("sluice_frames_total") == total(expected.frames)


def test_bytes(run):
    daemon, expected, _ = run
    traffic, m = daemon.status()["traffic"], daemon.metrics()
    for (path, direction), count in expected.bytes.items():
        assert traffic[path][f"bytes_{direction}"] == count, (path, direction)
        assert m("sluice_bytes_total", path=path, direction=direction) == count
        rows = [r for r in daemon.access_log() if r["path"] == path and r["status"] == 101]
        assert sum(row[f"bytes_{direction}"] for row in rows) == count
    assert m("sluice_bytes_total") == total(expected.bytes)


def test_routes(run):
    daemon, expected, _ = run
    rows = {row["name"]: row for row in daemon.ctl("show.routes")}
    assert {name: row["accepted"] for name, row in rows.items()} == expected.matched
    assert {row["connections"] for row in rows.values()} == {0}
    logged = collections.Counter(row["route"] for row in daemon.access_log() if row["route"])
    assert logged == expected.matched


def test_endpoints(run):
    daemon, expected, counted = run
    rows = {row["endpoint"]: row for row in daemon.ctl("show.clusters")}
    logged = collections.Counter(
        row["endpoint"] for row in daemon.access_log() if row["status"] == 101
    )
    for name, server in counted.items():
        row = rows[name]
        assert server["connections"] == row["chosen"] == logged[name], name
        assert (row["connections"], row["failed"], server["refused"]) == (0, 0, 0)
    assert rows["a"]["chosen"] + rows["b"]["chosen"] == expected.matched["pair"]
    assert rows["c"]["chosen"] == expected.matched["single"]
    n = expected.refused["endpoint_connect_failed"]
    assert (rows["d"]["chosen"], rows["d"]["failed"], rows["d"]["connections"]) == (n, n, 0)
    pair = counted["a"]["messages"] + counted["b"]["messages"]
    assert (pair, counted["c"]["messages"]) == (
        expected.messages["pair"],
        expected.messages["single"],
    )


def test_all_ways_to_ask_agree(run):
    daemon, _, _ = run
    for resource, verb in [("routes", "show.routes"), ("clusters", "show.clusters")]:
        code, out, err = daemon.sluicectl("-j", "show", resource)
        assert (code, err) == (0, "")
        assert daemon.api(resource) == daemon.ctl(verb) == json.loads(out)
    code, out, err = daemon.sluicectl("-j", "status")
    assert (code, err) == (0, "")
    status, api, printed = daemon.status(), daemon.api("status"), json.loads(out)
    for key in ("accepted", "refused", "closed", "traffic", "connections"):
        assert status[key] == api[key] == printed[key], key


def test_violations_are_counted_too(sluiced):
    """In a run of their own: how much of a refused frame is read is not the client's to say."""
    daemon = sluiced(CONFIG.format(*["127.0.0.1:1"] * 3))
    expected = Expected()
    violate(daemon, expected)
    daemon.wait_live(0)
    assert nonzero(daemon.status()["closed"]) == expected.closed
    rows = daemon.access_log(total(expected.closed))
    assert collections.Counter(row["close_code"] for row in rows) == expected.codes
    assert collections.Counter(row["reason"] for row in rows) == expected.closed
    m = daemon.metrics()
    for reason, count in expected.closed.items():
        assert m("sluice_closed_total", reason=reason) == count
