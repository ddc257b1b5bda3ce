# SPDX-License-Identifier: Apache-2.0
"""
Requests that are malformed, oversized, slow or shaped to smuggle: each gets the exact status and
reason, is counted by reason, and disturbs nobody. (What RFC 6455 s4 itself asks of a request is in
test_rfc6455_*.py.)
"""

import json
import os
import threading
import time

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.ws_raw import request

MAX_TARGET, MAX_HEAD, MAX_HEADERS = 1000, 4000, 20

# As a browser sends it: TLS 1.2 record, handshake, ClientHello with one suite.
CLIENT_HELLO = (
    b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03"
    + bytes(range(32))
    + b"\x00\x00\x02\x13\x01\x01\x00\x00\x00"
)
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def with_lines(*lines):
    return request(extra=lines)


def first_line(text):
    return text + request()[len(b"GET /echo HTTP/1.1") :]


# name: (bytes, status, error)
SYNTAX = {
    "empty-line-first": (b"\r\n" + request(), 400, "bad_syntax"),
    "no-version": (first_line(b"GET /echo"), 400, "bad_syntax"),
    "http-0.9": (b"GET /echo\r\n\r\n", 400, "bad_syntax"),
    "two-spaces": (first_line(b"GET  /echo HTTP/1.1"), 400, "bad_syntax"),
    "space-in-target": (first_line(b"GET /ec ho HTTP/1.1"), 400, "bad_syntax"),
    "tab-in-request-line": (first_line(b"GET\t/echo HTTP/1.1"), 400, "bad_"),
    "space-at-end-of-line": (first_line(b"GET /echo HTTP/1.1 "), 400, "bad_syntax"),
    "no-method": (first_line(b" /echo HTTP/1.1"), 400, "bad_syntax"),
    "method-not-a-token": (first_line(b"G(T /echo HTTP/1.1"), 400, "bad_syntax"),
    "other-protocol": (first_line(b"GET /echo HTTQ/1.1"), 400, "bad_syntax"),
    "half-a-version": (first_line(b"GET /echo HTTP/1"), 400, "bad_syntax"),
    "lower-case-version": (first_line(b"GET /echo http/1.1"), 400, "bad_syntax"),
    "header-without-colon": (with_lines("X-Broken"), 400, "bad_syntax"),
    "header-without-name": (with_lines(": x"), 400, "bad_syntax"),
    "header-name-not-a-token": (with_lines("X(y): 1"), 400, "bad_syntax"),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400, "bad_syntax"),
    "bare-lf": (request().replace(b"\r\n", b"\n"), 400, "bad_character"),
    "one-bare-lf": (request().replace(b"\r\nUpgrade", b"\nUpgrade"), 400, "bad_character"),
    "bare-cr": (with_lines("X-A: 1\rX-B: 2"), 400, "bad_character"),
    "nul": (with_lines("X-A: 1\0"), 400, "bad_character"),
    "del": (with_lines("X-A: 1\x7f"), 400, "bad_character"),
    "escape-in-target": (first_line(b"GET /echo\x1b HTTP/1.1"), 400, "bad_character"),
    "tls-client-hello": (CLIENT_HELLO, 400, "bad_character"),
    "target-without-slash": (request("echo"), 400, "bad_target"),
    "asterisk": (request("*"), 400, "bad_target"),
    "fragment": (request("/echo#top"), 400, "bad_target"),
    "authority-form": (request("sluice.example:80", method="CONNECT"), 400, "bad_target"),
    "other-scheme": (request("ftp://sluice.example/echo"), 400, "bad_target"),
    "http-2-preface": (HTTP2_PREFACE, 505, "http_version"),
}

SMUGGLING = {
    "obs-fold": (with_lines("X-A: 1", " 2"), 400, "obs_fold"),
    "obs-fold-by-tab": (with_lines("X-A: 1", "\t2"), 400, "obs_fold"),
    "space-before-colon": (with_lines("Content-Length : 5"), 400, "space_before_colon"),
    "two-hosts": (with_lines("Host: evil.example"), 400, "bad_host"),
    "length-and-chunked": (
        with_lines("Content-Length: 5", "Transfer-Encoding: chunked"),
        400,
        "bad_framing",
    ),
    "two-lengths": (with_lines("Content-Length: 5", "Content-Length: 6"), 400, "bad_framing"),
    "list-of-lengths": (with_lines("Content-Length: 5, 6"), 400, "bad_framing"),
    "length-plus": (with_lines("Content-Length: +5"), 400, "bad_framing"),
    "length-minus": (with_lines("Content-Length: -5"), 400, "bad_framing"),
    "length-hex": (with_lines("Content-Length: 0x5"), 400, "bad_framing"),
    "length-empty": (with_lines("Content-Length:"), 400, "bad_framing"),
    "length-over-64-bits": (with_lines("Content-Length: 18446744073709551617"), 400, "bad_framing"),
    "encoding-unknown": (with_lines("Transfer-Encoding: gzip"), 400, "bad_framing"),
    "encoding-look-alike": (with_lines("Transfer-Encoding: xchunked"), 400, "bad_framing"),
    "encoding-twice": (
        with_lines("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        400,
        "bad_framing",
    ),
    "body": (with_lines("Content-Length: 5") + b"hello", 400, "body_not_allowed"),
    "chunked-body": (
        with_lines("Transfer-Encoding: chunked") + b"0\r\n\r\n",
        400,
        "body_not_allowed",
    ),
}

OVERSIZED = {
    "target": (request("/echo?" + "a" * MAX_TARGET), 414, "target_too_long"),
    "endless-target": (b"GET /" + b"a" * 100_000, 414, "target_too_long"),
    "header": (with_lines("X-A: " + "a" * MAX_HEAD), 431, "head_too_large"),
    "endless-header": (request()[:-2] + b"X: " + b"a" * 100_000, 431, "head_too_large"),
    "headers": (with_lines(*[f"X-{i}: 1" for i in range(MAX_HEADERS)]), 431, "too_many_headers"),
    "endless-headers": (request()[:-2] + b"X:\r\n" * 10_000, 431, "too_many_headers"),
}

ROUTING = {
    "no-such-path": (request("/nowhere"), 404, "no_route"),
    "no-such-host": (request("/elsewhere", host="other.example"), 404, "no_route"),
}

CASES = {**SYNTAX, **SMUGGLING, **OVERSIZED, **ROUTING}


@pytest.fixture(scope="module")
def daemon(module_sluiced):
    return module_sluiced(
        f"""
        limits {{
          max_target_bytes = {MAX_TARGET}b
          max_head_bytes = {MAX_HEAD}b
          max_headers = {MAX_HEADERS}
        }}
        route elsewhere {{ match {{ host = "sluice.example"  path = "/elsewhere" }} echo = true }}
        """
        + ECHO_CONFIG
    )


@pytest.fixture(scope="module")
def bystander(daemon):
    """A connection that lives through all of them."""
    with ws_raw.connect(daemon.address()) as stream:
        yield stream


def assert_echoes(stream):
    stream.send(ws_raw.frame(ws_raw.TEXT, "undisturbed"))
    stream.expect_frame(ws_raw.TEXT, "undisturbed")


def expect_refusal(stream, status, error):
    """The whole response. Returns its head; @error may be the start of the name."""
    head = stream.read_head()
    assert head.status == status, head.raw
    body = json.loads(stream.read_body(head))
    assert body["error"].startswith(error), body
    assert body["detail"]
    assert head.get("Content-Type") == "application/json"
    assert head.get("Connection") == "close"
    stream.shutdown_write()
    stream.expect_end()
    return head, body["error"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("piece", [1 << 20, 7], ids=["at-once", "in-pieces"])
def test_refusal(daemon, bystander, name, piece):
    data, status, error = CASES[name]
    if piece == 7 and len(data) > 10_000:
        piece = 1400
    counted = dict(daemon.status()["refused"])
    with ws_raw.dial(daemon.address()) as stream:
        try:
            stream.send_pieces(data, piece)
        except (BrokenPipeError, ConnectionResetError):
            pytest.fail("the gateway did not take what was sent behind its refusal")
        _, reason = expect_refusal(stream, status, error)
    daemon.wait_refused(reason, counted.get(reason, 0) + 1)
    assert sum(daemon.status()["refused"].values()) == sum(counted.values()) + 1
    assert_echoes(bystander)


def padded(length):
    """A request head of exactly @length bytes."""
    return with_lines("X: " + "x" * (length - len(with_lines("X: "))))


def test_limits_are_inclusive(daemon):
    few = MAX_HEADERS - request().count(b": ")
    for data in (
        request("/echo?" + "a" * (MAX_TARGET - len("/echo?"))),
        padded(MAX_HEAD),
        with_lines(*["X: 1"] * few),
    ):
        with ws_raw.dial(daemon.address()) as stream:
            stream.send(data)
            ws_raw.check_101(stream)
    for data, status in (
        (request("/echo?" + "a" * (MAX_TARGET + 1 - len("/echo?"))), 414),
        (padded(MAX_HEAD + 1), 431),
        (with_lines(*["X: 1"] * (few + 1)), 431),
    ):
        with ws_raw.dial(daemon.address()) as stream:
            stream.send(data)
            assert stream.read_head().status == status


def test_refused_client_that_goes_on_sending_is_ended(daemon):
    """It is read for a while, so that it sees the answer, but not for ever."""
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(request("/nowhere"))
        assert stream.read_head().status == 404
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                stream.send(bytes(1000))
                time.sleep(0.01)


def test_access_log_tells_refusals(daemon):
    before = len(daemon.access_log())
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(request("/nowhere"))
        expect_refusal(stream, 404, "no_route")
    row = daemon.access_log(before + 1)[-1]
    assert (row["status"], row["reason"], row["route"]) == (404, "no_route", None)
    assert row["close_code"] is None and row["path"] is None


def test_405_and_426_carry_what_they_need(daemon):
    for data, status, name, value in (
        (request(method="PUT"), 405, "Allow", "GET"),
        (request(change={"Upgrade": None}), 426, "Upgrade", "websocket"),
    ):
        with ws_raw.dial(daemon.address()) as stream:
            stream.send(data)
            head = stream.read_head()
            assert head.status == status and head.get(name) == value


def test_client_that_leaves_before_its_request_is_complete(daemon, bystander):
    before = daemon.refused("eof")
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(request()[:50])
    daemon.wait_refused("eof", before + 1)
    assert_echoes(bystander)


def test_random_garbage(daemon, bystander):
    """Whatever it is: an answer or an end, at once, and never a 101."""
    for _ in range(env.scale(200)):
        with ws_raw.dial(daemon.address()) as stream:
            stream.send(os.urandom(300) + b"\r\n\r\n")
            assert b"101" not in stream.read_to_end()[:12]
    assert_echoes(bystander)


def test_slowloris(sluiced):
    """A byte now and then keeps nobody in: the deadline holds for the whole head."""
    daemon = sluiced("limits { handshake_timeout = 600ms  close_timeout = 2s }\n" + ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as bystander:
        slow = [ws_raw.dial(daemon.address()) for _ in range(10)]
        waiting = list(slow)
        data = request()
        for i in range(len(data)):
            time.sleep(0.05)
            waiting = [stream for stream in waiting if daemon_still_waits(stream)]
            if not waiting:
                break
            for stream in waiting:
                stream.send(data[i : i + 1])
        assert not waiting, "a whole head was let in byte by byte"
        for stream in slow:
            with stream:
                expect_refusal(stream, 408, "handshake_timeout")
        assert_echoes(bystander)
    daemon.wait_refused("handshake_timeout", 10)


def daemon_still_waits(stream):
    return stream.is_silent(0.001)


def test_silent_connection_is_ended(sluiced):
    """Who sends nothing has not asked anything, and is told nothing."""
    daemon = sluiced("limits { handshake_timeout = 300ms  close_timeout = 2s }\n" + ECHO_CONFIG)
    with ws_raw.dial(daemon.address()) as stream:
        stream.expect_end()
    daemon.wait_refused("handshake_timeout", 1)


def test_connection_limit(sluiced):
    daemon = sluiced("limits { max_connections = 5  close_timeout = 2s }\n" + ECHO_CONFIG)
    held = [ws_raw.connect(daemon.address()) for _ in range(5)]
    try:
        with ws_raw.dial(daemon.address()) as stream:
            stream.send(request())
            head, _ = expect_refusal(stream, 503, "too_many_connections")
            assert int(head.get("Retry-After")) > 0
        for stream in held:
            assert_echoes(stream)
        held.pop().close()
        daemon.wait_live(4)
        with ws_raw.connect(daemon.address()) as stream:
            assert_echoes(stream)
    finally:
        for stream in held:
            stream.close()


def test_early_frames_wait_for_the_upgrade(sluiced, endpoint):
    """Bytes behind the request are the first frames: the endpoint gets them after its own 101."""
    daemon = sluiced(proxy_config(endpoint.address))
    early = b"".join(ws_raw.frame(ws_raw.TEXT, f"{i}") for i in range(100))
    with ws_raw.dial(daemon.address()) as client:
        client.send(request("/x") + early)
        server = endpoint.accept()
        head = server.read_head()
        assert server.is_silent()
        server.send(ws_raw.response_101(head.get("Sec-WebSocket-Key")))
        assert server.read_exactly(len(early)) == early
        ws_raw.check_101(client)


def test_more_early_frames_than_the_gateway_holds(sluiced, endpoint):
    """They wait in the client until the endpoint has upgraded; none is lost or reordered."""
    daemon = sluiced(proxy_config(endpoint.address))
    early = b"".join(ws_raw.frame(ws_raw.BINARY, b"%6d" % i * 1000) for i in range(500))
    before = daemon.rss_kb()
    with ws_raw.dial(daemon.address()) as client:
        sender = threading.Thread(target=client.send, args=(request("/x") + early,))
        sender.start()
        server = endpoint.accept()
        head = server.read_head()
        assert server.is_silent()
        assert daemon.rss_kb() - before < 1024 * (8 if env.SANITIZED else 1)
        server.send(ws_raw.response_101(head.get("Sec-WebSocket-Key")))
        assert server.read_exactly(len(early)) == early
        sender.join()
        ws_raw.check_101(client)


def test_early_bytes_of_a_refused_upgrade_go_nowhere(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(request("/x") + ws_raw.frame(ws_raw.TEXT, "early"))
        server = endpoint.accept()
        server.read_head()
        server.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        server.expect_end()
        assert client.read_head().status == 403
        client.shutdown_write()
        client.expect_end()


def test_second_request_behind_the_first_is_no_request(sluiced, endpoint):
    """It is a malformed frame, whatever it looks like: not smuggled to the endpoint."""
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(request("/x") + request("/admin"))
        server = endpoint.accept_upgrade()
        ws_raw.check_101(client)
        server.expect_close(1002)
        client.expect_close(1002)
