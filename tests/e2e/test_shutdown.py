# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: everybody is told, everybody gets what was under way, and the exit code is 0."""

import signal
import threading

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, assert_no_sanitizer_report, proxy_config
from lib.endpoint import RawEndpoint, tunnel

CONFIG = "limits { close_timeout = 1s }\ndrain { hard_stop_after = 3s }\n"


def terminate(daemon, number=signal.SIGTERM):
    daemon.process.send_signal(number)


def expect_clean_exit(daemon):
    assert daemon.process.wait() == 0, daemon.log()
    assert_no_sanitizer_report(daemon.log())
    assert not daemon.control_path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_idle_daemon(sluiced, number):
    daemon = sluiced(ECHO_CONFIG)
    terminate(daemon, number)
    expect_clean_exit(daemon)


@pytest.mark.parametrize("workers", [1, 2])
def test_live_connections_are_told(sluiced, endpoint, workers):
    daemon = sluiced(
        CONFIG
        + f"worker {{ count = {workers} }}\n"
        + proxy_config(endpoint.address, match='path = "/tunnel"')
        + ECHO_CONFIG
    )
    tunnels = [tunnel(daemon, endpoint) for _ in range(10)]
    echoes = [ws_raw.connect(daemon.address()) for _ in range(10)]
    terminate(daemon)
    for client, server in tunnels:
        for stream, mask in ((client, b"abcd"), (server, None)):
            stream.expect_close(1001)
            stream.send(ws_raw.close_frame(1001, mask=mask))
    for stream in echoes:
        stream.expect_close(1001)
        stream.send(ws_raw.close_frame(1001))
    for client, server in tunnels:
        client.expect_end()
        server.shutdown_write()
        server.expect_end()
        client.close()
    for stream in echoes:
        stream.expect_end()
        stream.close()
    expect_clean_exit(daemon)
    rows = daemon.access_log()
    assert len(rows) == 20
    assert {(row["reason"], row["close_code"]) for row in rows} == {("shutdown", 1001)}


def test_peers_that_never_answer_do_not_hold_it(sluiced, endpoint):
    daemon = sluiced(CONFIG + proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client:
        terminate(daemon)
        expect_clean_exit(daemon)
        client.expect_close(1001)
        server.expect_close(1001)
        client.expect_end()
        server.expect_end()


@pytest.mark.parametrize("deaf", ["client", "endpoint"])
def test_peers_that_do_not_read_do_not_hold_it(sluiced, deaf):
    """Output waits in front of the Close, and never leaves."""
    with RawEndpoint(receive_buffer=4096) as endpoint:
        daemon = sluiced(CONFIG + proxy_config(endpoint.address))
        client, server = tunnel(daemon, endpoint, receive_buffer=4096)
        with client, server:
            sender, mask = (server, None) if deaf == "client" else (client, b"abcd")
            sender.sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                while True:
                    sender.send(ws_raw.frame(ws_raw.BINARY, bytes(1 << 20), mask=mask))
            terminate(daemon)
            expect_clean_exit(daemon)
    (row,) = daemon.access_log()
    assert (row["reason"], row["close_code"]) == ("shutdown", 1001)


def test_handshakes_under_way_are_refused(sluiced, endpoint):
    daemon = sluiced(CONFIG + proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as half, ws_raw.dial(daemon.address()) as upgrading:
        half.send(ws_raw.request()[:30])
        upgrading.send(ws_raw.request("/x"))
        server = endpoint.accept()
        server.read_head()
        env.until(lambda: daemon.live() == 2, "both to be known")
        terminate(daemon)
        for stream in (half, upgrading):
            head = stream.read_head()
            assert head.status == 503
            assert b'"shutdown"' in stream.read_body(head)
            stream.shutdown_write()
            stream.expect_end()
        server.expect_end()
    expect_clean_exit(daemon)


def test_frame_under_way_is_completed(sluiced, endpoint):
    daemon = sluiced(CONFIG + proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    data = ws_raw.server_frame(ws_raw.BINARY, bytes(range(256)) * 40)
    with client:
        server.send(data[:3000])
        got = client.read_exactly(3000)
        terminate(daemon)
        server.expect_close(1001)
        server.send(data[3000:])
        got += client.read_exactly(len(data) - 3000)
        assert got == data
        client.expect_close(1001)
        client.close()
        server.close()
    expect_clean_exit(daemon)


def test_under_load(sluiced, peers):
    """Clients that keep sending until they are told; nobody is cut without a Close."""
    daemon = sluiced(CONFIG + proxy_config(peers.server("python")))
    outcomes = []

    def chat():
        with ws_raw.connect(daemon.address(), "/x") as stream:
            ready.release()
            while True:
                stream.send(ws_raw.frame(ws_raw.BINARY, bytes(5000)))
                got = stream.read_frame()
                if got.opcode == ws_raw.CLOSE:
                    stream.send(ws_raw.close_frame(1001))
                    outcomes.append(got.close_code)
                    stream.expect_end()
                    return

    ready = threading.Semaphore(0)
    threads = [threading.Thread(target=chat) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert ready.acquire(timeout=env.PATIENCE_S)
    terminate(daemon)
    for thread in threads:
        thread.join()
    assert outcomes == [1001] * 8
    expect_clean_exit(daemon)


def test_new_connections_are_not_accepted_while_it_stops(sluiced, endpoint):
    daemon = sluiced(CONFIG + proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client:
        terminate(daemon)
        client.expect_close(1001)
        with pytest.raises(ConnectionRefusedError):
            ws_raw.dial(daemon.address())
    server.close()
    expect_clean_exit(daemon)
