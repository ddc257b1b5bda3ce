# SPDX-License-Identifier: Apache-2.0
"""Drains: at their pace, between two frames, only what is meant, and for good only if told so."""

import json
import selectors
import signal
import threading
import time

import pytest

from lib import env, ws_raw
from lib.control import ControlError
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import tunnel

SECOND = 'route second { match { path = "/second" } echo = true }\n'


def answer_close(stream, reason):
    frame = stream.read_frame()
    assert (frame.opcode, frame.close_code, frame.payload[2:]) == (ws_raw.CLOSE, 1001, reason)
    stream.send(ws_raw.close_frame(1001))
    stream.expect_end()
    stream.close()


def answer_closes(streams, reason, instants=None):
    """In whatever order they come."""
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.sock, selectors.EVENT_READ, stream)
        while selector.get_map():
            ready = selector.select(env.PATIENCE_S)
            assert ready, "no Close for too long"
            for key, _ in ready:
                selector.unregister(key.fileobj)
                answer_close(key.data, reason)
                if instants is not None:
                    instants.append(time.monotonic())


def is_answered(stream, payload=b"still here"):
    stream.send(ws_raw.frame(ws_raw.TEXT, payload, mask=b"abcd"))
    stream.expect_frame(ws_raw.TEXT, payload)
    return True


def refusal(daemon, path="/echo"):
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(ws_raw.request(path))
        head = stream.read_head()
        return head.status, head.get("Retry-After"), stream.read_body(head)


@pytest.mark.parametrize("workers", [1, 2])
def test_route_is_drained_over_its_time_and_others_are_not(sluiced, workers):
    daemon = sluiced(f"worker {{ count = {workers} }}\n" + ECHO_CONFIG + SECOND)
    count, span_s = env.scale(500), 2
    others = [ws_raw.connect(daemon.address(), "/second") for _ in range(5)]
    streams = [ws_raw.connect(daemon.address()) for _ in range(count)]
    instants = []
    began = time.monotonic()
    result = []
    waiting = threading.Thread(
        target=lambda: result.extend(daemon.ctl("drain", route="echo", time=f"{span_s}s", rate=0))
    )
    waiting.start()
    answer_closes(streams, b"draining", instants)
    waiting.join()
    assert {k: result[-1][k] for k in ("scope", "name", "state", "total", "left")} == {
        "scope": "route",
        "name": "echo",
        "state": "drained",
        "total": count,
        "left": 0,
    }
    # Each slot has its one: not all in the first half, and nothing far behind the end.
    assert instants[-1] - began >= span_s * 0.7
    assert sum(t - began < span_s / 2 for t in instants) <= count * 0.7
    assert all(is_answered(stream) for stream in others)
    assert daemon.closed("draining") == count
    rows = daemon.access_log(count)
    assert {(row["reason"], row["close_code"]) for row in rows} == {("draining", 1001)}
    for stream in others:
        stream.close()


def test_rate_is_never_exceeded(sluiced):
    daemon = sluiced("worker { count = 2 }\n" + ECHO_CONFIG)
    count, rate = 100, 50
    streams = [ws_raw.connect(daemon.address()) for _ in range(count)]
    instants = []
    began = time.monotonic()
    daemon.ctl("drain", all=True, rate=rate, wait=False)
    answer_closes(streams, b"draining", instants)
    for n, instant in enumerate(instants, 1):
        # Each of two workers has slots of 40 ms; the first one's instant may be its begin. A
        # reader that was late sees them late, never early.
        assert n <= (instant - began) * rate + 2 * 2


def test_drained_route_refuses_until_undrained(sluiced):
    daemon = sluiced(ECHO_CONFIG + SECOND)
    (row,) = daemon.ctl("drain", route="echo")
    assert (row["total"], row["left"], row["state"]) == (0, 0, "drained")
    status, retry_after, body = refusal(daemon)
    assert status == 503 and int(retry_after) > 0 and b'"draining"' in body
    states = {route["name"]: route["state"] for route in daemon.ctl("show.routes")}
    assert states == {"echo": "draining", "second": "ready"}
    assert [d["name"] for d in daemon.status()["drains"]] == ["echo"]
    with ws_raw.connect(daemon.address(), "/second") as other:
        assert is_answered(other)
    assert daemon.ctl("undrain", route="echo")["was_draining"] is True
    assert daemon.ctl("undrain", route="echo")["was_draining"] is False
    assert daemon.status()["drains"] == []
    with ws_raw.connect(daemon.address()) as back:
        assert is_answered(back)


def test_node_refuses_all_until_undrained(sluiced):
    daemon = sluiced(ECHO_CONFIG + SECOND)
    with ws_raw.connect(daemon.address(), "/second") as stream:
        daemon.ctl("drain", all=True, wait=False)
        answer_close(stream, b"draining")
    for path in ("/echo", "/second", "/nowhere"):
        status, _, body = refusal(daemon, path)
        assert status == 503 and b'"draining"' in body
    assert daemon.status()["state"] == "draining"
    daemon.ctl("undrain", all=True)
    assert daemon.status()["state"] == "running"
    with ws_raw.connect(daemon.address()) as back:
        assert is_answered(back)


def test_undrain_spares_those_whose_turn_has_not_come(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    streams = [ws_raw.connect(daemon.address()) for _ in range(10)]
    with daemon.control() as waiting:
        waiting.send(
            json.dumps(
                {"v": 1, "id": 9, "cmd": "drain", "args": {"route": "echo", "time": "1h"}}
            ).encode()
            + b"\n"
        )
        env.until(lambda: daemon.status()["drains"], "the drain to begin")
        daemon.ctl("undrain", route="echo")
        reply = waiting.read_line()
        while reply["ok"]:  # progress
            reply = waiting.read_line()
        assert reply["error"]["code"] == "cancelled"
    # At most the one of the first six minutes.
    assert daemon.closed("draining") <= 1
    spared = [s for s in streams if not _has_close(s)]
    assert len(spared) >= 9 and all(is_answered(stream) for stream in spared)
    for stream in streams:
        stream.close()


def _has_close(stream):
    return not stream.is_silent(0.01)


def test_endpoint_is_drained_and_the_other_one_not(sluiced, peers):
    addresses = [peers.server("python"), peers.server("python")]
    daemon = sluiced(proxy_config(*addresses))
    streams = [ws_raw.connect(daemon.address(), "/x") for _ in range(8)]
    env.until(lambda: len(daemon.connections(endpoint="e0")) == 4, "both endpoints to be in use")
    moving = {row["source"] for row in daemon.connections(endpoint="e0")}
    ours = [s for s in streams if "%s:%d" % s.sock.getsockname() in moving]
    result = []
    waiting = threading.Thread(
        target=lambda: result.extend(daemon.ctl("drain", cluster="back-all", endpoint="e0"))
    )
    waiting.start()
    answer_closes(ours, b"draining")
    waiting.join()
    assert (result[-1]["name"], result[-1]["total"], result[-1]["left"]) == ("back-all/e0", 4, 0)
    assert len(daemon.connections(endpoint="e1")) == 4
    states = {row["endpoint"]: row["state"] for row in daemon.ctl("show.clusters")}
    assert states == {"e0": "drain", "e1": "ready"}
    daemon.ctl("undrain", cluster="back-all", endpoint="e0")
    states = {row["endpoint"]: row["state"] for row in daemon.ctl("show.clusters")}
    assert states == {"e0": "ready", "e1": "ready"}
    for stream in streams:
        stream.close()


def test_busy_stream_is_closed_between_two_frames(sluiced, endpoint):
    """The peer reads every frame whole up to the Close, whatever the sender was in the middle of."""
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    data = ws_raw.server_frame(ws_raw.BINARY, bytes(range(256)) * 400)
    stopped = threading.Event()

    def send():
        try:
            while not stopped.is_set():
                for at in range(0, len(data), 30_000):
                    server.send(data[at : at + 30_000])
        except OSError:
            pass

    sender = threading.Thread(target=send)
    sender.start()
    with client:
        for _ in range(20):
            assert client.read_frame().payload == bytes(range(256)) * 400
        daemon.ctl("drain", route="all", wait=False)
        while (frame := client.read_frame()).opcode != ws_raw.CLOSE:
            assert frame.payload == bytes(range(256)) * 400
        assert (frame.close_code, frame.payload[2:]) == (1001, b"draining")
        stopped.set()
    sender.join()
    server.close()
    daemon.wait_live(0)


def test_deaf_peer_is_gone_at_the_hard_stop(sluiced, endpoint):
    daemon = sluiced(
        "limits { close_timeout = 10m }\ndrain { hard_stop_after = 600ms }\n"
        + proxy_config(endpoint.address)
    )
    client, server = tunnel(daemon, endpoint)
    with client, server:
        began = time.monotonic()
        rows = daemon.ctl("drain", route="all")
        assert time.monotonic() - began >= 0.6
        assert (rows[-1]["total"], rows[-1]["left"]) == (1, 0)
        client.expect_close(1001)
        client.expect_end()
    (row,) = daemon.access_log(1)
    assert row["reason"] == "draining"


@pytest.mark.parametrize(
    "args, expected",
    [
        ({"route": "nowhere"}, '"nowhere"'),
        ({"cluster": "nowhere"}, '"nowhere"'),
        ({"cluster": "back-all", "endpoint": "nowhere"}, '"nowhere"'),
        ({"endpoint": "e0"}, "in which cluster"),
        ({}, "expected one of"),
        ({"all": True, "route": "all"}, "expected one of"),
        ({"route": "all", "rate": -1}, "rate"),
        ({"route": "all", "rate": "fast"}, "rate"),
        ({"route": "all", "time": "soon"}, "time"),
        ({"route": "all", "time": "8d"}, "time"),
        ({"listener": "public"}, "listener"),
    ],
    ids=str,
)
def test_wrong_target_is_one_clear_error(sluiced, endpoint, args, expected):
    daemon = sluiced(proxy_config(endpoint.address))
    with pytest.raises(ControlError, match=expected):
        daemon.ctl("drain", **args)
    assert daemon.status()["drains"] == []


def test_drain_anew_replaces_the_first(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    streams = [ws_raw.connect(daemon.address()) for _ in range(10)]
    daemon.ctl("drain", route="echo", time="1h", wait=False)
    daemon.ctl("drain", route="echo", wait=False)
    answer_closes(streams, b"draining")
    assert len(daemon.status()["drains"]) == 1


def test_sigterm_during_a_drain(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    streams = [ws_raw.connect(daemon.address()) for _ in range(20)]
    with daemon.control() as waiting:
        waiting.send(b'{"v":1,"id":9,"cmd":"drain","args":{"route":"echo","time":"1h"}}\n')
        env.until(lambda: daemon.status()["drains"], "the drain to begin")
        daemon.process.send_signal(signal.SIGTERM)
        for stream in streams:
            stream.expect_close(1001)
            stream.send(ws_raw.close_frame(1001))
            stream.expect_end()
            stream.close()
    assert daemon.process.wait() == 0, daemon.log()


def test_sigterm_with_many_connections_is_paced(sluiced):
    count = env.scale(2000)
    daemon = sluiced(
        "worker { count = 2 }\ndrain { conn_evict_rate = 1000  hard_stop_after = 1m }\n"
        + ECHO_CONFIG
    )
    streams = [ws_raw.connect(daemon.address()) for _ in range(count)]
    daemon.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    instants = []
    answer_closes(streams, b"shutdown", instants)
    assert daemon.process.wait() == 0, daemon.log()
    # Two workers with half of the rate each: not before the fuller one's half has had its slots.
    assert instants[-1] - began >= count / 1000 * 0.8
    assert len(daemon.access_log()) == count


def test_second_sigterm_is_at_once(sluiced):
    daemon = sluiced("drain { drain_time = 1h }\n" + ECHO_CONFIG)
    streams = [ws_raw.connect(daemon.address()) for _ in range(5)]
    daemon.process.send_signal(signal.SIGTERM)
    env.until(lambda: "stopping" in daemon.log(), "it to be draining")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait() == 0, daemon.log()
    for stream in streams:
        stream.close()


def test_sluicectl(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as stream:
        code, out, err = daemon.sluicectl("drain", "--route", "echo", "--rate", "0", "--no-wait")
        assert (code, err) == (0, "") and out == "route echo: 1 of 1 connections left\n"
        answer_close(stream, b"draining")
    code, out, err = daemon.sluicectl("undrain", "--route", "echo")
    assert (code, out, err) == (0, "route echo: takes connections again\n", "")
    code, out, err = daemon.sluicectl("drain", "--all", "--time", "100ms")
    assert (code, err) == (0, "") and out.endswith("node: 0 of 0 connections left\n")
    code, out, err = daemon.sluicectl("drain", "--route", "nowhere")
    assert (code, out) == (1, "") and err.count("\n") == 1 and '"nowhere"' in err
    for argv in (("status", "--time", "1s"), ("drain", "--code", "1001"), ("status", "--all")):
        assert daemon.sluicectl(*argv)[0] == 2
