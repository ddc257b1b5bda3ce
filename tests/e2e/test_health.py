# SPDX-License-Identifier: Apache-2.0
"""Active health checks: against real servers, and against endpoints that do what they like."""

import contextlib
import itertools
import os
import queue
import threading

import pytest

from lib import env, ws_raw
from lib.checked import CheckedEndpoint, answer
from lib.daemon import proxy_config

HASTY = "interval = 20ms"


def checked_config(*addresses, health, **options):
    return proxy_config(*addresses, cluster=f"health {{ {health} }}", **options)


def row(daemon, endpoint="e0"):
    return next(r for r in daemon.ctl("show.clusters") if r["endpoint"] == endpoint)


def wait_health(daemon, health, endpoint="e0"):
    env.until(lambda: row(daemon, endpoint)["health"] == health, f"{endpoint} to be {health}")


def wait_check(daemon, text, endpoint="e0"):
    env.until(lambda: row(daemon, endpoint)["check"] == text, f"{endpoint}'s check: {text}")


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def changes(daemon, endpoint="e0"):
    """What the log says an endpoint became, in order."""
    mark = f'endpoint "{endpoint}" is '
    return [l.split(mark)[1].split(":")[0] for l in daemon.log().splitlines() if mark in l]


# ---- real servers ------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", ["node", "python"])
def test_websocket_check_of_real_servers(sluiced, peers, implementation):
    address = peers.server(implementation)
    daemon = sluiced(checked_config(address, health=f"type = websocket {HASTY}"))
    wait_health(daemon, "up")
    wait_check(daemon, "pong")
    peers.kill(address)
    wait_health(daemon, "down")
    assert row(daemon)["check"] == "connect: Connection refused"


def test_websocket_check_through_nginx(sluiced, peers):
    daemon = sluiced(
        checked_config(
            peers.nginx(peers.server("python")),
            health=f'type = websocket {HASTY} path = "/deep?x=1" host = "shop.example"',
        )
    )
    wait_health(daemon, "up")
    assert row(daemon)["check"] == "pong"


def test_http_check_of_nginx_follows_its_backend(sluiced, peers):
    with CheckedEndpoint() as backend:
        daemon = sluiced(
            checked_config(
                peers.nginx(backend.address), health=f'type = http {HASTY} path = "/health"'
            )
        )
        wait_health(daemon, "up")
        wait_check(daemon, "200 Status")
    wait_health(daemon, "down")
    assert row(daemon)["check"] == "502 Bad Gateway"
    with CheckedEndpoint(port=backend.port):
        wait_health(daemon, "up")
    assert changes(daemon)[:3] == ["up", "down", "up"]


def test_http_check_of_a_websocket_server_finds_no_page(sluiced, peers):
    daemon = sluiced(checked_config(peers.server("python"), health=f"type = http {HASTY}"))
    wait_health(daemon, "down")
    assert row(daemon)["check"] == "426 Upgrade Required"


def test_tcp_check(sluiced, endpoint):
    daemon = sluiced(checked_config(endpoint.address, health=f"type = tcp {HASTY}"))
    wait_health(daemon, "up")
    assert row(daemon)["check"] == "connected"
    endpoint.close()
    wait_health(daemon, "down")


# ---- endpoints that do what they like ----------------------------------------------------------


def hang(stream):
    stream.read_head()
    stream.read_to_end()


def flood(stream):
    while True:
        stream.send(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000)


def garbage(stream):
    stream.read_head()
    stream.send(b"\x00\xff\x16\x03\x01 garbage\r\n\r\n")


def close_at_once(stream):
    pass


def reset(stream):
    stream.read_head()
    stream.reset()


def wrong_accept(stream):
    stream.read_head()
    stream.send(ws_raw.response_101(ws_raw.KEY))
    stream.read_to_end()


def upgraded(*frames):
    def behave(stream):
        stream.send(ws_raw.response_101(stream.read_head().get("Sec-WebSocket-Key")))
        for frame in frames:
            stream.send(frame)
        stream.read_to_end()

    return behave


def upgraded_flood(stream):
    stream.send(ws_raw.response_101(stream.read_head().get("Sec-WebSocket-Key")))
    while True:
        stream.send(ws_raw.server_frame(ws_raw.BINARY, b"x" * 4096))


# name: (type, behaviour, what the check says)
MISBEHAVIOUR = {
    "http-hang": ("http", hang, "timeout waiting for an answer"),
    "http-flood": ("http", flood, "not HTTP: more headers than the limit"),
    "http-garbage": (
        "http",
        garbage,
        "not HTTP: control character, bare CR or bare LF in the head",
    ),
    "http-close": ("http", close_at_once, None),
    "http-reset": ("http", reset, "receive: Connection reset by peer"),
    "http-500": ("http", answer(500), "500 Status"),
    "websocket-hang": ("websocket", hang, "timeout waiting for an answer"),
    "websocket-200": ("websocket", answer(200), "200 Status instead of 101"),
    "websocket-accept": ("websocket", wrong_accept, "endpoint's Sec-WebSocket-Accept is wrong"),
    "websocket-no-pong": ("websocket", upgraded(), "timeout waiting for a pong"),
    "websocket-other-pong": (
        "websocket",
        upgraded(ws_raw.server_frame(ws_raw.PONG, b"another!")),
        "timeout waiting for a pong",
    ),
    "websocket-close": (
        "websocket",
        upgraded(ws_raw.server_frame(ws_raw.CLOSE, ws_raw.close_payload(1013))),
        "closed with code 1013 instead of a pong",
    ),
    "websocket-masked": (
        "websocket",
        upgraded(ws_raw.frame(ws_raw.PONG, b"x")),
        "client frame not masked or server frame masked (RFC 6455 s5.1)",
    ),
    "websocket-flood": ("websocket", upgraded_flood, "sent more than 65536 bytes"),
}


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_misbehaviour_is_a_failed_check_and_no_more(sluiced, name):
    kind, behaviour, text = MISBEHAVIOUR[name]
    with CheckedEndpoint(behaviour) as one, CheckedEndpoint() as good:
        daemon = sluiced(
            checked_config(
                one.address,
                good.address,
                health=f'type = {kind} {HASTY} timeout = 300ms path = "/health"',
            )
        )
        wait_health(daemon, "down")
        if text:  # and not only a timeout: the endpoint may be slow, too
            wait_check(daemon, text)
        # It can recover.
        one.health = good.health if kind == "http" else echo_health
        wait_health(daemon, "up")


def echo_health(stream):
    """The server's side of a check of the type websocket."""
    stream.send(ws_raw.response_101(stream.read_head().get("Sec-WebSocket-Key")))
    ping = stream.read_frame()
    assert ping.opcode == ws_raw.PING
    stream.send(ws_raw.server_frame(ws_raw.PONG, ping.payload))
    close = stream.read_frame()
    assert (close.opcode, close.close_code) == (ws_raw.CLOSE, 1000)
    stream.send(ws_raw.server_frame(ws_raw.CLOSE, close.payload))


def test_websocket_check_speaks_as_rfc_6455_wants(sluiced):
    """s5.1: all its frames are masked; s7.1.1: it closes with a Close frame, 1000."""
    heads, frames = queue.Queue(), queue.Queue()

    def behave(stream):
        head = stream.read_head()
        heads.put(head)
        stream.send(ws_raw.response_101(head.get("Sec-WebSocket-Key")))
        ping = stream.read_frame()
        stream.send(ws_raw.server_frame(ws_raw.PONG, ping.payload))
        close = stream.read_frame()
        stream.send(ws_raw.server_frame(ws_raw.CLOSE, close.payload))
        frames.put((ping, close, stream.read_to_end()))

    with CheckedEndpoint(behave) as one:
        sluiced(
            checked_config(
                one.address,
                health=f'type = websocket {HASTY} path = "/health?a=b" host = "shop.example:81"',
            )
        )
        head = heads.get(timeout=env.PATIENCE_S)
        assert head.first == "GET /health?a=b HTTP/1.1"
        assert head.get("Host") == "shop.example:81"
        assert head.get("Sec-WebSocket-Version") == "13"
        ping, close, rest = frames.get(timeout=env.PATIENCE_S)
        assert (ping.opcode, ping.masked, close.masked, close.close_code) == (9, True, True, 1000)
        assert rest == b""
        assert heads.get(timeout=env.PATIENCE_S).get("Sec-WebSocket-Key") != head.get(
            "Sec-WebSocket-Key"
        )


# ---- rise and fall -----------------------------------------------------------------------------


@contextlib.contextmanager
def scripted():
    """An endpoint whose checks wait for the test: answer_next(status) answers one of them."""
    waiting = queue.Queue()

    def behave(stream):
        stream.read_head()
        answer_of_test = queue.Queue()
        waiting.put(answer_of_test)
        status = answer_of_test.get()
        if status:
            stream.send(f"HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n".encode())

    pending = []

    def answer_next(status):
        """Returns once the next check is here, which shows that this one's result was taken."""
        if not pending:
            pending.append(waiting.get(timeout=env.PATIENCE_S))
        pending.pop().put(status)
        pending.append(waiting.get(timeout=env.PATIENCE_S))

    with CheckedEndpoint(behave) as one:
        one.answer_next = answer_next
        try:
            yield one
        finally:
            for left in pending:
                left.put(None)


def test_rise_and_fall_are_counted_in_a_row(sluiced):
    script = [
        (200, "up"),  # the first one decides alone
        (503, "up"),
        (503, "up"),
        (200, "up"),
        (503, "up"),
        (503, "up"),
        (503, "down"),  # fall = 3
        (200, "down"),
        (503, "down"),
        (200, "down"),
        (204, "up"),  # rise = 2
        (503, "up"),
    ]
    with scripted() as one:
        daemon = sluiced(
            checked_config(
                one.address,
                health=f'type = http {HASTY} timeout = 10m rise = 2 fall = 3 path = "/health"',
            )
        )
        for number, (status, health) in enumerate(script):
            one.answer_next(status)
            got = row(daemon)
            assert (got["health"], got["check"]) == (health, f"{status} Status"), number
        assert changes(daemon) == ["up", "down", "up"]


def test_a_first_check_that_fails_is_down_at_once(sluiced):
    with scripted() as one:
        daemon = sluiced(
            checked_config(
                one.address, health=f'type = http {HASTY} timeout = 10m path = "/health"'
            )
        )
        assert row(daemon)["health"] == "unknown"
        one.answer_next(500)
        assert row(daemon)["health"] == "down"


def test_flapping_each_100_ms(sluiced):
    """Changes come in turns, one line for each, and a connection that lives notices nothing."""
    statuses = itertools.cycle([200, 503])
    stop = threading.Event()
    with CheckedEndpoint() as one:
        daemon = sluiced(
            checked_config(
                one.address,
                health='type = http interval = 10ms rise = 1 fall = 1 path = "/health"',
            )
        )

        def flap():
            while not stop.wait(0.1):
                one.health = answer(next(statuses))

        wait_health(daemon, "up")
        thread = threading.Thread(target=flap)
        thread.start()
        try:
            with ws_raw.connect(daemon.address(), "/live") as client:

                def is_enough():
                    client.send(ws_raw.frame(ws_raw.TEXT, "still"))
                    client.expect_frame(ws_raw.TEXT, "still")
                    return len(changes(daemon)) >= 8

                env.until(is_enough, "eight changes")
        finally:
            stop.set()
            thread.join()
        for before, after in itertools.pairwise(changes(daemon)):
            assert before != after


# ---- under load --------------------------------------------------------------------------------


def test_live_connections_outlive_a_down_endpoint(sluiced):
    with CheckedEndpoint() as one:
        daemon = sluiced(
            checked_config(one.address, health=f'type = http {HASTY} path = "/health"')
        )
        wait_health(daemon, "up")
        with ws_raw.connect(daemon.address(), "/live") as client:
            one.health = answer(503)
            wait_health(daemon, "down")
            client.send(ws_raw.frame(ws_raw.TEXT, "through"))
            client.expect_frame(ws_raw.TEXT, "through")
            assert row(daemon)["connections"] == 1
            one.health = answer(200)
            wait_health(daemon, "up")
            client.send(ws_raw.frame(ws_raw.TEXT, "again"))
            client.expect_frame(ws_raw.TEXT, "again")


def test_new_connections_avoid_a_down_endpoint(sluiced):
    with CheckedEndpoint() as one, CheckedEndpoint() as two:
        daemon = sluiced(
            checked_config(
                one.address, two.address, health=f'type = http {HASTY} path = "/health"'
            )
        )
        wait_health(daemon, "up", "e0")
        wait_health(daemon, "up", "e1")
        one.health = answer(503)
        wait_health(daemon, "down", "e0")
        with contextlib.ExitStack() as stack:
            for _ in range(6):
                stack.enter_context(ws_raw.connect(daemon.address(), "/live"))
            assert (row(daemon, "e0")["connections"], row(daemon, "e1")["connections"]) == (0, 6)
            one.health = answer(200)
            wait_health(daemon, "up", "e0")
            for _ in range(6):
                stack.enter_context(ws_raw.connect(daemon.address(), "/live"))
            assert row(daemon, "e0")["connections"] >= 2


def test_show_clusters_while_an_endpoint_dies_and_comes_back(sluiced):
    with CheckedEndpoint() as steady, CheckedEndpoint() as first:
        daemon = sluiced(
            checked_config(
                steady.address, first.address, health=f'type = http {HASTY} path = "/health"'
            )
        )
        port = first.port
        wait_health(daemon, "up", "e1")
        first.close()
        for _ in range(env.scale(5)):
            seen = set()

            def sees(health, seen=seen):
                rows = daemon.ctl("show.clusters")
                assert [r["endpoint"] for r in rows] == ["e0", "e1"]
                assert rows[0]["health"] in ("unknown", "up")
                seen.add(rows[1]["health"])
                return rows[1]["health"] == health

            env.until(lambda: sees("down"), "e1 to be down")
            with CheckedEndpoint(port=port):
                env.until(lambda: sees("up"), "e1 to be up")
            assert seen == {"up", "down"}
        assert changes(daemon, "e0") == ["up"]


def test_checks_leave_no_descriptors_behind(sluiced):
    with CheckedEndpoint(answer(200)) as one:
        daemon = sluiced(
            checked_config(
                one.address, health='type = http interval = 10ms path = "/health"'
            )
        )
        env.until(lambda: one.n_checks > 20, "some checks")
        few = descriptors(daemon)
        env.until(lambda: one.n_checks > 200, "many checks")
        # One check may be on its way, and our own control connection may end a little later.
        env.until(lambda: descriptors(daemon) <= few + 1, "descriptors to be closed")


def wait_checks(endpoint, n):
    before = endpoint.n_checks
    env.until(lambda: endpoint.n_checks > before + n, f"{n} checks")


def test_maintenance_is_not_checked(sluiced):
    with CheckedEndpoint() as one, CheckedEndpoint() as other:
        daemon = sluiced(
            checked_config(
                one.address, other.address, health=f'type = http {HASTY} path = "/health"'
            )
        )
        wait_health(daemon, "up")
        daemon.ctl("set.endpoint", cluster="back-all", endpoint="e0", state="maint")
        wait_health(daemon, "unknown")
        wait_checks(other, 2)  # one that was under way has arrived as well
        n_checks = one.n_checks
        wait_checks(other, 10)
        assert one.n_checks == n_checks
        daemon.ctl("set.endpoint", cluster="back-all", endpoint="e0", state="ready")
        wait_health(daemon, "up")


def test_metrics_say_what_checks_found(sluiced):
    with CheckedEndpoint(answer(500)) as one:
        daemon = sluiced(
            checked_config(one.address, health=f'type = http {HASTY} fall = 1 path = "/health"')
        )
        labels = {"cluster": "back-all", "endpoint": "e0"}
        wait_health(daemon, "down")
        m = daemon.metrics()
        assert m("sluice_endpoint_up", **labels) == 0
        assert m("sluice_health_checks_total", result="failed") >= 1
        assert m("sluice_health_checks_total", result="good") == 0
        one.health = answer(200)
        wait_health(daemon, "up")
        m = daemon.metrics()
        assert m("sluice_endpoint_up", **labels) == 1
        assert m("sluice_health_checks_total", result="good") >= 2
