# SPDX-License-Identifier: Apache-2.0
"""Every file in examples/ starts and does what it says."""

import contextlib
import re

import pytest

from lib import env, ws_raw
from lib.checked import CheckedEndpoint

PATHS = sorted((env.ROOT / "examples").glob("*.conf"))


def on_free_ports(text, directory):
    """The same, but for where it listens, logs and is reached."""
    text = re.sub(
        r"listen = \{[^}]*\}",
        lambda match: re.sub(r'"[^"]*"', '"127.0.0.1:0"', match[0]),
        text,
    )
    control = f'control = "{directory}/control.sock"'
    if re.search(r"^admin \{", text, re.M):
        return re.sub(r"^admin \{", f"admin {{\n{control}", text, flags=re.M)
    return f"admin {{ {control} }}\n{text}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_starts(sluiced, directory, path):
    daemon = sluiced(on_free_ports(path.read_text(), directory / "d0"))
    status = daemon.status()
    assert status["state"] == "running"
    titles = re.findall(r"^route (\S+)", path.read_text(), re.M)
    assert titles and [route["name"] for route in daemon.ctl("show.routes")] == titles
    if "9810" in path.read_text():
        assert daemon.http("/readyz")[0] == 200


def test_echo_echoes(sluiced, directory):
    text = (env.ROOT / "examples/echo.conf").read_text()
    daemon = sluiced(on_free_ports(text, directory / "d0"))
    with ws_raw.connect(daemon.address(), "/echo") as client:
        client.send(ws_raw.frame(ws_raw.TEXT, "hello"))
        client.expect_frame(ws_raw.TEXT, "hello")
    with ws_raw.dial(daemon.address()) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = client.read_head()
        assert head.status == 200 and b"/echo" in client.read_body(head)


class Served:
    """An example with a server behind each of its addresses."""

    def __init__(self, start, directory, stack, name):
        text = (env.ROOT / f"examples/{name}.conf").read_text()
        for address in sorted(set(re.findall(r'address = "([^"]*)"', text))):
            one = stack.enter_context(CheckedEndpoint())
            text = text.replace(f'"{address}"', f'"{one.address}"')
        self.daemon = start(on_free_ports(text, directory / "d0"))

    def goes_to(self, path, **request):
        """The cluster and endpoint that such a client speaks to."""
        with ws_raw.connect(self.daemon.address(), path, **request) as client:
            client.send(ws_raw.frame(ws_raw.TEXT, "hello"))
            client.expect_frame(ws_raw.TEXT, "hello")
            (row,) = self.daemon.connections()
        # A balance that looks at loads finds none again.
        env.until(self._is_idle, "the connection to be gone")
        return f'{row["cluster"]}/{row["endpoint"]}'

    def _is_idle(self):
        clusters = self.daemon.ctl("show.clusters")
        return not self.daemon.live() and not any(row["connections"] for row in clusters)

    def status_of(self, data):
        with ws_raw.dial(self.daemon.address()) as client:
            client.send(data)
            return client.read_head().status


@pytest.fixture
def serve(sluiced, directory):
    with contextlib.ExitStack() as stack:
        yield lambda name: Served(sluiced, directory, stack, name)


def test_every_example_is_served_here():
    """A new file wants a test of its own."""
    served = {"chat", "classes", "echo", "endpoints", "gray-release", "health-checks", "proxy"}
    assert {path.stem for path in PATHS} == served


def test_classes_go_by_the_path(serve):
    classes = serve("classes")
    for path in "/files/a", "/play", "/files":
        assert classes.goes_to(path) == "game/a"
    accepted = {row["class"]: row["accepted"] for row in classes.daemon.ctl("show.classes")}
    assert accepted == {"default": 0, "bulk": 1, "realtime": 2}


def test_chat_keeps_a_room_together(serve):
    chat = serve("chat")
    own = {"host": "chat.example", "extra": ["Origin: https://www.chat.example"]}
    rooms = [f"/rooms?room={i}" for i in range(100)]
    first = [chat.goes_to(room, **own) for room in rooms]
    assert set(first) == {"rooms/a", "rooms/b", "rooms/c"}
    assert [chat.goes_to(room, **own) for room in rooms] == first
    foreign = {"host": "chat.example", "extra": ["Origin: https://evil.example"]}
    assert chat.status_of(ws_raw.request("/rooms?room=1", **foreign)) == 403


def wait_up(example, *endpoints):
    """Those, and only those, that are checked and take connections."""

    def up():
        rows = example.daemon.ctl("show.clusters")
        return {f'{row["cluster"]}/{row["endpoint"]}' for row in rows if row["health"] == "up"}

    env.until(lambda: up() == set(endpoints), f"{endpoints} to be up")


def test_endpoints_are_checked_and_one_waits(serve):
    example = serve("endpoints")
    wait_up(example, "chat/a", "chat/b", "game/all")
    chat, game = {"host": "chat.example"}, {"host": "game.example"}
    assert {example.goes_to("/chat", **chat) for _ in range(4)} == {"chat/a"}
    assert example.goes_to("/game/1", **game) == "game/all"
    assert example.status_of(ws_raw.request("/elsewhere", **game)) == 404
    example.daemon.sluicectl("set", "endpoint", "chat/b", "state", "ready")
    assert {example.goes_to("/chat", **chat) for _ in range(4)} == {"chat/a", "chat/b"}


def test_gray_release_keeps_users_where_they_are(serve):
    example = serve("gray-release")
    preview = {"extra": ["X-Preview: yes", "X-User: 1"]}
    assert {example.goes_to("/", **preview) for _ in range(3)} == {"canary/a"}

    def cluster_of(user):
        return example.goes_to("/", extra=[f"X-User: {user}"]).partition("/")[0]

    users = range(200)
    first = [cluster_of(user) for user in users]
    # 190 and 10, more or less.
    assert first.count("stable") > 150 and first.count("canary") > 0
    assert [cluster_of(user) for user in users] == first


def test_health_checks_serve_both(serve):
    example = serve("health-checks")
    wait_up(example, "backend/a", "backend/b")
    assert example.goes_to("/anything") in ("backend/a", "backend/b")
    assert example.status_of(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 426


def test_proxy_serves_players_and_their_monitoring(serve):
    example = serve("proxy")
    assert example.goes_to("/game/1", host="play.example") in ("game/a", "game/b")
    assert example.status_of(ws_raw.request("/game/1", host="other.example")) == 404
    assert example.status_of(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == 200
