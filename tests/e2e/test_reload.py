# SPDX-License-Identifier: Apache-2.0
"""Reloads: what is new holds, what is wrong is refused, and no connection notices."""

import os
import signal
import threading
import time

import pytest

from lib import bench, env, ws_raw
from lib.control import ControlError
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import RawEndpoint, tunnel

OTHER = 'route other { match { path = "/other" } echo = true }\n'


def status_of(daemon, path):
    """The HTTP status of an upgrade there."""
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(ws_raw.request(path))
        return stream.read_head().status


def assert_echoes(stream, payload=b"still here"):
    stream.send(ws_raw.frame(ws_raw.TEXT, payload, mask=b"abcd"))
    stream.expect_frame(ws_raw.TEXT, payload)


def assert_tunnels(client, server, payload=b"still here"):
    client.send(ws_raw.frame(ws_raw.TEXT, payload, mask=b"abcd"))
    assert server.read_frame().payload == payload
    server.send(ws_raw.frame(ws_raw.TEXT, payload, mask=None))
    client.expect_frame(ws_raw.TEXT, payload)


def refused_reload(daemon, config):
    with pytest.raises(ControlError) as caught:
        daemon.reload(config)
    assert caught.value.code == "reload_refused"
    return str(caught.value)


def wait_one_generation(daemon):
    env.until(lambda: daemon.status()["generations_alive"] == 1, "the old generations to go")


# ---- what is new -----------------------------------------------------------------------------


def test_routes_come_and_go(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    assert (status_of(daemon, "/echo"), status_of(daemon, "/other")) == (101, 404)
    result = daemon.reload(OTHER)
    assert result["generation"] == 2 and result["needs_restart"] == ""
    assert (status_of(daemon, "/echo"), status_of(daemon, "/other")) == (404, 101)
    assert [row["name"] for row in daemon.ctl("show.routes")] == ["other"]
    status = daemon.status()
    assert status["generation"] == 2 and status["config"] == str(daemon.config_path)
    wait_one_generation(daemon)


def test_sighup_is_a_reload(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    daemon.write_config(OTHER)
    daemon.process.send_signal(signal.SIGHUP)
    env.until(lambda: daemon.status()["generation"] == 2, "the reload")
    assert status_of(daemon, "/other") == 101


def test_sluicectl_says_what_was_done(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    code, out, err = daemon.sluicectl("reload")
    assert code == 0 and out.startswith(f"reloaded {daemon.config_path}: generation 2, "), err
    daemon.write_config("worker { count = 3 }\n" + ECHO_CONFIG)
    code, out, _ = daemon.sluicectl("reload")
    assert code == 0 and out.splitlines()[1] == "only a restart changes worker.count"
    assert daemon.status()["workers"] == 1


def test_events_tell_of_reloads(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    daemon.reload()
    refused_reload(daemon, "nonsense")
    events = [(e["type"], e["fields"]) for e in daemon.ctl("show.events")]
    assert events[-2][0] == "config_reloaded" and events[-2][1]["generation"] == 2
    assert events[-1][0] == "config_refused" and "sluice.conf:" in events[-1][1]["reason"]


def test_counters_go_on(sluiced, endpoint):
    config = ECHO_CONFIG + proxy_config(endpoint.address)
    daemon = sluiced(config)
    with ws_raw.connect(daemon.address()):
        client, server = tunnel(daemon, endpoint)
        daemon.reload(config)
        routes = {row["name"]: row for row in daemon.ctl("show.routes")}
        assert [routes["echo"][k] for k in ("connections", "accepted")] == [1, 1]
        assert [routes["all"][k] for k in ("connections", "accepted")] == [1, 1]
        (row,) = daemon.ctl("show.clusters")
        assert row["connections"] == 1
        assert_tunnels(client, server)
        client.close()
        server.close()
    daemon.wait_live(0)
    assert {row["connections"] for row in daemon.ctl("show.routes")} == {0}
    assert daemon.ctl("show.clusters")[0]["connections"] == 0


def test_limits_of_the_process(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as first, ws_raw.connect(daemon.address()) as second:
        daemon.reload("limits { max_connections = 2  close_timeout = 2s }\n" + ECHO_CONFIG)
        assert status_of(daemon, "/echo") == 503
        assert_echoes(first)
        assert_echoes(second)
        daemon.reload("limits { max_connections = 10  close_timeout = 2s }\n" + ECHO_CONFIG)
        assert status_of(daemon, "/echo") == 101


def test_a_new_duration_counts_for_those_who_are_there(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as stream:
        config = 'route echo { match { path = "/echo" } echo = true  %s }\n'
        daemon.reload(config % "max_connection_duration = 100ms")
        assert stream.read_frame().close_code == 1001


def test_state_set_by_hand_holds_until_the_file_says_otherwise(sluiced, endpoint):
    config = proxy_config(endpoint.address)
    daemon = sluiced(config)
    daemon.ctl("set.endpoint", cluster="back-all", endpoint="e0", state="drain")
    daemon.reload("# nothing that matters\n" + config)
    assert daemon.ctl("show.clusters")[0]["state"] == "drain"
    daemon.reload(config.replace("address =", "state = maint  address ="))
    assert daemon.ctl("show.clusters")[0]["state"] == "maint"
    daemon.reload(config)
    assert daemon.ctl("show.clusters")[0]["state"] == "ready"


def test_metrics_tell_of_reloads(sluiced):
    daemon = sluiced(ECHO_CONFIG)

    def figures():
        metrics = daemon.metrics()
        return (
            metrics("sluice_config_generation"),
            metrics("sluice_config_reloads_total", result="done"),
            metrics("sluice_config_reloads_total", result="refused"),
            metrics("sluice_config_last_reload_successful"),
        )

    assert figures() == (1, 0, 0, 1)
    refused_reload(daemon, "nonsense")
    assert figures() == (1, 0, 1, 0)
    assert "last reload      refused: " in daemon.sluicectl("status")[1]
    daemon.reload(ECHO_CONFIG)
    assert figures() == (2, 1, 1, 1)
    assert daemon.status()["reload_refused"] is None


# ---- the access log --------------------------------------------------------------------------


def test_access_log_is_opened_again(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    ws_raw.connect(daemon.address()).close()
    daemon.access_log(1)
    rotated = daemon.dir / "access.log.1"
    os.rename(daemon.access_path, rotated)
    fds = daemon.open_fds()
    daemon.process.send_signal(signal.SIGHUP)
    env.until(daemon.access_path.exists, "the new file")
    ws_raw.connect(daemon.address()).close()
    daemon.access_log(1)
    assert len(rotated.read_text().splitlines()) == 1
    assert daemon.open_fds() == fds


def test_access_log_goes_and_comes(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    daemon.reload("log { access = off }\n" + ECHO_CONFIG)
    ws_raw.connect(daemon.address()).close()
    daemon.wait_live(0)
    daemon.reload(ECHO_CONFIG)
    ws_raw.connect(daemon.address()).close()
    daemon.access_log(1)
    assert len(daemon.access_log()) == 1


# ---- what is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config, culprit",
    [
        ('route x { match { path = "/x" } proxy = nowhere }\n', '"nowhere"'),
        ("rout echo { }\n", 'unknown section "rout"'),
        ("limits { max_headers = lots }\n" + ECHO_CONFIG, "limits: max_headers = "),
    ],
)
def test_a_wrong_file_leaves_the_one_before(sluiced, config, culprit):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as stream:
        text = refused_reload(daemon, config)
        line = daemon.config_path.read_text().splitlines().index(config.splitlines()[0]) + 1
        assert f"{daemon.config_path}:{line}:" in text and culprit in text
        code, _, err = daemon.sluicectl("reload")
        assert code == 1 and f"{daemon.config_path}:{line}:" in err
        assert_echoes(stream)
        assert status_of(daemon, "/echo") == 101
        status = daemon.status()
        assert (
            status["generation"] == 1
            and f"{daemon.config_path}:{line}:" in status["reload_refused"]
        )
        assert f"{daemon.config_path}:{line}:" in daemon.log()


def test_a_file_that_is_gone(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    daemon.config_path.unlink()
    assert "No such file" in refused_reload(daemon, None)
    assert status_of(daemon, "/echo") == 101


def test_an_access_log_that_cannot_be_opened(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    text = refused_reload(daemon, f'log {{ access = "{daemon.dir}/no/x.log" }}\n' + ECHO_CONFIG)
    assert f"{daemon.dir}/no/x.log: No such file" in text
    ws_raw.connect(daemon.address()).close()
    assert len(daemon.access_log(1)) == 1


# ---- live connections ------------------------------------------------------------------------


def test_connection_of_a_deleted_route_lives_on(sluiced, endpoint):
    daemon = sluiced(ECHO_CONFIG + proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    daemon.reload(ECHO_CONFIG)
    assert status_of(daemon, "/tunnel") == 404
    (row,) = daemon.connections()
    assert (row["route"], row["cluster"], row["endpoint"]) == ("all", "back-all", "e0")
    assert daemon.status()["generations_alive"] == 2
    for _ in range(5):  # and reloads that come after do not matter to it
        daemon.reload()
        assert_tunnels(client, server)
    env.until(lambda: daemon.status()["generations_alive"] == 2, "those in between to go")
    client.close()
    server.close()
    wait_one_generation(daemon)
    assert daemon.access_log(2)[-1]["route"] == "all"


def test_endpoint_with_another_address_is_another(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address))
    old_client, old_server = tunnel(daemon, endpoint)
    with RawEndpoint() as second:
        daemon.reload(proxy_config(second.address))
        new_client, new_server = tunnel(daemon, second)
        assert_tunnels(old_client, old_server)
        assert_tunnels(new_client, new_server)
        (row,) = daemon.ctl("show.clusters")
        assert (row["address"], row["connections"]) == (second.address, 1)
        for stream in (old_client, old_server, new_client, new_server):
            stream.close()
        wait_one_generation(daemon)


def test_connection_on_its_way_arrives_in_the_new_one(sluiced, endpoint):
    """The endpoint answers the upgrade only after the reload."""
    config = proxy_config(endpoint.address)
    daemon = sluiced(config)
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        request = server.read_head()
        daemon.reload(config)
        assert daemon.status()["generations_alive"] == 2
        server.send(ws_raw.response_101(request.get("Sec-WebSocket-Key")))
        ws_raw.check_101(client, ws_raw.KEY)
        wait_one_generation(daemon)
        assert_tunnels(client, server)


def n_answers(daemon):
    return sum(daemon.status()["traffic"].get("relay", {}).get("frames_out", {}).values())


@pytest.mark.parametrize("is_churn", [False, True], ids=["messages", "handshakes"])
def test_reloads_under_traffic_lose_nothing(sluiced, directory, is_churn):
    """Another configuration again and again (RELOADS=300: every 200 ms for a minute); every message and handshake is checked."""
    n_reloads = env.scale(int(os.environ.get("RELOADS") or 40), sanitized=2)
    with bench.BenchServer(directory) as server:
        config = ECHO_CONFIG + proxy_config(server.address)
        daemon = sluiced("worker { count = 2 }\n" + config)
        configs = ["worker { count = 2 }\n" + text for text in (OTHER + config, config)]
        options = ["--churn", "--messages-per-conn", "3"] if is_churn else []
        client = bench.RunningClient(
            directory,
            daemon.url("/x"),
            "-c",
            "64",
            "--size",
            "0-3000",
            "--verify",
            "-d",
            "600s",
            *options,
        )
        env.until(lambda: n_answers(daemon), "answers to come")
        for i in range(n_reloads):
            daemon.reload(configs[i % 2])
            time.sleep(0.2 if "RELOADS" in os.environ else 0.05)
        result = client.interrupt()
        assert result["errors_total"] == 0 and result["failed"] == 0, result
        assert result["refused"] == 0 and result["messages"] > 0
        assert daemon.status()["generation"] == 1 + n_reloads
        wait_one_generation(daemon)
        assert sum(daemon.status()["refused"].values()) == 0


def test_storm_of_signals(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as stream:
        for i in range(env.scale(2000, sanitized=4)):
            daemon.process.send_signal(signal.SIGHUP)
            if i % 100 == 0:
                assert_echoes(stream)
        daemon.reload(OTHER)  # the last word holds
        assert status_of(daemon, "/other") == 101
        assert_echoes(stream)
        # The one of the connection whose route is gone, besides.
        env.until(lambda: daemon.status()["generations_alive"] == 2, "the others to go")


def test_ten_thousand_routes(sluiced):
    count = env.scale(10_000, sanitized=4)

    def routes(prefix):
        return "".join(
            f'route {prefix}{i} {{ match {{ host = "h{i}.example" path = "/{prefix}/{i}/*" }} '
            f"echo = true }}\n"
            for i in range(count)
        )

    daemon = sluiced(ECHO_CONFIG + routes("a"))
    with ws_raw.connect(daemon.address()) as stream:
        stop = threading.Event()

        def chat():
            while not stop.is_set():
                assert_echoes(stream)

        chatting = threading.Thread(target=chat)
        chatting.start()
        try:
            for prefix in ("b", "c"):
                daemon.reload(ECHO_CONFIG + routes(prefix))
        finally:
            stop.set()
            chatting.join()
        assert_echoes(stream)
        wait_one_generation(daemon)
    with ws_raw.dial(daemon.address()) as late:
        late.send(ws_raw.request(f"/c/{count - 1}/x", host=f"h{count - 1}.example"))
        assert late.read_head().status == 101


def test_too_many_configurations_are_refused_and_said(sluiced):
    """Each reload takes away the route of one more connection, which keeps it in memory."""
    count = env.scale(6000, sanitized=4)

    def config(name):
        filler = "".join(
            f'route f{i} {{ match {{ path = "/f{i}" }} echo = true }}\n' for i in range(count)
        )
        return f'route {name} {{ match {{ path = "/{name}" }} echo = true }}\n' + filler

    if count * 40 < 200_000:
        pytest.skip("too few routes at this scale to reach the bound")
    daemon = sluiced(config("r0"))
    streams = []
    try:
        with pytest.raises(ControlError) as caught:
            for i in range(1, 60):
                streams.append(ws_raw.connect(daemon.address(), f"/r{i - 1}"))
                daemon.reload(config(f"r{i}"))
        assert "keep earlier configurations" in str(caught.value)
        assert 30 <= len(streams) <= 40
        for stream in streams:
            assert_echoes(stream)
    finally:
        for stream in streams:
            stream.close()
    wait_one_generation(daemon)
    assert daemon.reload(ECHO_CONFIG)["generation"] > 30
