# SPDX-License-Identifier: Apache-2.0
"""One JSON line for each connection at its end, with exact figures; and the log on stderr."""

import json
import os
import re
import signal

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import tunnel

KEYS = """time conn listener source route rule class cluster endpoint path promotions tls subject
    tenant status close_code reason duration_ms handshake_ms bytes_in bytes_out frames_in
    frames_out frames_exact rtt_us""".split()


def test_proxied_connection(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    sent = [
        ws_raw.frame(ws_raw.TEXT, "one"),
        ws_raw.frame(ws_raw.BINARY, bytes(70_000), fin=False),
        ws_raw.frame(ws_raw.CONTINUATION, b""),
        ws_raw.frame(ws_raw.PING, b"?"),
        ws_raw.close_frame(1000, "bye"),
    ]
    answered = [ws_raw.server_frame(ws_raw.PONG, b"?"), ws_raw.close_frame(1000, mask=None)]
    with client:
        source = "%s:%d" % client.sock.getsockname()
        client.send(b"".join(sent))
        server.send(b"".join(answered))
        server.shutdown_write()
        assert client.read_to_end() == b"".join(answered)
    (row,) = daemon.access_log(1)
    assert list(row) == KEYS
    expected = {
        "listener": "public",
        "source": source,
        "route": "all",
        "rule": None,
        "class": "default",
        "cluster": "back-all",
        "endpoint": "e0",
        "path": "relay",
        "promotions": 0,
        "tls": None,
        "subject": None,
        "tenant": None,
        "status": 101,
        "close_code": 1000,
        "reason": "close_frame",
        "bytes_in": sum(map(len, sent)),
        "bytes_out": sum(map(len, answered)),
        "frames_in": len(sent),
        "frames_out": len(answered),
        "frames_exact": True,
    }
    assert {key: row[key] for key in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", row["time"])
    assert re.fullmatch(r"[0-9a-z]{13}", row["conn"], re.IGNORECASE)
    assert row["duration_ms"] >= row["handshake_ms"] >= 0


def test_echo_connection(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    sent = [ws_raw.frame(ws_raw.TEXT, "x" * 200), ws_raw.close_frame(3000)]
    with ws_raw.connect(daemon.address()) as client:
        client.send(b"".join(sent))
        received = client.read_to_end()
    (row,) = daemon.access_log(1)
    assert list(row) == KEYS
    assert (row["route"], row["path"], row["cluster"], row["endpoint"]) == (
        "echo",
        "local",
        None,
        None,
    )
    assert (row["bytes_in"], row["bytes_out"]) == (sum(map(len, sent)), len(received))
    assert (row["frames_in"], row["frames_out"], row["close_code"]) == (2, 2, 3000)


def test_totals_in_status_are_the_sum_of_the_lines(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address, match='path = "/tunnel"') + ECHO_CONFIG)
    for size in (0, 100, 5000):
        client, server = tunnel(daemon, endpoint)
        with client, server:
            client.send(ws_raw.frame(ws_raw.BINARY, bytes(size)))
            server.expect_frame(ws_raw.BINARY, bytes(size))
        with ws_raw.connect(daemon.address()) as client:
            client.send(ws_raw.frame(ws_raw.BINARY, bytes(size)))
            client.expect_frame(ws_raw.BINARY, bytes(size))
    rows = daemon.access_log(6)
    traffic = daemon.status()["traffic"]
    for path in ("relay", "local"):
        for key in ("bytes_in", "bytes_out"):
            assert traffic[path][key] == sum(row[key] for row in rows if row["path"] == path)
        assert traffic[path]["frames_in"]["binary"] == 3


@pytest.fixture
def fifo(directory):
    """(path, descriptor of its reading end, which nothing empties but the test)."""
    path = directory / "access.fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def end_at_once(daemon, count):
    """Connections that all end in one turn of their workers' loops: nobody answers the Close."""
    held = [ws_raw.connect(daemon.address()) for _ in range(count)]
    daemon.ctl("close", all=True)
    daemon.wait_live(0)
    for stream in held:
        stream.close()


def read_lines(reader, count):
    """That many lines of a pipe, as objects."""
    text = b""

    def are_here():
        nonlocal text
        try:
            text += os.read(reader, 1 << 16)
        except BlockingIOError:
            pass
        return text.count(b"\n") >= count

    env.until(are_here, f"{count} lines of the access log")
    return [json.loads(line) for line in text.splitlines()]


TOGETHER = "limits { close_timeout = 200ms }\n"


def test_lines_of_several_workers_never_mix_in_a_file(sluiced):
    daemon = sluiced("worker { count = 3 }\n" + TOGETHER + ECHO_CONFIG)
    for i in range(3):
        end_at_once(daemon, 200)
    rows = daemon.access_log(600)  # each line is parsed
    assert len({row["conn"] for row in rows}) == len(rows) == 600


def test_lines_of_several_workers_never_mix_in_a_pipe(sluiced, fifo):
    path, reader = fifo
    daemon = sluiced(
        f'log {{ access = "{path}" }}\nworker {{ count = 3 }}\n' + TOGETHER + ECHO_CONFIG
    )
    for i in range(5):
        end_at_once(daemon, 120)
        assert len({row["conn"] for row in read_lines(reader, 120)}) == 120


def test_lines_for_which_a_pipe_has_no_room_follow_later(sluiced, fifo):
    """… also when nothing else happens: the worker sleeps meanwhile."""
    path, reader = fifo
    daemon = sluiced(f'log {{ access = "{path}" }}\n' + TOGETHER + ECHO_CONFIG)
    end_at_once(daemon, 230)  # about 100 kB: more than a pipe, less than pipe and buffer
    assert daemon.status()["access_log_dropped"] == 0
    assert len({row["conn"] for row in read_lines(reader, 230)}) == 230


def test_on_standard_output(sluiced):
    daemon = sluiced('log { access = "-" }\n' + ECHO_CONFIG)
    with ws_raw.connect(daemon.address()):
        pass
    row = json.loads(daemon.process.wait_line())
    assert list(row) == KEYS


def test_reader_that_does_not_keep_up_costs_lines_only(sluiced, fifo):
    """A pipe that nobody empties: lines are lost and counted, connections are served."""
    path, reader = fifo
    daemon = sluiced(f'log {{ access = "{path}" }}\n' + ECHO_CONFIG)
    count = 0
    while daemon.status()["access_log_dropped"] == 0:
        for _ in range(50):
            with ws_raw.connect(daemon.address()) as stream:
                stream.send(ws_raw.frame(ws_raw.TEXT, "served"))
                stream.expect_frame(ws_raw.TEXT, "served")
            count += 1
    assert count < 5000
    daemon.wait_live(0)
    written = count - daemon.status()["access_log_dropped"]
    assert len(read_lines(reader, written)) == written


def test_off_by_default(sluiced):
    daemon = sluiced("log { level = info }\n" + ECHO_CONFIG)
    with ws_raw.connect(daemon.address()):
        pass
    daemon.wait_live(0)
    daemon.stop()
    assert daemon.process.stdout() == ""


def test_log_in_json(sluiced):
    daemon = sluiced("log { format = json }\n" + ECHO_CONFIG)
    daemon.process.send_signal(signal.SIGHUP)
    env.until(lambda: "reloaded" in daemon.log(), "the reload")
    for line in daemon.log().splitlines():
        assert {"time", "level", "conn", "msg"} == set(json.loads(line))


def test_level_holds_back_what_is_below(sluiced):
    daemon = sluiced("log { level = error }\n" + ECHO_CONFIG)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.stop()
    assert daemon.log() == ""
