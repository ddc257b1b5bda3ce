# SPDX-License-Identifier: Apache-2.0
"""Ten thousand routes are found and counted; patterns that blow up harm only who asked for it."""

import random

import pytest

from lib import bench, env, ws_raw
from lib.daemon import ECHO_CONFIG

ROUTES = env.scale(10_000, sanitized=5)
PATTERNS = 20


def many_routes():
    """By host, by path, by prefix and by pattern in turn; the last takes what is left."""
    forms = [
        'host = "h{0}.example"  path = "/"',
        'path = "/exact/{0}"',
        'path = "/prefix/{0}/*"',
    ]
    routes = [
        f"route r{i} {{ match {{ {forms[i % 3].format(i)} }} echo = true }}\n"
        for i in range(ROUTES)
    ]
    for i in range(PATTERNS):
        pattern = f'path = "~^/pattern/{i}/[0-9]+$"'
        routes.append(f"route p{i} {{ match {{ {pattern} }} echo = true }}\n")
    return "".join(routes) + "route rest { match { path = \"/*\" } echo = true }\n"


def asks(i):
    """What only route ri takes."""
    targets = ["/", f"/exact/{i}", f"/prefix/{i}/x"]
    return {"path": targets[i % 3], "host": f"h{i}.example" if i % 3 == 0 else "x"}


def test_each_is_found_and_counted(sluiced):
    daemon = sluiced("worker { count = 2 }\n" + many_routes())
    some = {0, 1, 2, ROUTES - 3, ROUTES - 2, ROUTES - 1}
    some |= set(random.Random(1).sample(range(ROUTES), min(ROUTES, 300)))
    expected = {f"r{i}": 1 for i in some}
    for i in sorted(some):
        ws_raw.connect(daemon.address(), **asks(i)).close()
    for i in range(PATTERNS):
        ws_raw.connect(daemon.address(), f"/pattern/{i}/17").close()
        expected[f"p{i}"] = 1
    for path in (f"/exact/{ROUTES}", "/pattern/0/x", f"/prefix/{ROUTES}/x"):
        ws_raw.connect(daemon.address(), path).close()
    expected["rest"] = 3
    daemon.wait_live(0)
    rows = daemon.ctl("show.routes")
    assert len(rows) == ROUTES + PATTERNS + 1
    assert {row["name"]: row["accepted"] for row in rows if row["accepted"]} == expected
    assert daemon.status()["refused"] == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_bombs_beside_live_connections(sluiced, directory, workers):
    """Each bomb ends at PCRE2's limit: a 404, one warning, and no message of others is lost."""
    daemon = sluiced(
        f"worker {{ count = {workers} }}\n"
        + ECHO_CONFIG
        + 'route bomb { match { path = "~^/bomb/(a+)+$" } echo = true }\n'
    )
    load = ["-c", "20", "-d", "1h", "--size", "0-500", "--timeout", "1h", "--verify"]
    bombs = env.scale(200, sanitized=4)
    with bench.RunningClient(directory, daemon.url("/echo"), *load) as client:
        env.until(lambda: daemon.connections(), "the load")
        for _ in range(bombs):
            with ws_raw.dial(daemon.address()) as stream:
                stream.send(ws_raw.request("/bomb/" + "a" * 4000 + "!"))
                assert stream.read_head().status == 404
        env.until(lambda: daemon.live() == 20, "the bombs to be gone and the load to be there")
        result = client.interrupt()
    assert result["opened"] == 20 and result["errors_total"] == 0, result
    assert result["messages"] > 0
    daemon.wait_refused("no_route", bombs)
    assert daemon.log().count('route "bomb"') == 1
