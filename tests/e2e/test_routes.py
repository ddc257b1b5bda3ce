# SPDX-License-Identifier: Apache-2.0
"""Which route a request takes, and what a `respond` route answers."""

import pytest

from lib import ws_raw
from lib.ws_raw import request

CONFIG = """
route exact    { match { path = "/a" } echo = true }
route host     { match { host = "Play.Example"  path = "/h/*" } echo = true }
route inner    { match { path = "/a/b" } echo = true }
route prefix   { match { path = "/a/*" } echo = true }
route hostless { match { path = "/h/*" } echo = true }
route number   { match { path = "~^/n/[0-9]+$" } echo = true }
route bomb     { match { path = "~^/bomb/(a+)+$" } echo = true }
route beta     { match { path = "/m" header = {"X-Beta: 1"} } echo = true }
route mqtt     { match { path = "/m" subprotocol = mqtt } echo = true }
route local    { match { path = "/m" source = {"127.0.0.0/8"} } echo = true }
route never    { match { path = "/s" source = {"10.0.0.0/8", "::/0"} } echo = true }
route health   { match { path = "/health" } respond { status = 200  body = "fine\\n" } }
route gone     { match { path = "/gone" } respond { status = 410  content_type = "text/html" } }
route empty    { match { path = "/empty" } respond { status = 204 } }
"""

# target, Host header: route, None for none
CHOICES = {
    "exact": ("/a", "x", "exact"),
    "query-does-not-count": ("/a?b=/c", "x", "exact"),
    "prefix-slash": ("/a/", "x", "prefix"),
    "prefix": ("/a/c/d", "x", "prefix"),
    "first-of-two": ("/a/b", "x", "inner"),
    "longer-name": ("/ab", "x", None),
    "case-of-path-counts": ("/A", "x", None),
    "trailing-slash-counts": ("/gone/", "x", None),
    "host": ("/h/1", "play.example", "host"),
    "host-in-capitals": ("/h/1", "PLAY.EXAMPLE", "host"),
    "host-with-port": ("/h/1", "play.example:8080", "host"),
    "other-host": ("/h/1", "other.example", "hostless"),
    "longer-host": ("/h/1", "play.example.org", "hostless"),
    "absolute-form-wins-over-host": ("http://play.example/h/1", "other.example", "host"),
    "dot-segments": ("/a/../gone", "x", None),
    "encoded-dot-segments": ("/a/%2e%2E/gone", "x", None),
    "single-dot": ("/./a", "x", None),
    "dots-in-a-name": ("/a/..b", "x", "prefix"),
    "root": ("/", "x", None),
    "regex": ("/n/17", "x", "number"),
    "regex-anchored": ("/n/17/", "x", None),
    "source": ("/m", "x", "local"),
    "other-source": ("/s", "x", None),
}


@pytest.fixture(scope="module")
def daemon(module_sluiced):
    return module_sluiced(CONFIG)


@pytest.mark.parametrize("name", CHOICES)
def test_choice(daemon, name):
    target, host, route = CHOICES[name]
    logged = len(daemon.access_log())
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(request(target, host=host))
        head = stream.read_head()
        assert head.status == (101 if route else 404)
    row = daemon.access_log(logged + 1)[-1]
    assert row["route"] == route


@pytest.mark.parametrize(
    ("options", "route"),
    [
        ({"extra": ["x-beta: 1"]}, "beta"),
        ({"extra": ["X-Beta: 2"]}, "local"),
        ({"protocol": "chat, mqtt"}, "mqtt"),
        ({"protocol": "MQTT"}, "local"),
        ({"protocol": "mqtt", "extra": ["X-Beta: 1"]}, "beta"),
    ],
)
def test_choice_by_headers(daemon, options, route):
    logged = len(daemon.access_log())
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(request("/m", **options))
        assert stream.read_head().status == 101
    assert daemon.access_log(logged + 1)[-1]["route"] == route


def test_a_bomb_is_no_match_and_is_said_once(daemon):
    logged = len(daemon.access_log())
    for _ in range(3):
        with ws_raw.dial(daemon.address()) as stream:
            stream.send(request("/bomb/" + "a" * 4000 + "!"))
            assert stream.read_head().status == 404
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(request("/bomb/aaa"))
        assert stream.read_head().status == 101
    assert [row["route"] for row in daemon.access_log(logged + 4)[logged:]].count("bomb") == 1
    assert daemon.log().count('route "bomb"') == 1


def ask(daemon, data):
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(data)
        stream.shutdown_write()
        head = stream.read_head()
        return head, stream.read_to_end()


def get(path, method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_respond_answers_plain_requests(daemon):
    logged = len(daemon.access_log())
    head, body = ask(daemon, get("/health"))
    assert (head.status, body) == (200, b"fine\n")
    assert head.get("Content-Length") == "5" and head.get("Connection") == "close"
    assert head.get("Content-Type").startswith("text/plain")
    row = daemon.access_log(logged + 1)[-1]
    assert (row["status"], row["reason"], row["route"]) == (200, "response", "health")


def test_respond_with_status_and_type(daemon):
    responses, refusals = daemon.closed("response"), daemon.status()["refused"]
    head, body = ask(daemon, get("/gone"))
    assert (head.status, body) == (410, b"")
    assert head.get("Content-Type") == "text/html"
    daemon.wait_closed("response", responses + 1)
    assert daemon.status()["refused"] == refusals


def test_respond_to_head_has_no_body(daemon):
    head, body = ask(daemon, get("/health", "HEAD"))
    assert (head.status, head.get("Content-Length"), body) == (200, "5", b"")


def test_refusal_of_head_has_no_body(daemon):
    head, body = ask(daemon, get("/a", "HEAD"))
    assert head.status in (405, 426) and int(head.get("Content-Length")) > 0 and body == b""


def test_respond_204_has_no_length(daemon):
    head, body = ask(daemon, get("/empty"))
    assert (head.status, head.get("Content-Length"), body) == (204, None, b"")


def test_respond_to_other_methods(daemon):
    head, _ = ask(daemon, get("/health", "DELETE"))
    assert head.status == 405 and head.get("Allow")


def test_plain_request_to_a_websocket_route(daemon):
    head, _ = ask(daemon, get("/a"))
    assert head.status == 426 and head.get("Upgrade").lower() == "websocket"
