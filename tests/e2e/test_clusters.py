# SPDX-License-Identifier: Apache-2.0
"""`sluicectl show clusters` and `sluicectl set endpoint`."""

import json

import pytest

from lib import ws_raw
from lib.checked import CheckedEndpoint
from lib.control import ControlError
from lib.daemon import proxy_config
from lib.endpoint import tunnel

NOWHERE = "127.0.0.1:1"


def rows_of(daemon):
    return {(row["cluster"], row["endpoint"]): row for row in daemon.ctl("show.clusters")}


def test_shows_every_endpoint_with_its_counters(sluiced, endpoint):
    daemon = sluiced(
        proxy_config(NOWHERE, name="gone", match='path = "/gone"', cluster="balance = least_conn")
        + proxy_config(endpoint.address)
    )
    client, server = tunnel(daemon, endpoint, path="/x")
    with client, server:
        row = rows_of(daemon)["back-all", "e0"]
        assert row["address"] == endpoint.address
        assert (row["balance"], row["state"], row["health"]) == ("round_robin", "ready", "unknown")
        assert (row["connections"], row["chosen"], row["failed"]) == (1, 1, 0)
        assert row["ejected_ms"] is None
    daemon.wait_live(0)
    assert rows_of(daemon)["back-all", "e0"]["connections"] == 0
    row = rows_of(daemon)["back-gone", "e0"]
    assert (row["address"], row["balance"], row["chosen"]) == (NOWHERE, "least_conn", 0)


def test_lists_more_endpoints_than_a_page_holds(sluiced):
    """In the order of the file, each once."""
    names = [f"127.0.0.1:{port}" for port in range(1, 701)]
    daemon = sluiced(
        proxy_config(*names[:512], name="b", match='path = "/b"') + proxy_config(*names[512:])
    )
    assert [row["address"] for row in daemon.ctl("show.clusters")] == names


def test_prints_a_table_or_json(sluiced):
    daemon = sluiced(proxy_config(NOWHERE))
    code, out, _ = daemon.sluicectl("show", "clusters")
    head, line = out.splitlines()
    assert code == 0
    assert head.split()[:4] == ["CLUSTER", "BALANCE", "ENDPOINT", "ADDRESS"]
    assert line.split()[:6] == ["back-all", "round_robin", "e0", NOWHERE, "ready", "unknown"]
    code, out, _ = daemon.sluicectl("-j", "show", "clusters")
    assert (code, json.loads(out)) == (0, daemon.ctl("show.clusters"))


@pytest.mark.parametrize("state", ["drain", "maint", "ready"])
def test_sets_the_state_of_one_endpoint(sluiced, state):
    daemon = sluiced(proxy_config(NOWHERE, "127.0.0.1:2"))
    code, out, err = daemon.sluicectl("set", "endpoint", "back-all/e1", "state", state)
    assert (code, err) == (0, "")
    assert out == f"back-all/e1: {state}, unknown, weight 100, 0 connections\n"
    rows = rows_of(daemon)
    assert rows["back-all", "e1"]["state"] == state
    assert rows["back-all", "e0"]["state"] == "ready"


def test_live_connections_outlive_their_endpoints_maintenance(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint, path="/x")
    with client, server:
        daemon.ctl("set.endpoint", cluster="back-all", endpoint="e0", state="maint")
        client.send(ws_raw.frame(ws_raw.TEXT, "still here"))
        server.expect_frame(ws_raw.TEXT, "still here")
        server.send(ws_raw.server_frame(ws_raw.TEXT, "so am I"))
        client.expect_frame(ws_raw.TEXT, "so am I")


# arguments: what the error says
WRONG = {
    "cluster": (
        {"cluster": "back-al", "endpoint": "e0", "state": "drain"},
        'no cluster is called "back-al"; did you mean "back-all"?',
    ),
    "endpoint": (
        {"cluster": "back-all", "endpoint": "f0", "state": "drain"},
        'no endpoint of cluster "back-all" is called "f0"; did you mean "e0"?',
    ),
    "nothing-near": (
        {"cluster": "nonsense", "endpoint": "e0", "state": "drain"},
        'no cluster is called "nonsense"',
    ),
    "state": (
        {"cluster": "back-all", "endpoint": "e0", "state": "off"},
        'state = "off": expected ready, drain or maint',
    ),
    "state-a-number": (
        {"cluster": "back-all", "endpoint": "e0", "state": 1},
        "state = 1: expected ready, drain or maint",
    ),
    "nothing-to-set": (
        {"cluster": "back-all", "endpoint": "e0"},
        "expected cluster, endpoint, and what to set",
    ),
    "weight": (
        {"cluster": "back-all", "endpoint": "e0", "weight": 1001},
        "weight = 1001: expected a number from 0 to 1000",
    ),
    "weight-a-text": (
        {"cluster": "back-all", "endpoint": "e0", "weight": "10"},
        'weight = "10": expected a number from 0 to 1000',
    ),
    "weight-beyond-the-configured": (
        {"cluster": "back-all", "endpoint": "e0", "weight": 101},
        "weight = 101: expected at most 100, which is configured",
    ),
    "other-filter": (
        {"cluster": "back-all", "endpoint": "e0", "state": "drain", "route": "all"},
        'unknown argument "route"',
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_one_clear_error(sluiced, case):
    args, expected = WRONG[case]
    daemon = sluiced(proxy_config(NOWHERE))
    with pytest.raises(ControlError) as caught:
        daemon.ctl("set.endpoint", **args)
    assert caught.value.code == "bad_argument"
    assert expected in str(caught.value)
    assert rows_of(daemon)["back-all", "e0"]["state"] == "ready"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["back-all/e0"],
        ["back-all", "e0", "drain"],
        ["back-all", "state", "drain"],
        ["back-all/e0", "status", "drain"],
        ["back-all/e0", "state", "drain", "now"],
    ],
    ids=" ".join,
)
def test_sluicectl_says_how_the_verb_is_used(sluiced, words):
    daemon = sluiced(proxy_config(NOWHERE))
    code, _, err = daemon.sluicectl("set", "endpoint", *words)
    assert code == 2
    assert "CLUSTER/NAME state ready|drain|maint" in err


def connections_by_endpoint(daemon):
    return {name: row["connections"] for (_, name), row in rows_of(daemon).items()}


def open_many(daemon, count):
    return [ws_raw.connect(daemon.address(), "/live") for _ in range(count)]


BALANCES = ["round_robin", "least_conn", "hash"]


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("words", [("state", "drain"), ("state", "maint"), ("weight", "0")])
def test_new_connections_go_elsewhere_and_live_ones_stay(sluiced, words, balance):
    with CheckedEndpoint() as a, CheckedEndpoint() as b:
        daemon = sluiced(proxy_config(a.address, b.address, cluster=f"balance = {balance}"))
        names = connections_by_endpoint(daemon)
        with ws_raw.connect(daemon.address(), "/live") as first:
            (used,) = [name for name, n in connections_by_endpoint(daemon).items() if n]
            (other,) = names.keys() - {used}
            code, _, err = daemon.sluicectl("set", "endpoint", f"back-all/{used}", *words)
            assert (code, err) == (0, "")
            clients = open_many(daemon, 10)
            assert connections_by_endpoint(daemon) == {used: 1, other: 10}
            first.send(ws_raw.frame(ws_raw.TEXT, "still"))
            first.expect_frame(ws_raw.TEXT, "still")
            # And back.
            word = ("weight", "100") if words[0] == "weight" else ("state", "ready")
            daemon.sluicectl("set", "endpoint", f"back-all/{used}", *word)
            daemon.sluicectl("set", "endpoint", f"back-all/{other}", "state", "drain")
            clients += open_many(daemon, 5)
            assert connections_by_endpoint(daemon) == {used: 6, other: 10}
            for client in clients:
                client.close()


def test_a_smaller_weight_takes_a_smaller_share(sluiced):
    with CheckedEndpoint() as a, CheckedEndpoint() as b:
        daemon = sluiced(proxy_config(a.address, b.address, cluster="balance = least_conn"))
        daemon.ctl("set.endpoint", cluster="back-all", endpoint="e0", weight=25)
        assert rows_of(daemon)["back-all", "e0"]["weight"] == 25
        clients = open_many(daemon, 50)
        # 1 to 4, which least_conn keeps exactly.
        assert connections_by_endpoint(daemon) == {"e0": 10, "e1": 40}
        for client in clients:
            client.close()


def test_shows_balance_and_breaker(sluiced):
    daemon = sluiced(
        proxy_config(NOWHERE, cluster="balance = hash breaker { failure_ratio = 50% }")
    )
    row = rows_of(daemon)["back-all", "e0"]
    assert (row["balance"], row["breaker"]) == ("hash", "closed")
    assert daemon.sluicectl("show", "clusters")[0] == 0
