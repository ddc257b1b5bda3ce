# SPDX-License-Identifier: Apache-2.0
"""sluice-bench client finds what is wrong: each check of it is seen to fail here."""

import resource
import socket
import struct
import subprocess

import pytest

from bench_peers import (BENCH, BINARY, CLOSE, PATIENCE_S, PING, PONG, TEXT, BenchServer,
                         RawServer, accept_upgrade, clean_run, failing_run, field, frame,
                         library_server)

N = 60  # messages of a run; the seventh is tampered with


def flip(at):
    def mutate(n, message):
        if n == 6:
            message = bytearray(message)
            message[at] ^= 1
        return [bytes(message)]
    return mutate


def swap(n, message, held=[]):  # pylint: disable=dangerous-default-value
    if n == 6:
        held[:] = [message]
        return []
    return [message, held.pop()] if held else [message]


MUTATIONS = {
    "first byte": flip(0),
    "a byte in the middle": flip(2000),
    "last byte": flip(-1),
    "shorter": lambda n, m: [m[:-1] if n == 6 else m],
    "longer": lambda n, m: [m + b"\0" if n == 6 else m],
    "empty": lambda n, m: [b"" if n == 6 else m],
    "twice": lambda n, m: [m, m] if n == 6 else [m],
    "dropped": lambda n, m: [] if n == 6 else [m],
    "swapped with the next": swap,
    "text instead of binary": lambda n, m: ["x" * len(m) if n == 6 else m],
}
# What is found without comparing contents; messages of one size hide their order, and one more of
# them only shows at the end (test_a_message_after_the_last_answer_is_found).
STRUCTURAL = {"shorter", "longer", "empty", "text instead of binary"}


def run_mutated(mutate, *options, run=failing_run, kind=("mismatch",)):
    async def handler(ws):
        n = 0
        async for message in ws:
            for answer in mutate(n, message):
                await ws.send(answer)
            n += 1

    with library_server(handler) as url:
        return run(*kind, url, "-n", N, "--size", 4000, *options)


@pytest.mark.parametrize("name", MUTATIONS)
def test_verify_finds_it_among_pipelined_messages(name):
    result, err = run_mutated(MUTATIONS[name], "--mode", "pipeline", "--verify")
    assert result["errors"]["mismatch"] == 1 and result["messages"] in (6, 7)
    assert "mismatch" in err


@pytest.mark.parametrize("name", sorted(set(MUTATIONS) - {"dropped", "swapped with the next"}))
def test_verify_finds_it_one_by_one(name):
    run_mutated(MUTATIONS[name], "--verify")


def test_verify_finds_it_in_the_open_loop():
    run_mutated(MUTATIONS["last byte"], "--mode", "rate", "--rate", 2000, "--verify")


@pytest.mark.parametrize("name", sorted(STRUCTURAL))
def test_number_length_and_opcode_are_checked_always(name):
    run_mutated(MUTATIONS[name], "--mode", "pipeline")


def test_contents_are_not_compared_without_verify():
    run_mutated(MUTATIONS["first byte"], run=clean_run, kind=())


@pytest.mark.parametrize("options", [(), ("--verify",)], ids=["plain", "verify"])
def test_a_message_after_the_last_answer_is_found(options):
    """The client has all that it asked for, and says Close: only then the surplus comes."""
    def handler(connection):
        accept_upgrade(connection)
        message = connection.read_frame().payload
        connection.send(frame(BINARY, message))
        close = connection.read_frame()
        connection.send(frame(BINARY, message) + frame(CLOSE, close.payload))

    with RawServer(handler) as server:
        failing_run("mismatch", server.url, "-n", 1, *options)


def test_the_source_is_verified():
    with BenchServer("--mode", "source", "--seed", 5, "--size", 100) as server:
        failing_run("mismatch", server.url, "--mode", "receive", "--verify", "--seed", 6,
                    "--size", 100)
        failing_run("mismatch", server.url, "--mode", "receive", "--verify", "--seed", 5,
                    "--size", 101)


def test_answers_in_send_mode_are_errors():
    with BenchServer() as server:
        failing_run("mismatch", server.url, "--mode", "send", "-n", 1000)


# ---- a peer that misbehaves --------------------------------------------------------------------


def raw_run(kind, after_upgrade, *options):
    """One connection to a server that does @after_upgrade(connection, its first frame)."""
    def handler(connection):
        accept_upgrade(connection)
        after_upgrade(connection, connection.read_frame())

    with RawServer(handler) as server:
        return failing_run(kind, server.url, "-n", 1, "--verify", *options)


def linger_reset(connection, _):
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


MISBEHAVIOURS = {
    "reserved bit": ("protocol", lambda c, f: c.send(frame(BINARY, f.payload, first=0xC2))),
    "reserved opcode": ("protocol", lambda c, f: c.send(frame(3, f.payload))),
    "masked frame": ("protocol", lambda c, f: c.send(frame(BINARY, f.payload, mask=b"abcd"))),
    "length not minimal": ("protocol", lambda c, f: c.send(b"\x82\x7e\x00\x40" + f.payload)),
    "long ping": ("protocol", lambda c, f: c.send(frame(PING, b"x" * 126))),
    "continuation of nothing": ("protocol", lambda c, f: c.send(frame(0, f.payload))),
    "bad close code": ("protocol", lambda c, f: c.send(frame(CLOSE, b"\x03\xed"))),
    "close instead of an answer": (
        "early_close", lambda c, f: (c.send(frame(CLOSE, b"\x03\xf1too big")), c.read_frame())),
    "FIN instead of an answer": ("early_close", lambda c, f: None),
    "FIN in an answer": ("early_close", lambda c, f: c.send(frame(BINARY, f.payload)[:10])),
    "RST instead of an answer": ("reset", linger_reset),
    "no answer": ("timeout", lambda c, f: c.read_frame()),
    "half an answer": (
        "timeout", lambda c, f: (c.send(frame(BINARY, f.payload)[:10]), c.read_frame())),
    "no answer to Close": (
        "timeout", lambda c, f: (c.send(frame(BINARY, f.payload)), c.read_frame(),
                                 c.read_frame())),
    "FIN instead of Close": (
        "early_close", lambda c, f: (c.send(frame(BINARY, f.payload)), c.read_frame())),
    "frame after Close": (
        "protocol", lambda c, f: (c.send(frame(BINARY, f.payload)), c.read_frame(),
                                  c.send(frame(CLOSE) + frame(BINARY)))),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_misbehaviour(name):
    kind, act = MISBEHAVIOURS[name]
    raw_run(kind, act, "--timeout", "0.5" if kind == "timeout" else "30")


def test_text_that_is_not_utf8():
    raw_run("protocol", lambda c, f: c.send(frame(TEXT, b"\xff" + f.payload[1:])), "--text")


def test_the_reason_of_an_early_close_is_told():
    result, err = raw_run("early_close", MISBEHAVIOURS["close instead of an answer"][1])
    assert "1009" in err and "too big" in err
    assert result["close_codes"] == {"1009": 1}


def test_half_close_wants_every_answer():
    def handler(connection):
        accept_upgrade(connection)
        first = connection.read_frame().payload
        connection.read_frame()
        assert connection.at_end()
        connection.send(frame(BINARY, first))

    with RawServer(handler) as server:
        failing_run("early_close", server.url, "--messages-per-conn", 2, "--mode", "pipeline",
                    "--half-close")


def ping_server(answer):
    def handler(connection):
        accept_upgrade(connection)
        ping = connection.read_frame()
        assert ping.opcode == PING
        answer(connection, ping)
        connection.read_frame()

    return RawServer(handler)


def test_a_pong_with_another_payload():
    with ping_server(lambda c, p: c.send(frame(PONG, p.payload[:-1] + b"?"))) as server:
        failing_run("mismatch", server.url, "--mode", "idle", "-d", "30", "--ping", "0.05")


def test_no_pong():
    with ping_server(lambda c, p: None) as server:
        failing_run("timeout", server.url, "--mode", "idle", "-d", "30", "--ping", "0.05",
                    "--timeout", "0.3")


def test_an_idle_connection_that_is_closed():
    def handler(connection):
        accept_upgrade(connection)

    with RawServer(handler) as server:
        failing_run("early_close", server.url, "--mode", "idle", "-d", "30")


def test_every_stuck_connection_is_counted():
    def handler(connection):
        accept_upgrade(connection)
        connection.read_frame()
        connection.read_frame()

    with RawServer(handler) as server:
        result, _ = failing_run("timeout", server.url, "-c", 12, "-t", 2, "--timeout", "0.3")
    assert result["errors"]["timeout"] == 12 and result["opened"] == 12


# ---- upgrades ----------------------------------------------------------------------------------


def upgrade_run(kind, response, *options):
    def handler(connection):
        head = connection.read_head()
        connection.send(response(head))
        connection.read(1)

    with RawServer(handler) as server:
        result, err = failing_run(kind, server.url, *options)
    assert result["failed"] == 1 and result["opened"] == 0
    return err


GOOD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
WRONG_ACCEPT = b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"


@pytest.mark.parametrize("response", [
    GOOD + b"\r\n", GOOD + WRONG_ACCEPT + b"\r\n", b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"\0\0\0\0\r\n\r\n"])
def test_an_invalid_upgrade(response):
    # RFC 6455 s4.1: the client fails the connection.
    upgrade_run("handshake", lambda head: response)


def test_another_status():
    err = upgrade_run("status", lambda head: b"HTTP/1.1 503 Go Away\r\n\r\n")
    assert "503" in err
    upgrade_run("status", lambda head: b"HTTP/1.1 503 Go Away\r\n\r\n", "--expect-status", 404)


def test_no_response():
    upgrade_run("timeout", lambda head: b"HTTP/1.1 101 Swi", "--connect-timeout", "0.3")


def test_an_accepted_upgrade_that_was_to_be_refused():
    with BenchServer() as server:
        failing_run("status", server.url, "--expect-status", 404)


def test_a_subprotocol_that_was_not_offered():
    def handler(connection):
        assert field(accept_upgrade(connection, b"Sec-WebSocket-Protocol: c\r\n"),
                     b"Sec-WebSocket-Protocol") == b"a,b"
        connection.read(1)

    with RawServer(handler) as server:
        failing_run("handshake", server.url, "--protocol", "a,b")


def test_a_run_whose_target_dies_ends():
    """With --churn and -n, but no --duration, nothing else would end it."""
    def handler(connection):
        if len(server.peers) > 1:
            connection.read_head()
            return
        accept_upgrade(connection)
        connection.send(frame(BINARY, connection.read_frame().payload))
        connection.send(frame(CLOSE, connection.read_frame().payload))

    with RawServer(handler) as server:
        result, _ = failing_run("early_close", server.url, "-n", 50, "--churn",
                                "--messages-per-conn", 1)
    assert result["opened"] == result["messages"] == 1
    assert result["failed"] == result["errors"]["early_close"] == 21
    failing_run("connect", "ws://127.0.0.1:1/", "-n", 5, "--mode", "handshake")


def test_a_source_address_that_is_not_ours():
    result, err = failing_run("connect", "ws://127.0.0.1:1/", "--source", "192.0.2.1")
    assert "assign" in err and result["failed"] == 1


# ---- usage -------------------------------------------------------------------------------------

URL = "ws://127.0.0.1:1/"
# Each with a word that its message must hold besides the value.
BAD_CLIENT = [
    ([], "target"), ([URL, URL], "one target"), (["http://127.0.0.1/"], "ws://"),
    (["wss://127.0.0.1/"], "TLS"), (["ws://no.such.host.invalid/"], "no.such.host.invalid"),
    ([URL, "--connections", "0"], "1..1000000"), ([URL, "-c", "x"], "--connections"),
    ([URL, "-c", "-5"], "--connections"), ([URL, "-t", "2"], "--threads"),
    ([URL, "--mode", "pong"], "pingpong"), ([URL, "--mode", "rate"], "--rate"),
    ([URL, "--rate", "5"], "--mode rate"), ([URL, "--rate", "0", "--mode", "rate"], "--rate"),
    ([URL, "--depth", "5"], "--mode pipeline"), ([URL, "--size", "5-4"], "--size"),
    ([URL, "--size", "2g"], "--size"), ([URL, "--mix", "64"], "64:70"),
    ([URL, "--size", "5", "--mix", "5:1"], "--mix"), ([URL, "-d", "10x"], "--duration"),
    ([URL, "-d", "0"], "--duration"), ([URL, "--source", "127.0.0.1/40"], "--source"),
    ([URL, "--source", "::1"], "--source"), ([URL, "--close", "1005"], "--close"),
    ([URL, "--close", "999"], "--close"), ([URL, "--expect-status", "99"], "100..599"),
    ([URL, "--header", "no colon"], "--header"), ([URL, "--header", "a:b\r\nc:d"], "--header"),
    ([URL, "--protocol", "a b"], "--protocol"), ([URL, "--path", "x"], "--path"),
    ([URL, "--path", "/a b"], "--path"), ([URL, "--host", "a\r\nb"], "--host"),
    ([URL, "--half-close", "--reset"], "--reset"), ([URL, "--churn"], "--messages-per-conn"),
    ([URL, "--half-close", "--mode", "idle"], "--half-close"),
    ([URL, "--verify", "--mode", "send"], "--verify"),
    ([URL, "-n", "5", "--mode", "idle"], "--messages"), ([URL, "--seed", "x"], "--seed"),
    ([URL, "--fragment", "0"], "--fragment"), ([URL, "--size"], "--size: no value"),
    ([URL, "--verify=yes"], "--verify: takes no value"), ([URL, "--nosuch"], "--nosuch"),
    ([URL, "-Z"], "-Z"), ([URL, "-m", "pipeline", "-c", "1000000", "--depth", "65536"], "--depth"),
]
BAD_SERVER = [
    ([], "--listen"), (["--listen", "127.0.0.1"], "--listen"), (["x"], "options only"),
    (["--listen", "127.0.0.1:0,"], "--listen"), (["--listen", "127.0.0.1:70000"], "--listen"),
    (["--listen", "127.0.0.1:0", "--mode", "x"], "echo, sink or source"),
    (["--listen", "127.0.0.1:0", "--workers", "0"], "1..256"),
    (["--listen", "127.0.0.1:0", "--max-message", "0"], "--max-message"),
]


def usage(*arguments):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, check=False,
                          timeout=PATIENCE_S)


@pytest.mark.parametrize("arguments, word", [(["client", *a], w) for a, w in BAD_CLIENT] +
                         [(["server", *a], w) for a, w in BAD_SERVER] + [(["x"], "'x'")])
def test_bad_arguments_are_named_in_one_line(arguments, word):
    done = usage(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and word in done.stderr, done.stderr


def test_no_arguments():
    done = usage()
    assert done.returncode == 2 and "usage" in done.stderr


@pytest.mark.parametrize("command", ["client", "server"])
def test_help_names_every_option(command):
    done = usage(command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    options = {line.split("--", 1)[1].split()[0] for line in done.stdout.splitlines()
               if line.startswith("  ") and "--" in line[:10]}
    assert {"mode", "size", "seed", "json", "help"} <= options
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_version():
    assert usage("--version").stdout.startswith("sluice-bench 0.")


def test_too_few_descriptors_are_told_before_the_run():
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    done = subprocess.run([BENCH, "client", URL, "-c", "100"], capture_output=True, text=True,
                          preexec_fn=lower, check=False, timeout=PATIENCE_S)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "--connections" in done.stderr and "64" in done.stderr
