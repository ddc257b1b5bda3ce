# SPDX-License-Identifier: Apache-2.0
"""Endpoints and clusters that fail: retries, ejection, the circuit breaker."""

import collections
import contextlib
import json
import select
import socket
import threading

import pytest

from lib import env, ws_raw
from lib.daemon import proxy_config
from lib.endpoint import RawEndpoint, tunnel


class Backend:
    """An endpoint with a thread: answers each upgrade as `answer` says, and can go and come."""

    def __init__(self, answer=ws_raw.response_101):
        self.answer = answer
        self.n_called = 0
        self._listener = None
        self._streams = []
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", 0))
            self._address = sock.getsockname()
        self.address = "%s:%d" % self._address
        self.up()

    def up(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self._address)
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._serve, args=[self._listener])
        self._thread.start()

    def down(self):
        """Gone, with all its connections."""
        if not self._listener:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self._listener = None
        for stream in self._streams:
            stream.close()
        self._streams = []

    def _serve(self, listener):
        while True:
            try:
                stream = ws_raw.Stream(listener.accept()[0])
            except OSError:
                return
            self._streams.append(stream)
            self.n_called += 1
            with contextlib.suppress(OSError, AssertionError, EOFError):
                key = stream.read_head().get("Sec-WebSocket-Key")
                answer = self.answer(key)
                stream.send(answer) if answer else stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()


def status(line):
    return lambda key: f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode()


def ask(daemon, path="/x"):
    """(status, error or None, Retry-After) of one request."""
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request(path))
        head = client.read_head()
        error = None
        if head.get("Content-Type") == "application/json":
            error = json.loads(client.read_body(head))["error"]
        return head.status, error, head.get("Retry-After")


def is_readable(stream):
    return bool(select.select([stream.sock], [], [], 0)[0])


def events_of(daemon, field):
    """What happened to what has this field: the events' types."""
    return [e["type"] for e in daemon.ctl("show.events") if field in e["fields"]]


# ---- retries ---------------------------------------------------------------------------------

BAD_ANSWERS = {
    "502": status("502 Bad Gateway"),
    "503": status("503 Service Unavailable"),
    "504": status("504 Gateway Timeout"),
    "closes": lambda key: None,
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_another_endpoint_is_tried(sluiced, name):
    with Backend(BAD_ANSWERS[name]) as bad, Backend() as good:
        daemon = sluiced(
            proxy_config(bad.address, good.address, cluster="ejection { failures = off }")
        )
        assert [ask(daemon)[0] for _ in range(6)] == [101] * 6
        assert bad.n_called == 3
        assert good.n_called == 6


def test_another_endpoint_is_tried_after_upgrade_timeout(sluiced, endpoint):
    with Backend() as good:
        daemon = sluiced(
            proxy_config(endpoint.address, good.address, cluster="upgrade_timeout = 2s")
        )
        assert [ask(daemon)[0] for _ in range(2)] == [101] * 2
        assert endpoint.has_caller()


def test_early_frames_survive_a_retry(sluiced, endpoint):
    with Backend(status("503 Busy")) as bad:
        daemon = sluiced(proxy_config(bad.address, endpoint.address))
        for _ in range(2):
            with ws_raw.dial(daemon.address()) as client:
                client.send(ws_raw.request("/x") + ws_raw.frame(ws_raw.TEXT, "early"))
                server = endpoint.accept_upgrade()
                ws_raw.check_101(client)
                server.expect_frame(ws_raw.TEXT, "early")
        assert bad.n_called == 1


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_retries_are_counted(sluiced, retries):
    with contextlib.ExitStack() as stack:
        bad = [stack.enter_context(Backend(status("503 Busy"))) for _ in range(4)]
        daemon = sluiced(
            proxy_config(
                *[b.address for b in bad],
                cluster=f"retries = {retries}  ejection {{ failures = off }}",
            )
        )
        assert ask(daemon)[0] == 503
        assert sorted(b.n_called for b in bad)[-retries - 1 :] == [1] * (retries + 1)
        assert sum(b.n_called for b in bad) == retries + 1


@pytest.mark.parametrize("line", ["401 Unauthorized", "404 Not Found", "302 Found", "500 Oops"])
def test_a_refusal_of_the_client_is_not_retried(sluiced, line):
    with Backend(status(line)) as first, Backend(status(line)) as second:
        daemon = sluiced(proxy_config(first.address, second.address))
        assert ask(daemon)[0] == int(line[:3])
        assert first.n_called + second.n_called == 1


# ---- ejection --------------------------------------------------------------------------------


def test_failing_endpoint_is_ejected_and_comes_back(sluiced):
    with Backend(status("500 Oops")) as bad, Backend() as good:
        daemon = sluiced(
            proxy_config(
                bad.address, good.address, cluster="ejection { failures = 3  time = 300ms }"
            )
        )
        answers = collections.Counter(ask(daemon)[0] for _ in range(6))
        assert answers == {500: 3, 101: 3}
        bad.answer = ws_raw.response_101
        called = bad.n_called

        def is_back():
            assert ask(daemon)[0] == 101
            return bad.n_called > called

        env.until(is_back, "the ejected endpoint to be tried again")
        assert events_of(daemon, "endpoint") == ["endpoint_ejected", "endpoint_readmitted"]


def test_refusals_of_clients_do_not_eject(sluiced):
    with Backend(status("403 Forbidden")) as strict, Backend() as good:
        daemon = sluiced(
            proxy_config(
                strict.address, good.address, cluster="ejection { failures = 1  time = 1h }"
            )
        )
        answers = collections.Counter(ask(daemon)[0] for _ in range(8))
        assert answers == {403: 4, 101: 4}


# ---- the breaker -----------------------------------------------------------------------------

BREAKER = "breaker { failure_ratio = 50%  min_requests = 5  open_time = 300ms  probes = 2 }"


def test_breaker_opens_and_closes(sluiced):
    with Backend() as backend:
        daemon = sluiced(proxy_config(backend.address, cluster=BREAKER))
        backend.down()
        for _ in range(5):
            assert ask(daemon)[:2] == (502, "endpoint_connect_failed")
        code, error, retry_after = ask(daemon)
        assert (code, error) == (503, "breaker_open")
        assert int(retry_after) >= 1

        # Half open: each trial fails and opens it again.
        env.until(
            lambda: ask(daemon)[1] == "endpoint_connect_failed", "a trial of the half open breaker"
        )
        env.until(lambda: ask(daemon)[1] == "breaker_open", "the breaker to be open again")
        backend.up()
        env.until(lambda: ask(daemon)[0] == 101, "the breaker to let a request through")
        env.until(
            lambda: [ask(daemon)[0] for _ in range(5)] == [101] * 5, "the breaker to be closed"
        )
        events = events_of(daemon, "cluster")
        # open, then half open and open as often as a trial failed, at last half open and closed
        n_failed = (len(events) - 3) // 2
        assert n_failed >= 1
        assert events == (
            ["breaker_open"]
            + ["breaker_half_open", "breaker_open"] * n_failed
            + ["breaker_half_open", "breaker_closed"]
        )


def test_breaker_bounds_trials_at_a_time(sluiced, endpoint):
    """Half open, only `probes` requests are on their way; the others are refused at once."""
    daemon = sluiced(proxy_config(endpoint.address, cluster=BREAKER))
    for _ in range(5):
        with ws_raw.dial(daemon.address()) as client:
            client.send(ws_raw.request("/x"))
            server = endpoint.accept()
            server.read_head()
            server.close()
            assert client.read_head().status == 502
    with contextlib.ExitStack() as stack:

        def is_let_through():
            client = stack.enter_context(ws_raw.dial(daemon.address()))
            client.send(ws_raw.request("/x"))
            return env.until(
                lambda: (endpoint.has_caller() and "through")
                or (is_readable(client) and "refused"),
                "an answer or a call",
            )

        env.until(lambda: is_let_through() == "through", "the first trial")
        assert is_let_through() == "through"
        for _ in range(5):
            assert is_let_through() == "refused"


def test_live_connections_survive_an_open_breaker(sluiced):
    with RawEndpoint() as steady:
        daemon = sluiced(proxy_config(steady.address, cluster=BREAKER))
        client, server = tunnel(daemon, steady)
        with client:
            steady.sock.close()
            env.until(lambda: ask(daemon)[1] == "breaker_open", "the breaker to open")
            server.send(ws_raw.server_frame(ws_raw.TEXT, "still here"))
            client.expect_frame(ws_raw.TEXT, "still here")


# ---- endpoints that come and go --------------------------------------------------------------


def test_flapping_endpoint(sluiced):
    """Up and down every 100 ms, beside a good one: nobody is refused."""
    with Backend() as flapping, Backend() as good:
        daemon = sluiced(
            proxy_config(
                flapping.address, good.address, cluster="ejection { failures = 3  time = 100ms }"
            )
        )
        is_done = threading.Event()

        def flap():
            while not is_done.wait(0.1):
                flapping.down() if flapping._listener else flapping.up()

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            answers = collections.Counter(ask(daemon)[0] for _ in range(env.scale(1000, 4)))
        finally:
            is_done.set()
            thread.join()
        assert set(answers) == {101}
    daemon.wait_live(0)


def test_endpoint_restarts_under_live_connections(sluiced):
    with Backend() as first, Backend() as second:
        daemon = sluiced(proxy_config(first.address, second.address))
        clients = []
        for _ in range(20):
            client = ws_raw.dial(daemon.address())
            client.send(ws_raw.request("/x"))
            ws_raw.check_101(client)
            clients.append(client)
        assert len(daemon.connections(endpoint="e0")) == 10
        first.down()
        env.until(lambda: sum(map(is_readable, clients)) == 10, "the clients of e0 to hear of it")
        for client in filter(is_readable, clients):
            client.expect_end()
            client.close()
        clients = [client for client in clients if client.sock.fileno() >= 0]
        daemon.wait_live(10)
        assert {row["endpoint"] for row in daemon.connections()} == {"e1"}
        first.up()
        assert [ask(daemon)[0] for _ in range(4)] == [101] * 4
        for client in clients:
            client.close()
    daemon.wait_live(0)
