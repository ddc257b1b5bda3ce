# SPDX-License-Identifier: Apache-2.0
"""The control socket: its protocol, abuse of it, its commands' filters, and sluicectl."""

import json
import signal
import socket
import stat
import subprocess

import pytest

from lib import env, ws_raw
from lib.control import ControlError
from lib.daemon import ECHO_CONFIG, SANITIZER_ENV, proxy_config
from lib.endpoint import tunnel
from lib.process import run

CONFIG = ECHO_CONFIG + 'route second { match { path = "/second" } echo = true }\n'


@pytest.fixture
def daemon(sluiced):
    return sluiced(CONFIG)


def ask(control, line):
    control.send(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
    return control.read_line()


# ---- the protocol ------------------------------------------------------------------------------

# name: (line, error code, id in the answer)
BAD_LINES = {
    "garbage": (b"hello\n", "bad_json", 0),
    "binary": (b"\x00\xff\xfe\n", "bad_json", 0),
    "blank": (b" \n", "bad_json", 0),
    "half-an-object": (b'{"v":1,\n', "bad_json", 0),
    "array": (b"[]\n", "bad_json", 0),
    "two-objects": (b'{"v":1,"id":1,"cmd":"status","args":{}}{}\n', "bad_json", 0),
    "duplicate-key": (b'{"v":1,"v":1,"id":1,"cmd":"status","args":{}}\n', "bad_json", 0),
    "deep": (b'{"v":1,"id":1,"cmd":"status","args":' + b'{"a":' * 3000 + b"\n", "bad_json", 0),
    "no-version": ({"id": 3, "cmd": "status", "args": {}}, "bad_request", 3),
    "no-command": ({"v": 1, "id": 3, "args": {}}, "bad_request", 3),
    "command-a-number": ({"v": 1, "id": 3, "cmd": 5, "args": {}}, "bad_request", 3),
    "args-an-array": ({"v": 1, "id": 3, "cmd": "status", "args": []}, "bad_request", 3),
    "unknown-member": ({"v": 1, "id": 3, "cmd": "status", "args": {}, "x": 1}, "bad_request", 3),
    "long-command": ({"v": 1, "id": 3, "cmd": "x" * 1000, "args": {}}, "bad_request", 3),
    "version-2": ({"v": 2, "id": 3, "cmd": "status", "args": {}}, "bad_version", 3),
    "unknown-command": ({"v": 1, "id": 3, "cmd": "dance", "args": {}}, "unknown_command", 3),
    "unknown-argument": ({"v": 1, "id": 3, "cmd": "status", "args": {"x": 1}}, "bad_argument", 3),
    "mistyped-filter": (
        {"v": 1, "id": 3, "cmd": "show.connections", "args": {"route": 5}},
        "bad_argument",
        3,
    ),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_bad_line_is_answered_and_the_next_one_served(daemon, name):
    line, code, number = BAD_LINES[name]
    with daemon.control() as control:
        reply = ask(control, line)
        assert (reply["ok"], reply["error"]["code"], reply["id"]) == (False, code, number)
        assert reply["error"]["detail"]
        assert control.call("status")["state"]


def test_line_over_the_limit(daemon):
    """It is told so; what follows need not be served on this connection, but is on others."""
    with daemon.control() as control:
        try:
            control.send(b'{"v":1,"id":1,"cmd":"' + b"x" * (2 << 20))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert control.read_line()["error"]["code"] == "line_too_long"
    assert daemon.status()["state"]


@pytest.mark.skipif(env.SANITIZED, reason="a quarantine keeps what was freed")
def test_memory_does_not_follow_endless_lines(daemon):
    daemon.status()
    before = daemon.rss_kb()
    for _ in range(20):
        with daemon.control() as control:
            try:
                control.send(b"x" * (4 << 20))
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert daemon.rss_kb() - before < (8 << 10) * (4 if env.SANITIZED else 1)


def test_requests_in_pieces_and_in_one_segment(daemon):
    line = json.dumps({"v": 1, "id": 7, "cmd": "status", "args": {}}).encode() + b"\n"
    with daemon.control() as control:
        for i in range(len(line)):
            control.send(line[i : i + 1])
        assert control.read_line()["id"] == 7
        control.send(line * 50)
        assert [control.read_line()["ok"] for _ in range(50)] == [True] * 50


def test_empty_lines_are_skipped(daemon):
    with daemon.control() as control:
        control.send(b"\n\n\n")
        assert control.call("status")["state"]


def test_half_a_line_and_gone(daemon):
    for _ in range(20):
        with daemon.control() as control:
            control.send(b'{"v":1,"id"')
    assert daemon.status()["state"]


def test_last_line_without_newline_is_no_request(daemon):
    with daemon.control() as control:
        control.send(b'{"v":1,"id":1,"cmd":"status","args":{}}')
        control.sock.shutdown(socket.SHUT_WR)
        assert control.read_line() is None


def test_many_clients_at_once(daemon):
    """A bounded number is served at a time; the others are told that it is busy."""
    controls = [daemon.control() for _ in range(100)]
    answered = busy = 0
    try:
        for control in controls:
            try:
                answered += bool(control.call("status")["state"])
            except (ControlError, BrokenPipeError):
                busy += 1
    finally:
        for control in controls:
            control.sock.close()
    assert answered >= 16 and busy >= 1 and answered + busy == 100
    env.until(lambda: can_ask(daemon), "the socket to serve again")


def can_ask(daemon):
    try:
        return daemon.status()["state"]
    except (ControlError, AssertionError, OSError):
        return False


def test_client_that_never_reads(daemon):
    """Replies pile up in a bounded queue; others are served, and the daemon does not block."""
    line = json.dumps({"v": 1, "id": 1, "cmd": "status", "args": {}}).encode() + b"\n"
    before = daemon.rss_kb()
    with daemon.control() as deaf:
        deaf.sock.settimeout(1)
        try:
            for _ in range(2000):
                deaf.send(line * 50)
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
        assert daemon.status()["state"]
        assert daemon.rss_kb() - before < (16 << 10) * (4 if env.SANITIZED else 1)
    assert daemon.status()["state"]


def test_socket_is_for_its_owner_and_group(daemon):
    mode = daemon.control_path.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) & 0o007 == 0


def test_second_daemon_does_not_take_the_socket(daemon, directory):
    code, _, err = run([env.BUILD / "sluiced", "-c", daemon.config_path], directory, "second")
    assert code == 1 and str(daemon.control_path) in err
    assert daemon.status()["state"]


# ---- what the commands say and do ----------------------------------------------------------------


def test_status(daemon):
    with ws_raw.connect(daemon.address()):
        # The client may see its 101 a little before it is counted as open.
        env.until(lambda: daemon.status()["connections"]["local"] == 1, "it to be open")
        status = daemon.status()
        assert status["pid"] == daemon.pid
        assert status["workers"] == 1
        assert status["accepted"] == 1
        assert daemon.live() == 1
        version = run([env.BUILD / "sluiced", "--version"], daemon.dir, "version")[1]
        assert status["version"] in version and status["commit"] in version


def test_show_connections_has_what_ss_would(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client:
        sent = ws_raw.frame(ws_raw.TEXT, "hello")
        client.send(sent)
        server.expect_frame(ws_raw.TEXT, "hello")
        (row,) = daemon.connections()
        assert row["source"] == "127.0.0.1:%d" % client.sock.getsockname()[1]
        assert (row["listener"], row["route"]) == ("public", "all")
        assert (row["cluster"], row["endpoint"]) == ("back-all", "e0")
        assert (row["path"], row["state"], row["worker"]) == ("relay", "open", 0)
        assert (row["bytes_in"], row["frames_in"]) == (len(sent), 1)
        assert (row["bytes_out"], row["frames_out"]) == (0, 0)
        assert len(row["conn"]) == 13
    server.close()
    assert daemon.access_log(1)[0]["conn"] == row["conn"]


def test_show_connections_in_pages(daemon):
    """Far more rows than one reply line should carry, while connections come and go."""
    count = env.scale(1500)
    held = [ws_raw.connect(daemon.address()) for _ in range(count)]
    try:
        rows = daemon.connections()
        assert len(rows) == count == len({row["conn"] for row in rows})
    finally:
        for stream in held:
            stream.close()
    daemon.wait_live(0)
    assert daemon.connections() == []


def test_show_routes(daemon):
    with ws_raw.connect(daemon.address(), "/second"):
        rows = {row["name"]: row for row in daemon.ctl("show.routes")}
        assert list(rows) == ["echo", "second"]  # the order in which they are tried
        assert rows["second"]["path"] == "/second" and rows["second"]["action"] == "echo"
        assert (rows["second"]["connections"], rows["second"]["accepted"]) == (1, 1)
        assert (rows["echo"]["connections"], rows["echo"]["accepted"]) == (0, 0)


class Group:
    """Two connections on each of two routes, from two sources."""

    def __init__(self, daemon):
        self.streams = {
            (route, source): ws_raw.connect(daemon.address(), f"/{route}", source=source)
            for route in ("echo", "second")
            for source in ("127.0.0.1", "127.0.0.2")
        }

    def closed(self):
        """Keys of those that were told to go."""
        return {key for key, stream in self.streams.items() if not stream.is_silent(0.1)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in self.streams.values():
            stream.close()


FILTERS = {
    "route": ({"route": "second"}, {("second", "127.0.0.1"), ("second", "127.0.0.2")}),
    "source": ({"source": "127.0.0.2"}, {("echo", "127.0.0.2"), ("second", "127.0.0.2")}),
    "both": ({"route": "echo", "source": "127.0.0.1"}, {("echo", "127.0.0.1")}),
    "path": ({"path": "relay"}, set()),
    "nobody": ({"route": "second", "source": "127.0.0.9"}, set()),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(daemon, name):
    filters, chosen = FILTERS[name]
    with Group(daemon) as group:
        shown = {
            (row["route"], row["source"].rsplit(":", 1)[0]) for row in daemon.connections(**filters)
        }
        assert shown == chosen
        assert daemon.ctl("close", **filters)["closed"] == len(chosen)
        assert group.closed() == chosen


def test_close_says_why(daemon):
    with ws_raw.connect(daemon.address()) as one, ws_raw.connect(daemon.address()) as other:
        rows = daemon.connections()
        own = "%s:%d" % one.sock.getsockname()
        (conn,) = [row["conn"] for row in rows if row["source"] == own]
        assert daemon.ctl("close", conn=conn, code=4007, reason="out of paper")["closed"] == 1
        got = one.expect_close(4007)
        assert got.payload[2:] == b"out of paper"
        one.send(ws_raw.close_frame(4007))
        one.expect_end()
        assert other.is_silent(0.1)
        one.close()
        row = daemon.access_log(1)[0]
        assert (row["conn"], row["close_code"], row["reason"]) == (conn, 4007, "closed_by_operator")


def test_close_reaches_both_sides_of_a_tunnel(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client:
        assert daemon.ctl("close", endpoint="e0")["closed"] == 1
        for stream in (client, server):
            stream.expect_close(1001)


def test_close_all(daemon):
    with Group(daemon) as group:
        assert daemon.ctl("close", all=True)["closed"] == 4
        assert len(group.closed()) == 4


def test_close_of_an_unknown_connection(daemon):
    with pytest.raises(ControlError) as error:
        daemon.ctl("close", conn="0000000000001")
    assert error.value.code == "no_such_connection"


def test_of_one_that_is_there_nothing_may_have_to_be_done(daemon):
    with ws_raw.connect(daemon.address()):
        conn = daemon.ctl("show.connections")[0]["conn"]
        assert daemon.ctl("splice.demote", conn=conn) == {"demoted": 0}
        with pytest.raises(ControlError):
            daemon.ctl("splice.demote", conn=conn, route="second")


@pytest.mark.parametrize("command", ["show.connections", "top", "splice.pause"])
def test_stopping_while_answers_are_under_way(daemon, command):
    """Calls that nobody can answer any more leave nothing behind (LeakSanitizer looks)."""
    held = [ws_raw.connect(daemon.address()) for _ in range(env.scale(600))]
    line = json.dumps({"v": 1, "id": 1, "cmd": command, "args": {}}).encode() + b"\n"
    controls = [daemon.control() for _ in range(20)]
    for control in controls:
        control.send(line * 3)
    daemon.process.send_signal(signal.SIGTERM)
    for stream in held:
        stream.close()
    for control in controls:
        control.sock.close()
    daemon.stop()


@pytest.mark.parametrize(
    "args",
    [
        {"all": False},
        {"all": 1},
        {},
        {"conn": "short"},
        {"conn": 5},
        {"route": "echo", "code": 999},
        {"route": "echo", "code": 1006},
        {"route": "echo", "reason": "r" * 200},
        {"rout": "echo"},
    ],
    ids=lambda args: "-".join(map(str, args)) or "without-filter",
)
def test_close_refuses_what_it_does_not_understand(daemon, args):
    with ws_raw.connect(daemon.address()) as stream:
        with pytest.raises(ControlError) as error:
            daemon.ctl("close", **args)
        assert error.value.code == "bad_argument"
        assert stream.is_silent(0.1)


# ---- sluicectl ---------------------------------------------------------------------------------


def test_sluicectl_prints_tables_and_json(daemon):
    with ws_raw.connect(daemon.address()):
        answers = {}
        for verb in ("status", "show connections", "show routes"):
            code, text, err = daemon.sluicectl(*verb.split())
            assert (code, err) == (0, "") and text.strip()
            code, out, err = daemon.sluicectl("-j", *verb.split())
            assert (code, err) == (0, "")
            answers[verb] = json.loads(out)
    assert answers["status"]["pid"] == daemon.pid
    assert [row["route"] for row in answers["show connections"]] == ["echo"]
    assert [row["name"] for row in answers["show routes"]] == ["echo", "second"]


def test_sluicectl_filters_and_closes(daemon):
    with Group(daemon) as group:
        code, out, _ = daemon.sluicectl("-j", "show", "connections", "--route", "second")
        assert code == 0 and len(json.loads(out)) == 2
        code, out, _ = daemon.sluicectl("-j", "close", "--route", "second")
        assert code == 0 and json.loads(out)["closed"] == 2
        assert group.closed() == {("second", "127.0.0.1"), ("second", "127.0.0.2")}


@pytest.mark.parametrize(
    "argv",
    [[], ["dance"], ["show"], ["show", "nothing"], ["--no-such-option", "status"], ["status", "x"]],
    ids=lambda argv: " ".join(argv) or "nothing",
)
def test_sluicectl_usage_is_2(daemon, argv):
    code, out, err = daemon.sluicectl(*argv)
    assert code == 2 and out == "" and err


def test_sluicectl_refusal_is_1(daemon):
    code, out, err = daemon.sluicectl("close", "--route", "echo", "--code", "999")
    assert code == 1 and out == "" and "code" in err


def test_sluicectl_without_daemon_is_3(directory, sluiced):
    nowhere = directory / "nobody.sock"
    argv = [env.BUILD / "sluicectl", "-s", nowhere, "status"]
    code, out, err = run(argv, directory, environment=SANITIZER_ENV)
    assert code == 3 and out == "" and str(nowhere) in err
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(nowhere))
    code, _, err = run(argv, directory, environment=SANITIZER_ENV)
    assert code == 3 and str(nowhere) in err
    daemon = sluiced(CONFIG)
    daemon.stop()
    assert daemon.sluicectl("status")[0] == 3


@pytest.mark.parametrize("json_option", [[], ["-j"]], ids=["table", "json"])
def test_sluicectl_whose_output_goes_nowhere_does_not_say_done(daemon, json_option):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [env.BUILD / "sluicectl", "-s", daemon.control_path, *json_option, "status"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=env.PATIENCE_S,
        )
    assert done.returncode != 0


def test_sluicectl_version(daemon):
    code, out, _ = daemon.sluicectl("--version")
    assert code == 0 and daemon.status()["version"] in out
