# SPDX-License-Identifier: Apache-2.0
"""
Endpoints that refuse, hang, break the protocol or leave: what the client is told, and which
endpoint is tried instead. RFC 6455 s4.1 lists what must hold for an endpoint's answer.
"""

import collections
import json
import socket

import pytest

from lib import env, ws_raw
from lib.daemon import proxy_config
from lib.endpoint import RawEndpoint, tunnel
from lib.ws_raw import response_101


def status(line, extra=""):
    return lambda key: f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n{extra}\r\n".encode()


def bad_101(**options):
    return lambda key: response_101(key, **options)


def fixed(data):
    return lambda key: data


# name: (answer to a key, error)
ANSWERS = {
    "s4.1-1-status-200": (status("200 OK"), "endpoint_refused_upgrade"),
    "s4.1-1-status-204": (status("204 No Content"), "endpoint_refused_upgrade"),
    "s4.1-2-no-upgrade": (bad_101(change={"Upgrade": None}), "endpoint_bad_upgrade"),
    "s4.1-2-other-upgrade": (bad_101(change={"Upgrade": "h2c"}), "endpoint_bad_upgrade"),
    "s4.1-3-no-connection": (bad_101(change={"Connection": None}), "endpoint_bad_upgrade"),
    "s4.1-3-other-connection": (bad_101(change={"Connection": "close"}), "endpoint_bad_upgrade"),
    "s4.1-4-no-accept": (
        bad_101(change={"Sec-WebSocket-Accept": None}),
        "endpoint_bad_accept",
    ),
    "s4.1-4-wrong-accept": (
        bad_101(accept=ws_raw.accept_for("AAAAAAAAAAAAAAAAAAAAAA==")),
        "endpoint_bad_accept",
    ),
    "s4.1-4-accept-in-lower-case": (
        lambda key: response_101(key, accept=ws_raw.accept_for(key).lower()),
        "endpoint_bad_accept",
    ),
    "s4.1-5-unknown-extension": (
        bad_101(extra=["Sec-WebSocket-Extensions: x-unasked"]),
        "endpoint_bad_extension",
    ),
    "s4.1-6-unasked-subprotocol": (
        bad_101(extra=["Sec-WebSocket-Protocol: unasked"]),
        "endpoint_bad_subprotocol",
    ),
    "s4.1-6-subprotocol-in-other-case": (
        bad_101(extra=["Sec-WebSocket-Protocol: CHAT"]),
        "endpoint_bad_subprotocol",
    ),
    "s4.1-6-two-subprotocols": (
        bad_101(extra=["Sec-WebSocket-Protocol: chat, soap"]),
        "endpoint_bad_subprotocol",
    ),
    "ssh": (fixed(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "endpoint_bad_response"),
    "garbage": (fixed(bytes(range(256))), "endpoint_bad_response"),
    "frames-at-once": (fixed(ws_raw.server_frame(ws_raw.TEXT, "hello")), "endpoint_bad_response"),
    "bare-lf": (lambda key: response_101(key).replace(b"\r\n", b"\n"), "endpoint_bad_response"),
    "obs-fold": (bad_101(extra=["X: 1", " 2"]), "endpoint_bad_response"),
    "huge-head": (bad_101(extra=["X: " + "x" * 200_000]), "endpoint_response_too_large"),
    "many-headers": (bad_101(extra=["X: x"] * 1000), "endpoint_response_too_large"),
    "endless-head": (
        fixed(b"HTTP/1.1 101 Fine\r\nX: " + b"x" * 200_000),
        "endpoint_response_too_large",
    ),
}

TIMEOUTS = "connect_timeout = 400ms  upgrade_timeout = 2s"


def expect_refusal(client, status, error):
    head = client.read_head()
    assert head.status == status, head.raw
    assert json.loads(client.read_body(head))["error"] == error
    client.shutdown_write()
    client.expect_end()
    return head


def expect_logged(daemon, status, error):
    row = daemon.access_log(1)[-1]
    assert (row["status"], row["reason"], row["route"]) == (status, error, "all")
    daemon.wait_refused(error, 1)
    daemon.wait_live(0)


@pytest.mark.parametrize("name", ANSWERS)
def test_wrong_answer(sluiced, endpoint, name):
    answer, error = ANSWERS[name]
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x", protocol="chat, soap", extensions="permessage-deflate"))
        server = endpoint.accept()
        head = server.read_head()
        try:
            server.send(answer(head.get("Sec-WebSocket-Key")))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was refused before its end
        expect_refusal(client, 502, error)
        server.read_to_end()
    expect_logged(daemon, 502, error)
    assert not endpoint.has_caller(), "tried again after the request had been sent"


# name: (status line, header, body)
REFUSALS = {
    "301": ("301 Moved Permanently", "Location: https://other.example/", b""),
    "401": ("401 Unauthorized", 'WWW-Authenticate: Bearer realm="x"', b"who are you?"),
    "403": ("403 Forbidden", "X-Why: because", b"{}"),
    "404": ("404 Not Found", "X-Empty:", b"x" * 10_000),
    "503": ("503 Busy", "Retry-After: 7", b"later"),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("piece", [100, 1 << 20], ids=["in-pieces", "at-once"])
def test_endpoints_refusal_is_the_clients(sluiced, endpoint, name, piece):
    """A redirect or a demand for credentials means the client; it ends the connection."""
    line, header, body = REFUSALS[name]
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        server.read_head()
        answer = f"HTTP/1.1 {line}\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        server.send_pieces(answer + body, piece)
        head = client.read_head()
        assert head.first == f"HTTP/1.1 {line}"
        key, _, value = header.partition(":")
        assert head.get(key) == value.strip()
        assert head.get("Connection") == "close"
        assert client.read_body(head) == body
        client.shutdown_write()
        client.expect_end()
        server.expect_end()
    expect_logged(daemon, int(name), "endpoint_refused_upgrade")


def test_interim_responses_are_skipped(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        key = server.read_head().get("Sec-WebSocket-Key")
        server.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n")
        server.send(response_101(key))
        ws_raw.check_101(client)


@pytest.mark.parametrize("sent", [0, 1, 40, -1], ids=["nothing", "one-byte", "half", "all-but-one"])
@pytest.mark.parametrize("by_reset", [False, True], ids=["fin", "rst"])
def test_endpoint_leaves_during_the_upgrade(sluiced, endpoint, sent, by_reset):
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        head = server.read_head()
        answer = response_101(head.get("Sec-WebSocket-Key"))
        server.send(answer[:sent])
        server.reset() if by_reset else server.close()
        expect_refusal(client, 502, "endpoint_closed")
    expect_logged(daemon, 502, "endpoint_closed")


@pytest.mark.parametrize("sent", [0, 40], ids=["nothing", "half"])
def test_endpoint_hangs_in_the_upgrade(sluiced, endpoint, sent):
    daemon = sluiced(proxy_config(endpoint.address, cluster=TIMEOUTS))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        head = server.read_head()
        server.send(response_101(head.get("Sec-WebSocket-Key"))[:sent])
        expect_refusal(client, 504, "endpoint_timeout")
        server.expect_end()
    expect_logged(daemon, 504, "endpoint_timeout")


def test_client_that_leaves_meanwhile_is_not_waited_for(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        server.read_head()
    server.expect_end()
    daemon.wait_live(0)


@pytest.fixture
def refusing_address():
    """Bound, so that nobody else gets the port, but not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield "127.0.0.1:%d" % sock.getsockname()[1]


@pytest.fixture
def hanging_address():
    """A listener whose queue is full: further SYNs are dropped."""
    with RawEndpoint(backlog=0) as endpoint:
        host, port = endpoint.address.split(":")
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((host, int(port)))
            fillers.append(filler)
        yield endpoint.address
        for filler in fillers:
            filler.close()


def test_endpoint_refuses_to_connect(sluiced, refusing_address):
    daemon = sluiced(proxy_config(refusing_address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        expect_refusal(client, 502, "endpoint_connect_failed")
    expect_logged(daemon, 502, "endpoint_connect_failed")


def test_endpoint_hangs_in_connect(sluiced, hanging_address):
    daemon = sluiced(proxy_config(hanging_address, cluster=TIMEOUTS))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        expect_refusal(client, 504, "endpoint_timeout")
    expect_logged(daemon, 504, "endpoint_timeout")


@pytest.mark.parametrize("bad", ["refusing_address", "hanging_address"])
@pytest.mark.parametrize("balance", ["round_robin", "least_conn"])
def test_other_endpoint_is_tried(sluiced, endpoint, request, bad, balance):
    daemon = sluiced(
        proxy_config(
            request.getfixturevalue(bad),
            endpoint.address,
            cluster=f"connect_timeout = 400ms  balance = {balance}",
        )
    )
    for i in range(4):
        with ws_raw.dial(daemon.address()) as client:
            client.send(ws_raw.request("/x"))
            server = endpoint.accept_upgrade()
            ws_raw.check_101(client)
            server.send(ws_raw.server_frame(ws_raw.TEXT, f"{i}"))
            client.expect_frame(ws_raw.TEXT, f"{i}")
            server.close()
    rows = daemon.access_log(4)
    assert {row["endpoint"] for row in rows} == {"e1"}
    assert daemon.status()["refused"].get("endpoint_connect_failed", 0) == 0


def test_all_endpoints_refuse(sluiced, refusing_address):
    daemon = sluiced(proxy_config(refusing_address, refusing_address, refusing_address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        expect_refusal(client, 502, "endpoint_connect_failed")
    expect_logged(daemon, 502, "endpoint_connect_failed")


def test_endpoint_on_ipv6(sluiced):
    with RawEndpoint(host="::1") as endpoint:
        daemon = sluiced(proxy_config(endpoint.address))
        client, server = tunnel(daemon, endpoint)
        with client:
            server.send(ws_raw.server_frame(ws_raw.TEXT, "six"))
            client.expect_frame(ws_raw.TEXT, "six")


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_101_in_pieces(sluiced, endpoint, piece):
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        key = server.read_head().get("Sec-WebSocket-Key")
        server.send_pieces(response_101(key, extra=["X-Kept: yes"]), piece)
        assert ws_raw.check_101(client).get("X-Kept") == "yes"


@pytest.mark.parametrize("count", [1, 5000])
def test_frames_glued_to_the_101(sluiced, endpoint, count):
    daemon = sluiced(proxy_config(endpoint.address))
    frames = b"".join(ws_raw.server_frame(ws_raw.TEXT, f"first {i}") for i in range(count))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        key = server.read_head().get("Sec-WebSocket-Key")
        server.send(response_101(key) + frames)
        ws_raw.check_101(client)
        assert client.read_exactly(len(frames)) == frames


def test_close_glued_to_the_101(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        key = server.read_head().get("Sec-WebSocket-Key")
        server.send(response_101(key) + ws_raw.close_frame(4000, "full", mask=None))
        server.shutdown_write()
        ws_raw.check_101(client)
        client.expect_close(4000)
        client.send(ws_raw.close_frame(4000))
        server.expect_close(4000)
        client.expect_end()
    assert daemon.access_log(1)[0]["close_code"] == 4000


# ---- balancing -------------------------------------------------------------------------------


@pytest.fixture
def three_endpoints():
    with RawEndpoint() as a, RawEndpoint() as b, RawEndpoint() as c:
        yield [a, b, c]


def open_through(daemon, endpoints):
    """A new connection. Returns (client, index of the endpoint that it got, its stream)."""
    client = ws_raw.dial(daemon.address())
    client.send(ws_raw.request("/x"))

    def accept_one():
        for index, endpoint in enumerate(endpoints):
            endpoint.sock.settimeout(0)
            try:
                return index, endpoint.accept()
            except BlockingIOError:
                pass
            finally:
                endpoint.sock.settimeout(env.PATIENCE_S)
        return None

    index, server = env.until(accept_one, "any endpoint to be called")
    key = server.read_head().get("Sec-WebSocket-Key")
    server.send(response_101(key))
    ws_raw.check_101(client)
    return client, index, server


@pytest.mark.parametrize("workers", [1, 2])
def test_round_robin_is_exact(sluiced, three_endpoints, workers):
    daemon = sluiced(
        f"worker {{ count = {workers} }}\n"
        + proxy_config(*[e.address for e in three_endpoints], cluster="balance = round_robin")
    )
    opened = [open_through(daemon, three_endpoints) for _ in range(30)]
    used = collections.Counter(index for _, index, _ in opened)
    assert used == {0: 10, 1: 10, 2: 10}  # the workers share one turn
    assert len(daemon.connections(endpoint="e1")) == 10
    for client, _, _ in opened:
        client.close()


def test_least_conn_goes_where_room_is(sluiced, three_endpoints):
    daemon = sluiced(
        proxy_config(*[e.address for e in three_endpoints], cluster="balance = least_conn")
    )
    opened = [open_through(daemon, three_endpoints) for _ in range(12)]
    assert collections.Counter(i for _, i, _ in opened) == {0: 4, 1: 4, 2: 4}
    for client, index, server in opened:
        if index == 1:
            client.close()
            server.expect_end()
            server.close()
    daemon.wait_live(8)
    again = [open_through(daemon, three_endpoints) for _ in range(4)]
    assert [index for _, index, _ in again] == [1, 1, 1, 1]
    for client, _, _ in opened + again:
        client.close()
