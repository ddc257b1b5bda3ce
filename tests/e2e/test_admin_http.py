# SPDX-License-Identifier: Apache-2.0
"""The admin listener: health, readiness, the API, and clients that behave badly."""

import json
import signal
import socket

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, SANITIZER_ENV, complete_config, proxy_config
from lib.process import run

RESOURCES = ["status", "connections", "routes", "clusters", "listeners", "offload", "events"]


def dial(daemon):
    sock = socket.create_connection(daemon.admin_address(), env.PATIENCE_S)
    sock.settimeout(env.PATIENCE_S)
    return ws_raw.Stream(sock)


def test_health_and_readiness(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    code, headers, body = daemon.http("/healthz")
    assert code == 200 and headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"status": "ok"}
    code, _, body = daemon.http("/readyz")
    assert code == 200 and json.loads(body) == {"status": "ready"}


def test_not_ready_while_stopping(sluiced):
    """A client that does not answer our Close keeps the daemon from ending at once."""
    daemon = sluiced("limits { close_timeout = 20s }\ndrain { hard_stop_after = 20s }\n" + ECHO_CONFIG)
    address = daemon.admin_address()
    daemon.admin_address = lambda: address  # the control socket goes with the signal
    with ws_raw.connect(daemon.address()) as client:
        daemon.process.send_signal(signal.SIGTERM)
        client.expect_close(1001)
        code, _, body = daemon.http("/readyz")
        assert code == 503
        assert json.loads(body) == {"status": "not_ready", "reason": "stopping"}
        assert daemon.http("/healthz")[0] == 200
        assert daemon.http("/metrics")[0] == 200
        code, _, body = daemon.http("/api/v1/connections")
        assert code == 503 and json.loads(body)["error"]["code"] == "stopping"
        client.send(ws_raw.close_frame(1001))
    daemon.stop()


def test_not_ready_while_drained(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    daemon.ctl("drain", all=True)
    code, _, body = daemon.http("/readyz")
    assert code == 503
    assert json.loads(body) == {"status": "not_ready", "reason": "draining"}
    assert daemon.http("/healthz")[0] == 200
    daemon.ctl("undrain", all=True)
    assert daemon.http("/readyz")[0] == 200


# ---- /api/v1 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", RESOURCES)
def test_same_as_the_control_socket(sluiced, resource):
    daemon = sluiced(ECHO_CONFIG + proxy_config("127.0.0.1:9"))
    with ws_raw.connect(daemon.address()):
        # The client may have its 101 before that is counted.
        env.until(lambda: daemon.status()["connections"]["local"] == 1, "the connection to open")
        cmd = resource if resource == "status" else f"show.{resource}"
        by_socket, by_http = daemon.ctl(cmd), daemon.api(resource)
    assert type(by_socket) is type(by_http)
    if resource == "connections":
        assert len(by_http) == 1
        for row in by_socket[0], by_http[0]:
            del row["age_ms"], row["idle_ms"]
    if resource == "status":
        for data in by_socket, by_http:
            del data["loops"], data["uptime_s"]
    assert by_socket == by_http


@pytest.mark.parametrize("count", [256, 600])
def test_long_list_is_whole(sluiced, count):
    """Pages of 256 make one array."""
    daemon = sluiced("worker { count = 2 }\n" + ECHO_CONFIG)
    clients = [ws_raw.connect(daemon.address()) for _ in range(count)]
    try:
        rows = daemon.api("connections")
        assert len({row["conn"] for row in rows}) == len(rows) == count
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("count", [255, 256, 257, 1500])
def test_all_routes(sluiced, count):
    """Likewise; over both ways, in the order of the file."""
    routes = "".join(
        f'route r{i} {{ match {{ path = "/{i}" }} echo = true }}\n' for i in range(count)
    )
    daemon = sluiced(routes)
    names = [f"r{i}" for i in range(count)]
    assert [row["name"] for row in daemon.api("routes")] == names
    assert [row["name"] for row in daemon.ctl("show.routes")] == names


def test_query_filters(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()):
        assert len(daemon.api("connections?route=echo&source=127.0.0.0/8")) == 1
        assert daemon.api("connections?route=other") == []
        assert len(daemon.api("events?last=1")) == 1


@pytest.mark.parametrize(
    "query", ["nonsense=1", "source=nowhere", "route=", "route", "route=%ff", "all=true", "code=1000"]
)
def test_bad_query(sluiced, query):
    daemon = sluiced(ECHO_CONFIG)
    code, _, body = daemon.http("/api/v1/connections?" + query)
    assert code == 400 and json.loads(body)["error"]["code"] == "bad_argument"


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics/", "/healthz2", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/close",
     "/api/v1/set.endpoint", "/api/v1/show.routes", "/api/v2/status", "/../metrics"],
)
def test_unknown_paths(sluiced, path):
    daemon = sluiced(ECHO_CONFIG)
    code, headers, body = daemon.http(path)
    assert code == 404 and headers["Content-Type"] == "application/json"
    assert json.loads(body)["error"]["code"] in ("no_such_page", "no_such_resource")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "NONSENSE"])
@pytest.mark.parametrize("path", ["/metrics", "/api/v1/connections", "/nowhere"])
def test_nothing_but_get_and_head(sluiced, method, path):
    daemon = sluiced(ECHO_CONFIG)
    code, headers, body = daemon.http(path, method)
    assert code == 405
    assert headers["Allow"] == "GET, HEAD"  # RFC 9110 s15.5.6
    assert json.loads(body)["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/connections", "/api/v1/nothing"])
def test_head_has_no_body(sluiced, path):
    """RFC 9110 s9.3.2."""
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()):
        wanted, _, _ = daemon.http(path)
        code, headers, body = daemon.http(path, "HEAD")
    assert code == wanted and body == b""
    assert headers["Content-Type"] == "application/json"


# ---- clients -----------------------------------------------------------------------------------


def test_requests_on_one_connection(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with dial(daemon) as client:
        for path in ["/healthz", "/api/v1/status", "/nowhere", "/healthz"]:
            client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = client.read_head()
            assert head.status == (404 if path == "/nowhere" else 200)
            json.loads(client.read_body(head))


def test_too_long_a_head(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with dial(daemon) as client:
        try:
            client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 40000 + b"\r\n\r\n")
            assert client.read_head().status in (413, 414, 431)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it need not read what it will not take
    assert daemon.http("/healthz")[0] == 200


def test_garbage(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with dial(daemon) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 nonsense\r\n\r\n")
        assert b"200 OK" not in client.read_to_end()
    assert daemon.http("/healthz")[0] == 200


def test_too_many_clients_leave_the_rest_alone(sluiced):
    """They wait, or are sent away; WebSocket clients and the control socket notice nothing."""
    daemon = sluiced(ECHO_CONFIG)
    before = daemon.open_fds()
    held = [dial(daemon) for _ in range(60)]
    try:
        with ws_raw.connect(daemon.address()) as client:
            client.send(ws_raw.frame(ws_raw.PING, "alive"))
            client.expect_frame(ws_raw.PONG, "alive")
            assert daemon.status()["state"] == "running"
            assert daemon.open_fds() <= before + 33, "more than the limit was accepted"
    finally:
        for client in held:
            client.close()
    assert daemon.http("/healthz")[0] == 200
    env.until(lambda: daemon.open_fds() <= before + 1, "their descriptors to be closed")


def test_client_that_goes_within_a_long_answer(sluiced):
    daemon = sluiced("worker { count = 2 }\n" + ECHO_CONFIG)
    clients = [ws_raw.connect(daemon.address()) for _ in range(600)]
    try:
        for _ in range(20):
            with dial(daemon) as one:
                one.send(b"GET /api/v1/connections HTTP/1.1\r\nHost: x\r\n\r\n")
                one.read_exactly(1)
                one.reset()
        assert len(daemon.api("connections")) == 600
    finally:
        for client in clients:
            client.close()


def test_stop_with_requests_in_flight(sluiced):
    daemon = sluiced("worker { count = 2 }\n" + ECHO_CONFIG)
    late = [dial(daemon) for _ in range(10)]
    for client in late:
        client.send(b"GET /api/v1/connections HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    daemon.stop()
    for client in late:
        client.close()


# ---- listening ---------------------------------------------------------------------------------


def test_off_unless_asked_for(sluiced, directory):
    control = directory / "d0" / "control.sock"
    daemon = sluiced(f'admin {{ control = "{control}" }}\n' + ECHO_CONFIG)
    assert daemon.status()["admin"] == []


def test_port_in_use(sluiced, directory):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = directory / "taken.conf"
        admin = f'admin {{ control = "{directory}/c.sock"  listen = {{"{address}"}} }}\n'
        config.write_text(complete_config(admin + ECHO_CONFIG, directory))
        code, _, err = run(
            [env.BUILD / "sluiced", "-c", config], directory, environment=SANITIZER_ENV
        )
    assert code == 1
    assert f"admin.listen: cannot listen on {address}: Address already in use" in err


def test_several_addresses(sluiced, directory):
    path = directory / "http.sock"
    control = directory / "d0" / "control.sock"
    daemon = sluiced(
        f'admin {{ control = "{control}"'
        f'  listen = {{"127.0.0.1:0", "[::1]:0", "unix:{path}"}} }}\n' + ECHO_CONFIG
    )
    v4, v6, unix = daemon.status()["admin"]
    assert v4.startswith("127.0.0.1:") and v6.startswith("[::1]:") and unix == f"unix:{path}"
    for family, address in [
        (socket.AF_INET, ("127.0.0.1", int(v4.rsplit(":", 1)[1]))),
        (socket.AF_INET6, ("::1", int(v6.rsplit(":", 1)[1]))),
        (socket.AF_UNIX, str(path)),
    ]:
        sock = socket.socket(family)
        sock.settimeout(env.PATIENCE_S)
        with ws_raw.Stream(sock) as client:
            sock.connect(address)
            client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.read_head().status == 200
    daemon.stop()
    assert not path.exists()
