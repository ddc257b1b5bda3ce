# SPDX-License-Identifier: Apache-2.0
"""What a route asks of pages and does to requests on their way: origins, headers, path, split."""

import collections
import json

import pytest

from lib import ws_raw
from lib.daemon import proxy_config
from lib.endpoint import RawEndpoint, tunnel

OWN = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"}


def passed(daemon, endpoint, path="/x", **options):
    """The request head that the endpoint gets."""
    client, server = tunnel(daemon, endpoint, path, **options)
    with client, server:
        return server.request


# ---- origins --------------------------------------------------------------------------------

ORIGINS = """
route r {
  match { path = "/echo" }
  origin = {"https://a.example", "https://*.b.example", "http://a.example:8080"}
  echo = true
}
route null { match { path = "/null" } origin = {"null"} echo = true }
"""


@pytest.fixture(scope="module")
def guarded(module_sluiced):
    return module_sluiced(ORIGINS)


@pytest.mark.parametrize(
    ("path", "origins", "status"),
    [
        ("/echo", [], 101),
        ("/echo", ["https://a.example"], 101),
        ("/echo", ["HTTPS://A.Example:443"], 101),
        ("/echo", ["http://a.example:8080"], 101),
        ("/echo", ["https://x.y.b.example"], 101),
        ("/echo", ["https://b.example"], 403),
        ("/echo", ["http://a.example"], 403),
        ("/echo", ["https://a.example:8080"], 403),
        ("/echo", ["https://a.example.evil.example"], 403),
        ("/echo", ["null"], 403),
        ("/echo", [""], 403),
        ("/echo", ["https://a.example", "https://a.example"], 403),
        ("/null", ["null"], 101),
        ("/null", ["https://a.example"], 403),
    ],
)
def test_origin(guarded, path, origins, status):
    """RFC 6455 s4.2.2: a server that does not accept an origin answers 403."""
    logged = len(guarded.access_log())
    with ws_raw.dial(guarded.address()) as stream:
        stream.send(ws_raw.request(path, extra=[f"Origin: {origin}" for origin in origins]))
        head = stream.read_head()
        assert head.status == status
        if status == 403:
            assert json.loads(stream.read_body(head))["error"] == "origin"
    row = guarded.access_log(logged + 1)[-1]
    assert (row["status"], row["reason"] == "origin") == (status, status == 403)


# ---- headers --------------------------------------------------------------------------------


def test_forwards_who_the_client_is(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    request = passed(
        daemon, endpoint, host="h:1", extra=["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"]
    )
    assert request.all("X-Forwarded-For") == ["192.0.2.7, 127.0.0.1"]
    assert request.all("X-Forwarded-Proto") == ["http"]
    assert request.all("X-Forwarded-Host") == ["h:1"]
    assert request.get("Forwarded") is None


def test_forwards_it_in_the_standard_form(sluiced, endpoint):
    """RFC 7239 s4, s6: IPv6 in brackets and quotes."""
    daemon = sluiced(
        'listener six { listen = {"[::1]:0"} }\n'
        + proxy_config(endpoint.address, route="forwarded = rfc7239")
    )
    with ws_raw.dial(daemon.address("six")) as client:
        client.send(ws_raw.request("/", host="h", extra=["Forwarded: for=_a"]))
        with endpoint.accept_upgrade() as server:
            assert server.request.all("Forwarded") == ['for=_a, for="[::1]";host=h;proto=http']
            assert server.request.get("X-Forwarded-For") is None


def test_forwards_nothing_if_it_is_off(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address, route="forwarded = off"))
    names = {name.lower() for name, _ in passed(daemon, endpoint).fields}
    assert not names & OWN


def test_adds_and_removes_headers(sluiced, endpoint):
    daemon = sluiced(
        proxy_config(
            endpoint.address,
            route='headers { add = {"X-Env: prod", "X-Role: edge"} remove = {"Cookie", "X-Env"} }',
        )
    )
    request = passed(
        daemon, endpoint, extra=["cookie: a", "X-Env: dev", "X-Role: user", "COOKIE: b", "X-Z: 1"]
    )
    assert request.get("Cookie") is None
    assert request.all("X-Env") == ["prod"]
    assert request.all("X-Role") == ["user", "edge"]
    assert request.all("X-Z") == ["1"]


# ---- path -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rewrite", "target", "line"),
    [
        ('{"/api/", "/"}', "/api/x?q=1", "GET /x?q=1 HTTP/1.1"),
        ('{"/api/", "/"}', "/other", "GET /other HTTP/1.1"),
        ('{"~^/room/([0-9]+)(/.*)?$", "/by$2/$1"}', "/room/7/a?b", "GET /by/a/7?b HTTP/1.1"),
    ],
)
def test_rewrite(sluiced, endpoint, rewrite, target, line):
    daemon = sluiced(proxy_config(endpoint.address, route=f"rewrite = {rewrite}"))
    assert passed(daemon, endpoint, target).first == line


def test_rewrite_makes_no_dot_segments(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address, route='rewrite = {"/api", "/"}'))
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(ws_raw.request("/api../secret"))
        assert stream.read_head().status == 400
    assert not endpoint.has_caller()


# ---- split ----------------------------------------------------------------------------------


def split_config(a, b, key):
    return f"""
cluster stable {{ endpoint e {{ address = "{a.address}" }} }}
cluster canary {{ endpoint e {{ address = "{b.address}" }} }}
route r {{ split = {{"stable 3", "canary 1"}}  split_key = {key} }}
"""


def test_split_by_header_is_sticky_over_a_restart(sluiced):
    """Of two gateways, as of one before and behind a restart."""
    with RawEndpoint() as a, RawEndpoint() as b:
        daemons = [sluiced(split_config(a, b, '"header:X-User"')) for _ in range(2)]
        chosen = collections.defaultdict(set)
        for daemon in daemons:
            for user in range(40):
                logged = len(daemon.access_log())
                with ws_raw.dial(daemon.address()) as client:
                    client.send(ws_raw.request("/", extra=[f"X-User: {user}"]))
                    daemon.wait_live(1)
                    cluster = daemon.connections()[0]["cluster"]
                    server = (a if cluster == "stable" else b).accept_upgrade()
                    with server:
                        assert client.read_head().status == 101
                row = daemon.access_log(logged + 1)[-1]
                assert row["cluster"] == cluster
                chosen[user].add(cluster)
    assert all(len(clusters) == 1 for clusters in chosen.values())
    assert {cluster for clusters in chosen.values() for cluster in clusters} == {"stable", "canary"}


# ---- what an operator sees ------------------------------------------------------------------


def test_show_routes_has_the_conditions(sluiced, endpoint):
    daemon = sluiced(f"""
cluster stable {{ endpoint e {{ address = "{endpoint.address}" }} }}
route rich {{
  match {{ path = "~^/r"  header = {{"X-A: 1", "X-B"}}  subprotocol = mqtt  source = {{"10.0.0.0/8"}} }}
  origin = {{"https://a.example"}}
  rewrite = {{"/r", "/s"}}
  split = {{"stable 95"}}
}}
route plain {{ match {{ path = "/p*" }} proxy = stable }}
""")
    rich, plain = daemon.ctl("show.routes")
    assert (rich["path"], rich["match"]) == ("~^/r", "regex")
    assert rich["headers"] == ["X-A: 1", "X-B"]
    assert (rich["subprotocol"], rich["sources"]) == ("mqtt", ["10.0.0.0/8"])
    assert rich["origins"] == ["https://a.example"]
    assert rich["rewrite"] == ["/r", "/s"]
    assert (rich["cluster"], rich["split"], rich["split_key"]) == (None, ["stable 95"], "random")
    assert (plain["cluster"], plain["split"], plain["headers"]) == ("stable", [], [])
    code, out, _ = daemon.sluicectl("show", "routes")
    assert code == 0 and "X-A: 1, X-B" in out and "stable 95" in out
