# SPDX-License-Identifier: Apache-2.0
"""Events: the latest ones, those that come, and readers that are slow or gone."""

import json
import re
import socket

import pytest

from lib import env
from lib.control import ControlError
from lib.daemon import SANITIZER_ENV, proxy_config
from lib.endpoint import RawEndpoint
from lib.process import Process

CONFIG = proxy_config("127.0.0.1:9")
KEPT = 1024


def turn_endpoint(daemon, state):
    daemon.ctl("set.endpoint", cluster="back-all", endpoint="e0", state=state)


def follow(control, **args):
    control.send(json.dumps({"v": 1, "id": 1, "cmd": "events", "args": args}).encode() + b"\n")


def read_events(control, count):
    events = []
    while len(events) < count:
        reply = control.read_line()
        assert reply["ok"] and reply["more"], reply
        events += reply["data"]
    return events


def test_kept_events(sluiced):
    daemon = sluiced(CONFIG)
    turn_endpoint(daemon, "drain")
    started, drained = env_events = daemon.ctl("show.events")
    assert [event["number"] for event in env_events] == [0, 1]
    assert started["type"] == "started" and started["severity"] == "notice"
    assert started["fields"]["workers"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", drained["time"])
    assert drained["type"] == "endpoint_state"
    assert drained["fields"] == {"cluster": "back-all", "endpoint": "e0", "state": "drain"}
    assert daemon.ctl("show.events", last=1) == [drained]
    assert daemon.ctl("show.events", last=0) == []
    assert daemon.status()["events"] == {"count": 2, "lost": 0}


@pytest.mark.parametrize("last", [-1, KEPT + 1, "x", None, 1.5])
def test_bad_number(sluiced, last):
    daemon = sluiced(CONFIG)
    with pytest.raises(ControlError, match="bad_argument"):
        daemon.ctl("show.events", last=last)


def test_only_the_latest_are_kept(sluiced):
    daemon = sluiced(CONFIG)
    with daemon.control() as control:
        for i in range(KEPT + 10):
            state = "drain" if i % 2 else "ready"
            control.call("set.endpoint", cluster="back-all", endpoint="e0", state=state)
    events = daemon.ctl("show.events")
    assert [event["number"] for event in events] == list(range(11, KEPT + 11))


def test_streams_as_they_happen(sluiced):
    daemon = sluiced(CONFIG)
    with daemon.control() as control:
        follow(control, last=1)
        assert read_events(control, 1)[0]["type"] == "started"
        for state in "drain", "maint", "ready":
            turn_endpoint(daemon, state)
            (event,) = read_events(control, 1)
            assert event["fields"]["state"] == state


def test_stream_begins_with_what_comes(sluiced):
    daemon = sluiced(CONFIG)
    with daemon.control() as control:
        follow(control)
        daemon.status()  # behind it, on the same thread
        turn_endpoint(daemon, "drain")
        assert read_events(control, 1)[0]["fields"]["state"] == "drain"


def test_client_that_goes_is_forgotten(sluiced):
    daemon = sluiced(CONFIG)
    before = daemon.open_fds()
    for how in socket.SHUT_WR, socket.SHUT_RDWR, None:
        for _ in range(30):
            with daemon.control() as control:
                follow(control, last=1)
                read_events(control, 1)
                if how is not None:
                    control.sock.shutdown(how)
                    if how == socket.SHUT_WR:
                        assert control.read_line() is None
    env.until(lambda: daemon.open_fds() <= before, "their descriptors to be closed")
    turn_endpoint(daemon, "drain")


def test_reader_that_is_slow_is_told_so_and_dropped(sluiced):
    """It costs what the socket holds and a little more, however much happens."""
    daemon = sluiced(CONFIG)
    with daemon.control() as slow, daemon.control() as other:
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        follow(slow)
        daemon.status()
        # Each is over 100 bytes; socket and output take some hundreds of kB.
        for i in range(8 * KEPT):
            state = "drain" if i % 2 else "ready"
            other.call("set.endpoint", cluster="back-all", endpoint="e0", state=state)
        number = None
        while (reply := slow.read_line())["ok"]:
            for event in reply["data"]:
                assert number is None or event["number"] == number + 1
                number = event["number"]
        assert reply["error"]["code"] == "too_slow"
        assert number < 8 * KEPT
        # The next request on the same connection is answered.
        assert slow.call("status")["state"] == "running"


def test_requests_behind_a_stream_wait(sluiced):
    daemon = sluiced(CONFIG)
    with daemon.control() as control:
        follow(control, last=1)
        control.send(b'{"v":1,"id":2,"cmd":"status"}\n')
        read_events(control, 1)
        turn_endpoint(daemon, "drain")
        assert read_events(control, 1)[0]["type"] == "endpoint_state"


def test_client_that_sends_and_sends_during_a_stream_is_dropped(sluiced):
    daemon = sluiced(CONFIG)
    with daemon.control() as control:
        follow(control)
        with pytest.raises(OSError):
            for _ in range(100):
                control.send(b"x" * (1 << 18))
    assert daemon.status()["state"] == "running"


def test_stop_ends_streams_with_its_own_event(sluiced):
    daemon = sluiced(CONFIG)
    with daemon.control() as control:
        follow(control, last=1)
        read_events(control, 1)
        daemon.stop()
        assert read_events(control, 1)[0]["type"] == "stopping"
        assert control.read_line() is None


# ---- sluicectl ---------------------------------------------------------------------------------


def test_sluicectl_show_events(sluiced):
    daemon = sluiced(CONFIG)
    turn_endpoint(daemon, "drain")
    code, out, _ = daemon.sluicectl("show", "events")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 2
    assert re.fullmatch(
        r"\S+Z notice  endpoint_state cluster=back-all endpoint=e0 state=drain", lines[1]
    )
    code, out, _ = daemon.sluicectl("-j", "show", "events", "--last", "1")
    assert code == 0 and [event["number"] for event in json.loads(out)] == [1]
    code, _, err = daemon.sluicectl("status", "--last", "1")
    assert code == 2 and "--last" in err


@pytest.mark.parametrize("is_json", [False, True])
def test_sluicectl_events_prints_each_at_once(sluiced, directory, is_json):
    daemon = sluiced(CONFIG)
    argv = [env.BUILD / "sluicectl", "-s", daemon.control_path, "events", "--last", "1"]
    argv += ["-j"] if is_json else []
    with Process(argv, directory, "events", environment=SANITIZER_ENV) as process:
        for n, state in enumerate(["drain", "ready"], 1):
            env.until(lambda n=n: process.stdout().count("\n") == n, f"{n} lines")
            turn_endpoint(daemon, state)
        env.until(lambda: process.stdout().count("\n") == 3, "all lines")
        lines = process.stdout().splitlines()
        if is_json:
            assert [json.loads(line)["number"] for line in lines] == [0, 1, 2]
        else:
            assert "started" in lines[0] and lines[2].endswith("state=ready")
        daemon.stop()
        assert process.wait() == 3  # the daemon closed the connection


# ---- who tells ---------------------------------------------------------------------------------


def test_endpoint_that_goes_and_comes_back(sluiced, endpoint):
    """The checks of health, in the stream and in the metrics."""
    health = "health { type = tcp  interval = 50ms  rise = 1  fall = 1 }"
    daemon = sluiced(proxy_config(endpoint.address, cluster=health))
    host, port = endpoint.address.rsplit(":", 1)
    fields = {"cluster": "back-all", "endpoint": "e0"}
    with daemon.control() as control:
        follow(control, last=KEPT)

        def wait_for(kind):
            while True:
                for event in read_events(control, 1):
                    if event["type"] == kind:
                        return event

        wait_for("endpoint_up")
        assert daemon.metrics()("sluice_endpoint_up", **fields) == 1
        endpoint.close()
        event = wait_for("endpoint_down")
        assert event["severity"] == "warning" and fields.items() <= event["fields"].items()
        assert daemon.metrics()("sluice_endpoint_up", **fields) == 0
        with RawEndpoint(host=host, port=int(port)):
            wait_for("endpoint_up")
            assert daemon.metrics()("sluice_endpoint_up", **fields) == 1


def test_drain_begins_and_ends(sluiced):
    daemon = sluiced(CONFIG)
    daemon.ctl("drain", cluster="back-all")
    daemon.ctl("undrain", cluster="back-all")
    types = [event["type"] for event in daemon.ctl("show.events")]
    assert types[:3] == ["started", "drain_started", "drain_finished"]
