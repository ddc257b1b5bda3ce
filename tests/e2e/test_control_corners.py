# SPDX-License-Identifier: Apache-2.0
"""Requests that mean none or all connections, and control clients that come at bad times."""

import json
import os
import socket

import pytest

from lib import env, ws_raw
from lib.control import Control, ControlError
from lib.daemon import ECHO_CONFIG


@pytest.mark.parametrize("conn", ["0" * 13, "o" * 13])
def test_id_that_is_never_given_closes_nothing(sluiced, conn):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as client:
        with pytest.raises(ControlError):
            daemon.ctl("close", conn=conn)
        client.send(ws_raw.frame(ws_raw.PING, "alive"))
        client.expect_frame(ws_raw.PONG, "alive")


@pytest.mark.parametrize("older", ["18446744073710ms", "18446744073709551615ms"])
def test_age_beyond_all_ages_matches_nothing(sluiced, older):
    """In nanoseconds these would be over 2^64, and 0.4 ms or so what is left of them."""
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as client:
        client.send(ws_raw.frame(ws_raw.PING))
        client.expect_frame(ws_raw.PONG)
        assert daemon.connections(older=older) == []


def test_argument_that_is_not_utf8_is_not_left_out(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as client:
        code, _, err = daemon.sluicectl("close", "--all", "--route", "\udcff")
        assert code == 2 and "--route" in err
        client.send(ws_raw.frame(ws_raw.PING, "alive"))
        client.expect_frame(ws_raw.PONG, "alive")


def test_pipelined_requests_wait_for_their_client_to_read(sluiced):
    """Their answers together are far over what is kept for a client."""
    routes = "".join(
        f'route r{i} {{ match {{ path = "/{i}/{"x" * 200}" }} echo = true }}\n' for i in range(200)
    )
    daemon = sluiced(routes)
    with daemon.control() as control:
        one = len(json.dumps(control.call("show.routes")))
        count = (32 << 20) // one
        control.send(
            b"".join(b'{"v":1,"id":%d,"cmd":"show.routes"}\n' % i for i in range(count))
        )
        daemon.status()  # is answered behind what the main thread does with those
        for i in range(count):
            reply = control.read_line()
            assert reply is not None, f"closed after {i} of {count} answers"
            assert reply["id"] == i and len(reply["data"]) == 200


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_control_client_without_a_descriptor_for_it(sluiced):
    """It waits, and so does the daemon, without asking again and again."""
    daemon = sluiced("limits { max_connections = 1000 }\n" + ECHO_CONFIG, nofile=64)
    late = []
    held = [ws_raw.dial(daemon.address()) for _ in range(80)]
    try:
        env.until(lambda: "pausing" in daemon.log(), "the descriptors to run out")
        for _ in range(5):
            late.append(socket.socket(socket.AF_UNIX))
            late[-1].connect(str(daemon.control_path))
        late[-1].settimeout(1)
        before = cpu_ticks(daemon.pid)
        with pytest.raises(TimeoutError):
            late[-1].recv(1)
        used = cpu_ticks(daemon.pid) - before
        assert used < os.sysconf("SC_CLK_TCK") / 2, "half of the time went into a loop"
    finally:
        for stream in held + late:
            stream.close()
    env.until(lambda: daemon.live() == 0, "an answer, once there are descriptors")


def test_busy_answer_arrives(sluiced):
    """Who comes to a full house is told so, also if its request is late."""
    daemon = sluiced(ECHO_CONFIG)
    held = [Control(daemon.control_path) for _ in range(64)]
    try:
        for control in held:
            control.call("status")
        for _ in range(20):
            code, _, err = daemon.sluicectl("status")
            assert code == 1 and "busy" in err
    finally:
        for control in held:
            control.sock.close()
