# SPDX-License-Identifier: Apache-2.0
"""sluice-bench client: every mode, against servers of several makers."""

import json
import os
import signal
import subprocess
import time

import pytest

import bench_peers
from bench_peers import (BENCH, BINARY, CLOSE, CONTINUATION, PATIENCE_S, PING, PONG, TEXT,
                         BenchServer, RawServer, accept_upgrade, clean_run, field, frame,
                         library_server, run_client)

NODE_MODULES = bench_peers.ROOT / "build" / "node" / "node_modules"


@pytest.fixture(name="echo", scope="module")
def echo_fixture():
    with BenchServer() as server:
        yield server


# ---- modes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [
    ["--mode", "pingpong"], ["--mode", "pipeline", "--depth", "50"],
    ["--mode", "rate", "--rate", "2000"]])
@pytest.mark.parametrize("messages", [
    ["--size", "64"], ["--size", "0-300", "--text"], ["--mix", "0:1,125-126:5,65535-65537:1"],
    ["--size", "20k", "--text", "--fragment", "7"], ["--size", "3", "--fragment", "5"]])
def test_echo_modes_verify_every_message(mode, messages):
    with BenchServer() as server:
        result = clean_run(server.url, "-c", 7, "-n", 500, "--verify", *mode, *messages)
        counters = server.stop()
    assert result["messages"] == result["latency_us"]["count"] == 500
    assert result["opened"] == counters["connections"] == 7
    assert counters["messages"] == 500 and counters["bytes"] == result["bytes"]
    assert result["close_codes"] == {"1000": 7}


def test_threads_share_connections_and_messages(echo):
    result = clean_run(echo.url, "-c", 5, "-t", 3, "-n", 100, "--verify", "--size", "1-2000")
    assert result["opened"] == 5 and result["messages"] == 100


def test_a_message_larger_than_any_buffer(echo):
    result = clean_run(echo.url, "-c", 2, "-n", 4, "--verify", "--size", "9m", "--text")
    assert result["bytes"] == 4 * 9 << 20


def test_secure_masks(echo):
    assert clean_run(echo.url, "-n", 50, "--verify", "--secure-masks")["messages"] == 50


def test_duration_and_warmup(echo):
    result = clean_run(echo.url, "-d", "0.3", "--warmup", "0.2", "--hold-after-open", "0.1")
    assert 0 < result["messages"] < result["messages_total"]
    assert result["duration_s"] >= 0.3
    assert result["latency_us"]["count"] == result["messages"]
    assert 0 < result["cpu_s"]
    # All CPUs, in units of 10 ms: it is this machine's, so more than that cannot be said.
    assert -0.1 < result["system_cpu_s"] < (result["duration_s"] + 5) * os.cpu_count()


def test_send_is_all_taken_by_the_sink():
    with BenchServer("--mode", "sink") as server:
        result = clean_run(server.url, "-c", 3, "-n", 1000, "--mode", "send", "--size", "1-9k",
                           "--fragment", 2)
        counters = server.stop()
    assert result["messages"] == counters["messages"] == 1000
    assert result["bytes"] == counters["bytes"]


@pytest.mark.parametrize("text", [[], ["--text"]])
def test_receive_verifies_the_source(text):
    same = ["--size", "0-9k", "--seed", "5", *text]
    with BenchServer("--mode", "source", "--messages", 200, *same) as server:
        result = clean_run(server.url, "-c", 3, "--mode", "receive", "--verify", *same)
    assert result["messages"] == 600
    assert result["close_codes"] == {"1000": 3}


def test_receive_closes_an_endless_source():
    with BenchServer("--mode", "source", "--size", "100k") as server:
        result = clean_run(server.url, "-c", 2, "--mode", "receive", "-n", 50, "--ping", "0.01")
    assert result["messages"] == 50


def test_idle_holds_connections_and_pings(echo):
    result = clean_run(echo.url, "-c", 20, "--mode", "idle", "-d", "0.5", "--ping", "0.05")
    assert result["opened"] == 20 and result["messages"] == 0 and result["pongs"] >= 1


@pytest.mark.parametrize("end", [[], ["--reset"], ["--close", "none"], ["--close", "4321"]])
def test_handshakes(end):
    with BenchServer() as server:
        result = clean_run(server.url, "-c", 4, "--mode", "handshake", "-n", 50, *end)
        counters = server.stop()
    assert result["handshakes"] == result["opened"] == counters["connections"] == 50
    assert result["handshake_us"]["count"] == 50 and result["handshakes_per_s"] > 0


def test_unix_socket(tmp_path):
    with BenchServer(listen=f"unix:{tmp_path}/s") as server:
        result = clean_run(server.addresses[0], "-c", 50, "-n", 500, "--verify")
    assert result["messages"] == 500
    assert not (tmp_path / "s").exists()


def test_ipv6():
    with BenchServer(listen="[::1]:0") as server:
        assert clean_run(server.url, "-n", 10, "--verify", "--source", "::1")["messages"] == 10


# ---- what goes over the wire -------------------------------------------------------------------


def echo_frames(connection, frames=None):
    """Echoes messages and answers Close and Ping, frame by frame, noting them in @frames."""
    while True:
        one = connection.read_frame()
        if frames is not None:
            frames.append(one)
        if one.opcode == CLOSE:
            connection.send(frame(CLOSE, one.payload))
            return
        connection.send(frame(PONG if one.opcode == PING else one.opcode, one.payload, one.fin))


def wire(*options):
    """Runs a client on one connection. Returns (request head, frames)."""
    heads, frames = [], []

    def handler(connection):
        heads.append(accept_upgrade(connection))
        echo_frames(connection, frames)

    with RawServer(handler) as server:
        clean_run(server.url, *options)
    return heads[0], frames


def test_request_names_what_was_asked_for():
    def handler(connection):
        head = accept_upgrade(connection, b"Sec-WebSocket-Protocol: b\r\n")
        assert head.startswith(b"GET /chat?x=1 HTTP/1.1\r\n")
        assert field(head, b"Host") == b"play.example"
        assert field(head, b"Authorization") == b"Bearer x"
        assert field(head, b"X-Tenant") == b"7"
        assert field(head, b"Sec-WebSocket-Protocol") == b"a, b"
        assert field(head, b"Sec-WebSocket-Version") == b"13"
        echo_frames(connection)

    with RawServer(handler) as server:
        clean_run(server.url, "-n", 1, "--host", "play.example", "--path", "/chat?x=1",
                  "--protocol", "a, b", "--header", "Authorization: Bearer x",
                  "--header", "X-Tenant:7")


@pytest.mark.parametrize("secure", [[], ["--secure-masks"]])
def test_every_frame_is_masked_with_its_own_key(secure):
    # RFC 6455 s5.3: a fresh key for each frame.
    _, frames = wire("-n", 20, "--fragment", 2, *secure)
    masks = [one.mask for one in frames]
    assert len(masks) == 41 and None not in masks and len(set(masks)) == 41


def test_fragments():
    _, frames = wire("-n", 1, "--fragment", 4, "--size", 10, "--text")
    assert [(one.opcode, one.fin, len(one.payload)) for one in frames] == [
        (TEXT, False, 2), (CONTINUATION, False, 2), (CONTINUATION, False, 3),
        (CONTINUATION, True, 3), (CLOSE, True, 2)]


def test_the_seed_decides_size_and_content():
    def payloads(seed):
        return [one.payload for one in wire("-n", 5, "--verify", "--size", "1-999", "--seed",
                                            seed)[1][:-1]]

    assert payloads(3) == payloads(3) != payloads(4)


@pytest.mark.parametrize("code, payload", [("1000", b"\x03\xe8"), ("4001", b"\x0f\xa1"),
                                           ("0", b"")])
def test_close_code(code, payload):
    _, frames = wire("-n", 1, "--close", code)
    assert (frames[-1].opcode, frames[-1].payload) == (CLOSE, payload)


def test_messages_per_connection_and_churn():
    with BenchServer() as server:
        result = clean_run(server.url, "-c", 3, "--messages-per-conn", 10, "--verify")
        assert result["messages"] == 30 and result["opened"] == 3
        result = clean_run(server.url, "-c", 3, "--messages-per-conn", 10, "--churn", "-n", 200,
                           "--verify", "--mode", "pipeline")
    assert result["messages"] == 200 and result["opened"] >= 20


def test_sources_are_used_in_turn():
    def handler(connection):
        accept_upgrade(connection)
        echo_frames(connection)

    with RawServer(handler) as server:
        clean_run(server.url, "-c", 6, "-n", 6, "--source", "127.0.0.7,127.0.9.0/30")
    assert sorted(server.peers) == ["127.0.0.7"] * 2 + ["127.0.9.1"] * 2 + ["127.0.9.2"] * 2


# ---- endings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [["--mode", "pingpong"], ["--mode", "pipeline", "--depth", "9"],
                                  ["--mode", "rate", "--rate", "5000"]])
def test_half_close_still_reads_every_answer(echo, mode):
    result = clean_run(echo.url, "-c", 3, "-n", 90, "--verify", "--half-close", "--size", "50k",
                       *mode)
    assert result["messages"] == 90 and result["close_codes"] == {}


def test_half_close_sends_fin_before_the_answers():
    def handler(connection):
        accept_upgrade(connection)
        messages = [connection.read_frame().payload for _ in range(5)]
        assert connection.at_end()  # and only now are they answered
        for message in messages:
            connection.send(frame(BINARY, message))

    with RawServer(handler) as server:
        result = clean_run(server.url, "--messages-per-conn", 5, "--mode", "pipeline", "--verify",
                           "--half-close")
    assert result["messages"] == 5


def test_reset_is_a_reset():
    seen = []

    def handler(connection):
        accept_upgrade(connection)
        connection.send(frame(BINARY, connection.read_frame().payload))
        try:
            connection.read_frame()
        except (ConnectionResetError, EOFError) as error:
            seen.append(type(error))

    with RawServer(handler) as server:
        clean_run(server.url, "-n", 1, "--reset")
    assert seen == [ConnectionResetError]


def test_no_close_is_a_fin():
    def handler(connection):
        accept_upgrade(connection)
        connection.send(frame(BINARY, connection.read_frame().payload))
        assert connection.at_end()

    with RawServer(handler) as server:
        clean_run(server.url, "-n", 1, "--close", "none")


def test_stall_does_not_read(echo):
    result = clean_run(echo.url, "-c", 3, "-n", 3, "--stall", "0.3")
    assert result["latency_us"]["min"] >= 300000


def test_stall_goes_on_sending_and_loses_nothing(echo):
    # 100 x 100 kB do not fit the socket buffers: only the stall's end lets the last ones out.
    result = clean_run(echo.url, "-n", 100, "--mode", "pipeline", "--depth", 100, "--size", "100k",
                       "--verify", "--stall", "0.3")
    assert result["messages"] == 100 and result["latency_us"]["max"] >= 300000


def test_expected_refusals_are_successes():
    with BenchServer("--path", "/yes") as server:
        result = clean_run(server.url + "no", "-c", 3, "--expect-status", 404)
        assert result["refused"] == 3 and result["opened"] == result["failed"] == 0
        result = clean_run(server.url + "no", "-c", 3, "--mode", "handshake", "-n", 30,
                           "--expect-status", 404)
        assert result["refused"] == result["handshakes"] == 30
        result = clean_run(server.url + "yes", "-n", 3, "--expect-status", 101)
        assert result["opened"] == 1


# ---- the open loop -----------------------------------------------------------------------------


def test_rate_counts_latency_from_the_time_a_message_was_due():
    """A server that stops once for half a second delays every message that was due meanwhile, not
    only the one that it was asked."""
    async def handler(ws):
        import asyncio
        n = 0
        async for message in ws:
            n += 1
            if n == 20:
                await asyncio.sleep(0.5)
            await ws.send(message)

    with library_server(handler) as url:
        result = clean_run(url, "--mode", "rate", "--rate", 200, "-n", 200, "--verify")
    # Messages 20..40 were due at 0.1..0.2 s and waited until 0.6 s.
    assert result["latency_us"]["p90"] >= 350000


def test_rate_says_when_it_falls_behind(echo):
    result = clean_run(echo.url, "--mode", "rate", "--rate", "1000m", "-d", "0.2")
    assert result["unsent"] > 0


# ---- servers of other makers -------------------------------------------------------------------


LOADS = [["--size", "0-3000", "--text"], ["--mix", "1:1,70k:1", "--fragment", "3"],
         ["--mode", "pipeline", "--size", "1-500"], ["--ping", "0.01", "--text"]]


@pytest.mark.parametrize("load", LOADS)
def test_python_websockets(load):
    async def handler(ws):
        async for message in ws:
            await ws.send(message)

    with library_server(handler) as url:
        result = clean_run(url, "-c", 4, "-n", 400, "--verify", *load)
    assert result["messages"] == 400


NODE_SERVER = """
const { WebSocketServer } = require("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true },
	() => console.log(server.address().port));
server.on("connection", (ws) =>
	ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary })));
"""


@pytest.mark.skipif(not (NODE_MODULES / "ws").is_dir(), reason="npm's ws is not in build/node")
@pytest.mark.parametrize("load", LOADS)
def test_node_ws(load):
    node = subprocess.Popen(["node", "-e", NODE_SERVER], stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "NODE_PATH": str(NODE_MODULES)})
    try:
        port = int(node.stdout.readline())
        result = clean_run(f"ws://127.0.0.1:{port}/", "-c", 4, "-n", 400, "--verify", *load)
    finally:
        node.kill()
        node.wait()
        node.stdout.close()
    assert result["messages"] == 400


# ---- output and signals ------------------------------------------------------------------------


def test_table(echo):
    done = subprocess.run([BENCH, "client", echo.url, "-c", "2", "-n", "10"], capture_output=True,
                          text=True, timeout=PATIENCE_S, check=True)
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "pingpong, 2 connections, 1 thread" in rows["target"]
    assert "2 opened, 0 failed" in rows["connections"]
    assert rows["messages"].split()[1] == "10,"
    assert rows["errors"].split()[1] == "none"
    assert {"latency", "handshake", "cpu"} <= set(rows)
    assert done.stderr == ""  # no progress line without a terminal


def test_json_keys(echo):
    result = clean_run(echo.url, "-c", 2, "-n", 10)
    quantiles = {"count", "min", "mean", "p50", "p90", "p99", "p99_9", "max"}
    assert set(result) == {
        "target", "mode", "connections", "threads", "seed", "opened", "failed", "refused",
        "messages", "messages_total", "bytes", "handshakes", "pongs", "unsent", "unchecked",
        "errors_total", "msgs_per_s", "mbytes_per_s", "handshakes_per_s", "latency_us",
        "handshake_us", "errors", "close_codes", "duration_s", "cpu_s",
        "system_cpu_s", "interrupted", "stream_sent", "stream_received"}
    assert set(result["errors"]) == {"connect", "handshake", "status", "timeout", "mismatch",
                                     "protocol", "reset", "early_close"}
    assert set(result["latency_us"]) == set(result["handshake_us"]) == quantiles
    ordered = [result["latency_us"][key] for key in ("min", "p50", "p90", "p99", "p99_9", "max")]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_prints_what_it_has(number):
    def handler(connection):
        accept_upgrade(connection)
        for _ in range(10):
            connection.send(frame(BINARY, connection.read_frame().payload))
        os.kill(client.pid, number)
        echo_frames(connection)

    with RawServer(handler) as server:
        client = subprocess.Popen([BENCH, "client", server.url, "--verify", "--json", "-d", "1h"],
                                  stdout=subprocess.PIPE, text=True)
        out, _ = client.communicate(timeout=PATIENCE_S)
    result = json.loads(out)
    assert client.returncode == 0 and result["interrupted"] and result["messages"] >= 10


def test_a_signal_waits_for_answers_on_their_way():
    def handler(connection):
        accept_upgrade(connection)
        message = connection.read_frame()
        os.kill(client.pid, signal.SIGINT)
        time.sleep(2)
        connection.send(frame(BINARY, message.payload))
        echo_frames(connection)

    with RawServer(handler) as server:
        client = subprocess.Popen([BENCH, "client", server.url, "--verify", "--json", "-d", "1h"],
                                  stdout=subprocess.PIPE, text=True)
        out, _ = client.communicate(timeout=PATIENCE_S)
    result = json.loads(out)
    assert client.returncode == 0 and result["interrupted"]
    assert (result["messages"], result["unchecked"]) == (1, 0)
    assert result["close_codes"] == {"1000": 1}


def kill_twice(process):
    """The second one is another signal: two of a kind that are pending are one."""
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGINT)


def test_a_second_signal_does_not_wait_for_a_stuck_peer():
    def handler(connection):
        accept_upgrade(connection)
        connection.read_frame()
        kill_twice(client)
        connection.read_frame()

    with RawServer(handler) as server:
        client = subprocess.Popen([BENCH, "client", server.url, "--json", "--timeout", "1h", "-d",
                                   "1h"], stdout=subprocess.PIPE, text=True)
        out, _ = client.communicate(timeout=PATIENCE_S)
    result = json.loads(out)
    assert client.returncode == 0 and result["interrupted"] and result["unchecked"] == 1


def test_a_second_signal_does_not_wait_for_a_close_either():
    def handler(connection):
        accept_upgrade(connection)
        connection.send(frame(BINARY, connection.read_frame().payload))
        assert connection.read_frame().opcode == CLOSE
        kill_twice(client)
        connection.read_frame()

    with RawServer(handler) as server:
        client = subprocess.Popen([BENCH, "client", server.url, "--json", "--timeout", "1h", "-n",
                                   "1"], stdout=subprocess.PIPE, text=True)
        out, _ = client.communicate(timeout=PATIENCE_S)
    result = json.loads(out)
    assert client.returncode == 0 and result["interrupted"] and result["messages"] == 1


def test_a_run_without_a_target_ends():
    result, err = run_client("ws://127.0.0.1:1/", "-c", 30, status=1)
    assert result["failed"] == result["errors"]["connect"] == 30
    assert err.count("\n") == 10  # described are the first ten
