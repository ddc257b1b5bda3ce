# SPDX-License-Identifier: Apache-2.0
"""/metrics: what a generator of known traffic sent is what the counters say."""

import re

import pytest

from lib import bench, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import tunnel
from lib.env import until

NAMES = {
    "sluice_build_info",
    "sluice_connections",
    "sluice_class_pauses_total",
    "sluice_accepted_total",
    "sluice_refused_total",
    "sluice_closed_total",
    "sluice_handshake_seconds",
    "sluice_demotions_total", "sluice_demotion_seconds",
    "sluice_promotions_total",
    "sluice_promotion_seconds",
    "sluice_promotion_switch_seconds_total",
    "sluice_bytes_total",
    "sluice_frames_total",
    "sluice_endpoint_up",
    "sluice_endpoint_connections",
    "sluice_health_checks_total",
    "sluice_config_generation",
    "sluice_config_reloads_total",
    "sluice_config_last_reload_successful",
    "sluice_health_checks_waiting",
    "sluice_loop_lag_seconds",
    "sluice_queue_depth",
}
LISTENERS = 'listener a { listen = {"127.0.0.1:0"} }\nlistener b { listen = {"127.0.0.1:0"} }\n'
CLIENT_HEADER, SERVER_HEADER = 6, 2  # of frames up to 125 bytes


def test_names_and_form(sluiced):
    daemon = sluiced(ECHO_CONFIG + proxy_config("127.0.0.1:9"))
    _, headers, body = daemon.http("/metrics")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert set(re.findall(r"^# TYPE (\S+)", body.decode(), re.M)) == NAMES
    assert set(re.findall(r"^# HELP (\S+) \S", body.decode(), re.M)) == NAMES


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("path", ["local", "relay"])
def test_counters_equal_what_was_sent(sluiced, directory, path, workers):
    connections, messages, size = 7, 900, 100
    head = f"worker {{ count = {workers} }}\n" + LISTENERS
    with bench.BenchServer(directory) as server:
        daemon = sluiced(head + (ECHO_CONFIG if path == "local" else proxy_config(server.address)))
        result = bench.clean_client(
            directory, f"ws://127.0.0.1:{daemon.port('b')}/echo", "-c", str(connections),
            "-n", str(messages), "-s", str(size), "--verify",
        )
        assert result["messages_total"] == messages
        daemon.wait_closed("close_frame", connections)
        m = daemon.metrics()
    assert m("sluice_accepted_total", listener="b") == connections
    assert m("sluice_accepted_total", listener="a") == 0
    assert m("sluice_refused_total") == 0
    assert m("sluice_closed_total") == connections
    assert m("sluice_closed_total", reason="close_frame") == connections
    assert m("sluice_connections") == 0
    assert m("sluice_handshake_seconds_count") == connections
    assert m("sluice_handshake_seconds_bucket", le="+Inf") == connections
    for direction, header in ("in", CLIENT_HEADER), ("out", SERVER_HEADER):
        here = {"path": path, "direction": direction}
        assert m("sluice_frames_total", kind="binary", **here) == messages
        assert m("sluice_frames_total", kind="close", **here) == connections
        assert m("sluice_frames_total", **here) == messages + connections
        # A Close frame carries the code 1000 and nothing else.
        sent = messages * (header + size) + connections * (header + 2)
        assert m("sluice_bytes_total", **here) == sent
    # And nothing on any other path.
    assert m("sluice_frames_total") == 2 * (messages + connections)


def test_gauges_follow_connections(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    labels = {"cluster": "back-all", "endpoint": "e0"}
    m = daemon.metrics()
    assert m("sluice_endpoint_connections", **labels) == 0
    assert m("sluice_endpoint_up", **labels) == 1
    client, server = tunnel(daemon, endpoint)
    with client, server:
        # The 101 is out before the connection counts as relayed.
        until(lambda: daemon.metrics()("sluice_connections") == 1, "the connection to count")
        m = daemon.metrics()
        assert m("sluice_endpoint_connections", **labels) == 1
        assert m("sluice_connections", path="relay", **{"class": "default"}) == 1
        assert m("sluice_connections") == 1
    daemon.wait_live(0)
    m = daemon.metrics()
    assert m("sluice_endpoint_connections", **labels) == 0
    assert m("sluice_connections") == 0


def test_endpoint_that_takes_no_connections_is_not_up(sluiced):
    daemon = sluiced(proxy_config("127.0.0.1:9", "127.0.0.1:10"))
    daemon.ctl("set.endpoint", cluster="back-all", endpoint="e1", state="maint")
    m = daemon.metrics()
    assert m("sluice_endpoint_up", endpoint="e0") == 1
    assert m("sluice_endpoint_up", endpoint="e1") == 0
    daemon.ctl("set.endpoint", cluster="back-all", endpoint="e1", state="ready")
    assert daemon.metrics()("sluice_endpoint_up", endpoint="e1") == 1


def test_refusals_by_reason(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    assert daemon.metrics()("sluice_refused_total", reason="no_route") == 0
    for _ in range(3):
        with ws_raw.dial(daemon.address()) as client:
            client.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
            client.read_to_end()
    daemon.wait_refused("no_route", 3)
    m = daemon.metrics()
    assert m("sluice_refused_total", reason="no_route") == 3 == m("sluice_refused_total")
    assert m("sluice_accepted_total") == 3
