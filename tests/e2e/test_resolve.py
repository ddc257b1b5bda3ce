# SPDX-License-Identifier: Apache-2.0
"""Endpoints with names: answers that change, fail, or never come."""

import socket

import pytest

from lib import env, ws_raw
from lib.daemon import proxy_config
from lib.dns import SERVFAIL, NameServer
from lib.endpoint import RawEndpoint, tunnel

NAME = "back.test"


@pytest.fixture
def names():
    with NameServer() as one:
        yield one


def named(port, *, names, cluster="resolve_interval = 50ms", name=NAME):
    return names.config() + proxy_config(f"{name}:{port}", cluster=cluster)


def row(daemon, endpoint="e0"):
    return next(r for r in daemon.ctl("show.clusters") if r["endpoint"] == endpoint)


def wait_addresses(daemon, *addresses):
    env.until(lambda: row(daemon)["addresses"] == list(addresses), f"{addresses}")


def wait_resolved(daemon, text):
    env.until(lambda: row(daemon)["resolved"] == text, f"the lookup to say: {text}")


def refusal(daemon):
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        head = client.read_head()
        return head.status, client.read_body(head)


def test_a_name_is_resolved_and_connected_to(sluiced, names, endpoint):
    names.names[NAME] = ["127.0.0.1"]
    daemon = sluiced(named(endpoint.port, names=names))
    wait_addresses(daemon, endpoint.address)
    got = row(daemon)
    assert (got["address"], got["resolved"]) == (f"{NAME}:{endpoint.port}", "1 address")
    assert got["health"] == "unknown"
    client, server = tunnel(daemon, endpoint, path="/x")
    with client, server:
        client.send(ws_raw.frame(ws_raw.TEXT, "hello"))
        server.expect_frame(ws_raw.TEXT, "hello")


def test_start_does_not_wait_for_a_silent_server(sluiced, names, endpoint):
    """The endpoint is down, and says why; then the server speaks, and it is up."""
    names.names[NAME] = None
    daemon = sluiced(named(endpoint.port, names=names))
    assert row(daemon)["health"] == "down"
    assert refusal(daemon)[0] == 503
    wait_resolved(daemon, "Timeout while contacting DNS servers")
    assert row(daemon)["health"] == "down"
    names.names[NAME] = ["127.0.0.1"]
    wait_addresses(daemon, endpoint.address)
    with tunnel(daemon, endpoint, path="/x")[0]:
        pass


@pytest.mark.parametrize(
    "answer, text",
    [
        ([], "DNS server returned answer with no data"),
        (SERVFAIL, "Could not contact DNS servers"),
        ("missing", "Domain name not found"),
    ],
    ids=["no-data", "servfail", "nxdomain"],
)
def test_a_name_that_never_resolved_is_down(sluiced, names, answer, text):
    if answer != "missing":
        names.names[NAME] = answer
    daemon = sluiced(named(1, names=names))
    wait_resolved(daemon, text)
    assert (row(daemon)["health"], row(daemon)["addresses"]) == ("down", [])
    assert refusal(daemon)[0] == 503


def test_answers_that_change_are_followed(sluiced, names, endpoint):
    names.names[NAME] = ["127.0.0.1"]
    daemon = sluiced(named(endpoint.port, names=names))
    wait_addresses(daemon, endpoint.address)
    client, server = tunnel(daemon, endpoint, path="/x")
    with client, server, RawEndpoint(host="127.0.0.2", port=endpoint.port) as second:
        names.names[NAME] = ["127.0.0.2"]
        wait_addresses(daemon, second.address)
        other_client, other_server = tunnel(daemon, second, path="/x")
        with other_client, other_server:
            assert row(daemon)["connections"] == 2
        # What lives stays where it is.
        client.send(ws_raw.frame(ws_raw.TEXT, "still"))
        server.expect_frame(ws_raw.TEXT, "still")


@pytest.mark.parametrize("failure", [SERVFAIL, None, "missing", []], ids=str)
def test_failures_leave_the_last_good_addresses(sluiced, names, endpoint, failure):
    names.names[NAME] = ["127.0.0.1"]
    daemon = sluiced(named(endpoint.port, names=names))
    wait_addresses(daemon, endpoint.address)
    if failure == "missing":
        del names.names[NAME]
    else:
        names.names[NAME] = failure
    env.until(lambda: row(daemon)["resolved"] != "1 address", "a failure to show")
    asked = names.n_asked[NAME]
    env.until(lambda: names.n_asked[NAME] > asked + 4, "some more failures")
    got = row(daemon)
    assert (got["addresses"], got["health"]) == ([endpoint.address], "unknown")
    client, server = tunnel(daemon, endpoint, path="/x")
    with client, server:
        pass
    # Said once, however often it fails.
    assert daemon.log().count("not resolved") == 1
    names.names[NAME] = ["127.0.0.1"]
    wait_resolved(daemon, "1 address")
    assert daemon.log().count("resolved to 1 address") == 2


def test_connections_take_the_addresses_in_turn(sluiced, names, endpoint):
    with RawEndpoint(host="127.0.0.2", port=endpoint.port) as second:
        names.names[NAME] = ["127.0.0.2", "127.0.0.1"]
        daemon = sluiced(named(endpoint.port, names=names))
        wait_addresses(daemon, endpoint.address, second.address)
        assert row(daemon)["resolved"] == "2 addresses"
        for _ in range(3):
            for backend in (endpoint, second):
                client, server = tunnel(daemon, backend, path="/x")
                with client, server:
                    pass


def test_ipv6_addresses_come_behind_ipv4_ones(sluiced, names):
    names.names[NAME] = ["::1", "127.0.0.1"]
    daemon = sluiced(named(9, names=names))
    wait_addresses(daemon, "127.0.0.1:9", "[::1]:9")


def test_sixteen_addresses_are_kept(sluiced, names):
    names.names[NAME] = [f"127.0.1.{i}" for i in range(1, 25)]
    daemon = sluiced(named(9, names=names))
    wait_addresses(daemon, *(f"127.0.1.{i}:9" for i in range(1, 17)))


def test_turned_round_answers_are_no_change(sluiced, names):
    names.names[NAME] = ["127.0.0.1", "127.0.0.2"]
    daemon = sluiced(named(9, names=names))
    wait_addresses(daemon, "127.0.0.1:9", "127.0.0.2:9")
    names.names[NAME] = ["127.0.0.2", "127.0.0.1"]
    asked = names.n_asked[NAME]
    env.until(lambda: names.n_asked[NAME] > asked + 6, "some more lookups")
    assert row(daemon)["addresses"] == ["127.0.0.1:9", "127.0.0.2:9"]
    assert daemon.log().count("resolved to") == 1


def test_hosts_file_counts(sluiced, names, endpoint):
    """localhost is in /etc/hosts; the name server would say that it is not there."""
    daemon = sluiced(named(endpoint.port, names=names, name="localhost"))
    env.until(lambda: endpoint.address in row(daemon)["addresses"], "localhost's address")


def test_health_checks_go_to_what_a_name_stands_for(sluiced, names, endpoint):
    names.names[NAME] = ["127.0.0.2"]
    cluster = "resolve_interval = 50ms health { type = tcp interval = 20ms }"
    daemon = sluiced(named(endpoint.port, names=names, cluster=cluster))
    env.until(lambda: row(daemon)["check"] == "connect: Connection refused", "a refusal")
    names.names[NAME] = ["127.0.0.1"]
    env.until(lambda: row(daemon)["health"] == "up", "the endpoint to be up")


def test_garbage_from_the_name_server(sluiced, endpoint):
    """Random bytes, and short ones, are no answer; the lookup ends at its timeout."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(env.PATIENCE_S)
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        daemon = sluiced(
            f'resolver {{ nameserver = {{"{address}"}} timeout = 100ms }}\n'
            + proxy_config(f"{NAME}:{endpoint.port}", cluster="resolve_interval = 50ms")
        )
        for reply in (b"", b"\x00", b"\xff" * 12, b"\xff" * 512, None):
            query, peer = sock.recvfrom(2048)
            sock.sendto(query[:2] + b"\xff" * 100 if reply is None else reply, peer)
        env.until(lambda: row(daemon)["resolved"], "a failure to show")
        assert row(daemon)["health"] == "down"
        assert daemon.status()["state"] == "running"
