# SPDX-License-Identifier: Apache-2.0
"""
Endpoints that end and come back under thousands of live connections: who was on them is told, all
others lose no byte, and new connections find those that are left.
"""

import json

import pytest

from lib import bench, env, ws_raw
from lib.daemon import proxy_config

CONNECTIONS = env.scale(2000, sanitized=4)
ENDPOINTS = 3
WORKERS = 2

# How the daemon learns of it: it looks, or it is refused.
# Refusals alone never eject here: what health checks say must do.
HEALTH = "health { type = tcp  interval = 100ms }  ejection { failures = off }"
EJECTION = "ejection { failures = 3  time = 300ms  max_percent = 50% }"
# Of what ends with a kill: the kernel sends FIN, or RST if there was something unread.
KILLED = {"eof", "reset"}


class Farm:
    """Endpoints e0, e1, … of which each can end and come back where it was."""

    def __init__(self, directory):
        self._dir = directory
        self._servers = [self._start(i) for i in range(ENDPOINTS)]
        self.addresses = [server.address for server in self._servers]

    def _start(self, i, address="127.0.0.1:0"):
        return bench.BenchServer(self._dir, "-w", "1", address=address, name=f"server{i}")

    def end(self, i, how):
        if how == "killed":
            self._servers[i].kill()
        else:
            assert self._servers[i].stop() == 0

    def restart(self, i):
        self._servers[i] = self._start(i, self.addresses[i])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.kill()


@pytest.fixture
def farm(directory):
    with Farm(directory) as one:
        yield one


def load(directory, daemon, count, name):
    """Checked messages on so many connections, until interrupted."""
    return bench.RunningClient(
        directory,
        daemon.url("/x"),
        *["-c", str(count), "-m", "rate", "-r", str(2 * count), "-d", "1h"],
        *["--size", "0-500", "--timeout", "1h", "--verify"],
        name=name,
    )


def handshakes(directory, daemon, count=100):
    """As many new connections; none may be refused."""
    options = ["-m", "handshake", "-c", "4", "-n", str(count)]
    assert bench.clean_client(directory, daemon.url("/x"), *options)["handshakes"] >= count


def clusters(daemon):
    return {row["endpoint"]: row for row in daemon.ctl("show.clusters")}


def on_endpoints(daemon):
    return [row["connections"] for row in clusters(daemon).values()]


def wait_on_endpoints(daemon, counts):
    env.until(lambda: on_endpoints(daemon) == counts, f"connections on the endpoints: {counts}")


def assert_even(counts, total):
    # Each worker may see the others' latest choices a little later.
    assert sum(counts) == total and max(counts) - min(counts) <= 2 * WORKERS, counts


def messages_in(daemon):
    return daemon.status()["traffic"].get("relay", {}).get("frames_in", {}).get("binary", 0)


def wait_messages(daemon, count):
    """The load goes on: so many more come in."""
    enough = messages_in(daemon) + count
    env.until(lambda: messages_in(daemon) >= enough, "the load to go on")


def events_of(daemon, endpoint):
    events = daemon.ctl("show.events")
    return [e["type"] for e in events if e["fields"].get("endpoint") == endpoint]


def wait_gone(daemon, directory, detection):
    """New connections never fail, neither before nor after the daemon knows."""
    if detection == HEALTH:
        handshakes(directory, daemon)
        env.until(lambda: clusters(daemon)["e0"]["health"] == "down", "e0 to be down")
        assert "refused" in clusters(daemon)["e0"]["check"]
        chosen = clusters(daemon)["e0"]["chosen"]
        handshakes(directory, daemon)
        assert clusters(daemon)["e0"]["chosen"] == chosen, "chosen although it is down"
        assert daemon.metrics()("sluice_endpoint_up", endpoint="e0") == 0
    else:
        # It has no connections now, so least_conn asks it first: every handshake is a retry
        # until three failures were seen.
        handshakes(directory, daemon)
        assert clusters(daemon)["e0"]["failed"] >= 3
        assert "endpoint_ejected" in events_of(daemon, "e0")


def wait_back(daemon, directory, detection):
    if detection == HEALTH:
        env.until(lambda: clusters(daemon)["e0"]["health"] == "up", "e0 to be up")
        assert daemon.metrics()("sluice_endpoint_up", endpoint="e0") == 1
    else:
        env.until(lambda: clusters(daemon)["e0"]["ejected_ms"] is None, "e0 to be readmitted")
    chosen, failed = (clusters(daemon)["e0"][key] for key in ("chosen", "failed"))
    handshakes(directory, daemon)
    assert clusters(daemon)["e0"]["chosen"] > chosen
    assert clusters(daemon)["e0"]["failed"] == failed


def assert_nothing_lost(rows):
    """What such a connection sent came back whole: an echo differs by its missing mask keys."""
    for row in rows:
        assert (row["reason"], row["close_code"]) == ("close_frame", 1000), row
        assert row["frames_exact"] and row["frames_in"] == row["frames_out"], row
        assert row["bytes_in"] == row["bytes_out"] + 4 * row["frames_in"], row


@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.parametrize("detection", [HEALTH, EJECTION], ids=["health", "ejection"])
def test_restart_under_live_connections(sluiced, directory, farm, how, detection):
    daemon = sluiced(
        f"worker {{ count = {WORKERS} }}\n"
        + proxy_config(*farm.addresses, cluster=f"balance = least_conn  {detection}")
    )
    client = load(directory, daemon, CONNECTIONS, "first-load")
    with client:
        wait_messages(daemon, 2 * CONNECTIONS)
        before = on_endpoints(daemon)
        assert_even(before, CONNECTIONS)
        lost, kept = before[0], sum(before[1:])
        ids = {row["conn"] for row in daemon.connections(endpoint="e0")}

        farm.end(0, how)
        daemon.wait_live(kept)
        wait_on_endpoints(daemon, [0, *before[1:]])
        wait_gone(daemon, directory, detection)
        wait_messages(daemon, CONNECTIONS)

        farm.restart(0)
        wait_back(daemon, directory, detection)
        daemon.wait_live(kept)
        # What is new fills the gap; nobody is moved.
        second = load(directory, daemon, lost, "second-load")
        with second:
            env.until(lambda: sum(on_endpoints(daemon)) == CONNECTIONS, "the second load")
            assert_even(on_endpoints(daemon), CONNECTIONS)
            wait_messages(daemon, CONNECTIONS)
            fill = second.interrupt()
        result = client.interrupt()
    daemon.wait_live(0)

    assert fill["opened"] == lost and fill["errors_total"] == 0, fill
    assert result["opened"] == CONNECTIONS and result["failed"] == 0
    errors = result["errors"]
    assert errors["early_close"] + errors["reset"] == result["errors_total"] == lost, result
    rows = daemon.access_log(daemon.status()["accepted"])
    ended = [row for row in rows if row["conn"] in ids]
    assert len(ended) == lost and {row["endpoint"] for row in ended} == {"e0"}
    if how == "killed":
        assert {row["reason"] for row in ended} <= KILLED
        assert {row["close_code"] for row in ended} == {None}
        assert set(result["close_codes"]) == {"1000"}
    else:
        # The endpoint said Close itself, which is what the client is told.
        assert {row["close_code"] for row in ended} == {1001}
        assert result["close_codes"] == {"1000": kept, "1001": lost}
    assert_nothing_lost([row for row in rows if row["conn"] not in ids])
    assert daemon.status()["refused"] == {}
    wait_on_endpoints(daemon, [0] * ENDPOINTS)


# ---- other people's endpoints and proxies ------------------------------------------------------

PEERS = ["node", "python", "nginx", "haproxy"]
PER_ENDPOINT = env.scale(40)


def start_peer(peers, name, behind, address=":0"):
    """At @address, if it was there before."""
    if name in ("nginx", "haproxy"):
        return getattr(peers, name)(behind)
    return peers.server(name, port=int(address.rpartition(":")[2]))


@pytest.mark.parametrize("name", PEERS)
def test_restart_of_real_peers(sluiced, directory, peers, name):
    with bench.BenchServer(directory) as steady:
        address = start_peer(peers, name, steady.address)
        daemon = sluiced(
            proxy_config(address, steady.address, cluster=f"balance = least_conn  {HEALTH}")
        )
        # Those whose peer ends and those who stay, told apart by when they came: the other
        # endpoint takes no connections meanwhile.
        daemon.ctl("set.endpoint", cluster="back-all", endpoint="e1", state="maint")
        leaving = load(directory, daemon, PER_ENDPOINT, "leaving")
        with leaving:
            wait_messages(daemon, 2 * PER_ENDPOINT)
            assert on_endpoints(daemon) == [PER_ENDPOINT, 0]
            daemon.ctl("set.endpoint", cluster="back-all", endpoint="e1", state="ready")
            staying = load(directory, daemon, PER_ENDPOINT, "staying")
            with staying:
                wait_on_endpoints(daemon, [PER_ENDPOINT, PER_ENDPOINT])
                peers.kill(address)
                wait_on_endpoints(daemon, [0, PER_ENDPOINT])
                wait_gone(daemon, directory, HEALTH)
                assert start_peer(peers, name, steady.address, address) == address
                wait_back(daemon, directory, HEALTH)
                wait_messages(daemon, PER_ENDPOINT)
                kept = staying.interrupt()
            lost = leaving.interrupt()
        daemon.wait_live(0)
    assert kept["opened"] == PER_ENDPOINT and kept["errors_total"] == 0, kept
    assert kept["close_codes"] == {"1000": PER_ENDPOINT}
    errors = lost["errors"]
    assert errors["early_close"] + errors["reset"] == lost["errors_total"] == PER_ENDPOINT, lost
    assert daemon.status()["refused"] == {}


# ---- none is left ------------------------------------------------------------------------------


def answer_of(daemon):
    """(status, error) of one handshake."""
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        head = client.read_head()
        if head.status == 101:
            return head.status, None
        return head.status, json.loads(client.read_body(head))["error"]


def test_all_endpoints_end_and_one_comes_back(sluiced, directory, farm):
    breaker = "breaker { failure_ratio = 50%  min_requests = 5  open_time = 200ms }"
    daemon = sluiced(proxy_config(*farm.addresses, cluster=f"{HEALTH}  {breaker}"))
    with load(directory, daemon, 30, "lost") as client:
        # Open, not only on their way: a handshake that is cut would count for the breaker.
        env.until(lambda: daemon.status()["connections"]["relay"] == 30, "open connections")
        assert on_endpoints(daemon) == [10, 10, 10]
        for i in range(ENDPOINTS):
            farm.end(i, "killed")
        daemon.wait_live(0)
        assert client.interrupt()["errors_total"] == 30
    env.until(
        lambda: {row["health"] for row in clusters(daemon).values()} == {"down"}, "all to be down"
    )
    failed = [row["failed"] for row in clusters(daemon).values()]
    assert {answer_of(daemon) for _ in range(20)} == {(503, "no_endpoint")}
    daemon.wait_refused("no_endpoint", 20)
    assert daemon.metrics()("sluice_refused_total", reason="no_endpoint") == 20
    # Nothing was tried, so nothing failed, and the breaker has no reason to open.
    assert [row["failed"] for row in clusters(daemon).values()] == failed
    assert clusters(daemon)["e0"]["breaker"] == "closed"
    farm.restart(1)
    env.until(lambda: clusters(daemon)["e1"]["health"] == "up", "e1 to be up")
    handshakes(directory, daemon)
    assert [row["health"] for row in clusters(daemon).values()] == ["down", "up", "down"]
    assert daemon.status()["refused"] == {"no_endpoint": 20}
