# SPDX-License-Identifier: Apache-2.0
"""sluice-bench server against a library's client and against bytes."""

import asyncio
import resource
import select
import socket
import struct
import subprocess
import time

import pytest
import websockets

from bench_peers import (BENCH, BINARY, CLOSE, CONTINUATION, PATIENCE_S, PING, PONG, TEXT,
                         BenchServer, clean_run, field, frame, open_upgrade)

MASK = b"\x12\x34\x56\x78"


def client_frame(opcode, payload=b"", **keywords):
    return frame(opcode, payload, mask=MASK, **keywords)


@pytest.fixture(name="server", scope="module")
def server_fixture():
    with BenchServer("--max-message", "1m") as server:
        yield server


@pytest.fixture(name="connection")
def connection_fixture(server):
    with server.connect() as sock:
        yield open_upgrade(sock)[0]


# ---- echo --------------------------------------------------------------------------------------


def test_a_library_client(server):
    async def talk():
        async with websockets.connect(server.url, max_size=None) as ws:
            for message in ("", "x", "äöü" * 5000, b"", b"\0" * 125, b"y" * 126, b"z" * 70000):
                await ws.send(message)
                assert await ws.recv() == message
            await ws.send(["a", "b", "c"])
            assert await ws.recv() == "abc"
            await (await ws.ping(b"hello"))
            await ws.close(4000, "bye")
            return ws.close_code

    assert asyncio.run(talk()) == 4000


def test_frames_stay_frames(connection):
    sent = [(TEXT, False, b"a"), (CONTINUATION, False, b"b" * 300), (CONTINUATION, True, b"c"),
            (BINARY, True, b"d" * 40000)]
    connection.send(b"".join(client_frame(op, p, fin=fin) for op, fin, p in sent))
    got = [connection.read_frame() for _ in sent]
    assert [(one.opcode, one.fin, one.payload) for one in got] == sent
    assert {one.mask for one in got} == {None}  # RFC 6455 s5.1


def test_a_frame_that_comes_byte_by_byte(connection):
    for byte in client_frame(TEXT, "grün".encode()):
        connection.send(bytes([byte]))
    assert connection.read_frame().payload.decode() == "grün"


def test_a_long_frame_comes_back_in_parts(connection):
    payload = bytes(range(256)) * 1024
    connection.send(client_frame(BINARY, payload))
    assert connection.read_message() == payload


def test_ping_between_fragments(connection):
    # RFC 6455 s5.4, s5.5.3
    connection.send(client_frame(TEXT, b"a", fin=False) + client_frame(PING, b"p" * 125) +
                    client_frame(CONTINUATION, b"b"))
    got = [connection.read_frame() for _ in range(3)]
    assert [(one.opcode, one.payload) for one in got] == [
        (TEXT, b"a"), (PONG, b"p" * 125), (CONTINUATION, b"b")]


def test_frames_right_behind_the_request(server):
    with server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
                     client_frame(BINARY, b"early"))
        reply = b""
        while not reply.endswith(b"\x82\x05early"):
            data = sock.recv(4096)
            assert data
            reply += data
        # The example of RFC 6455 s1.3.
        assert field(reply, b"Sec-WebSocket-Accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("code", [1000, 3000, 4999])
def test_close_is_answered_with_its_code(connection, code):
    connection.send(client_frame(BINARY, b"x") + client_frame(CLOSE, struct.pack("!H", code)))
    assert connection.read_frame().payload == b"x"
    assert connection.read_frame().payload == struct.pack("!H", code)
    assert connection.at_end()  # RFC 6455 s7.1.1: the server closes first


def test_an_empty_close(connection):
    connection.send(client_frame(CLOSE))
    close = connection.read_frame()
    assert (close.opcode, close.payload) == (CLOSE, b"")


@pytest.mark.parametrize("data, code", [
    (frame(BINARY, b"not masked"), 1002), (client_frame(BINARY, b"x", first=0xC2), 1002),
    (client_frame(3, b"x"), 1002), (client_frame(CONTINUATION, b"x"), 1002),
    (client_frame(PING, b"x", fin=False), 1002), (client_frame(CLOSE, b"x"), 1002),
    (client_frame(TEXT, b"\xc3\x28"), 1007), (b"\x82\xff" + struct.pack("!Q", 2 << 20) + MASK, 1009)])
def test_violations_close(connection, data, code):
    connection.send(client_frame(BINARY, b"before") + data)
    assert connection.read_frame().payload == b"before"
    close = connection.read_frame()
    assert (close.opcode, close.payload[:2]) == (CLOSE, struct.pack("!H", code))


def test_messages_over_the_limit(connection):
    half = b"x" * (600 << 10)
    connection.send(client_frame(BINARY, half, fin=False) + client_frame(CONTINUATION, half))
    while (one := connection.read_frame()).opcode != CLOSE:
        pass
    assert one.payload[:2] == struct.pack("!H", 1009)


def test_half_close_gets_every_echo(connection):
    for n in range(50):
        connection.send(client_frame(BINARY, bytes([n]) * 10000))
    connection.sock.shutdown(socket.SHUT_WR)
    assert [connection.read_message() for _ in range(50)] == [bytes([n]) * 10000
                                                              for n in range(50)]
    assert connection.at_end()


def test_a_client_that_does_not_read_is_not_read_from(connection):
    """What a server takes in without an end it must keep: it stops, and loses nothing."""
    message = client_frame(BINARY, bytes(range(256)) * 256)
    sock, sent, limit = connection.sock, 0, 256 << 20
    sock.setblocking(False)
    while sent < limit and select.select([], [sock], [], 1)[1]:
        with_rest = message[sent % len(message):]
        sent += sock.send(with_rest)
    assert sent < limit
    sock.settimeout(PATIENCE_S)
    for _ in range(sent // len(message)):
        assert connection.read_message() == bytes(range(256)) * 256


# ---- upgrade -----------------------------------------------------------------------------------


def refused(server, head):
    with server.connect() as sock:
        sock.sendall(head)
        reply = b""
        while data := sock.recv(4096):
            reply += data
    return int(reply.split()[1]), reply


def test_refusals(server):
    assert refused(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 426
    assert refused(server, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")[0] in (405, 426)
    assert refused(server, b"\r\n\r\n")[0] == 400
    assert refused(server, b"GET / HTTP/1.1\r\nX: " + b"y" * 20000)[0] == 431


def test_path_and_protocol():
    with BenchServer("--path", "/x", "--protocol", "b") as server:
        with server.connect() as sock:
            _, head = open_upgrade(sock, "/y")
            assert head.startswith(b"HTTP/1.1 404 ")
        for offered, chosen in (("a, b", b"b"), ("a", None), (None, None)):
            with server.connect() as sock:
                _, head = open_upgrade(sock, "/x?query", offered)
                assert head.startswith(b"HTTP/1.1 101 ")
                assert field(head, b"Sec-WebSocket-Protocol") == chosen
        assert server.stop() == {"connections": 3, "refused": 1, "messages": 0, "bytes": 0,
                                 "sent": 0, "aborted": 0, "stream_sent": 0,
                                 "stream_received": 0}


def test_the_first_protocol_by_default(server):
    with server.connect() as sock:
        _, head = open_upgrade(sock, protocol="a, b")
        assert field(head, b"Sec-WebSocket-Protocol") == b"a"


# ---- the process -------------------------------------------------------------------------------


def test_several_addresses_and_workers(tmp_path):
    listen = f"127.0.0.1:0,127.0.0.2:0,[::1]:0,unix:{tmp_path}/s"
    with BenchServer(listen=listen, workers=3) as server:
        assert len(server.addresses) == 4
        for address in server.addresses:
            url = address if address.startswith("unix:") else f"ws://{address}/"
            assert clean_run(url, "-c", 20, "-n", 100, "--verify")["messages"] == 100
        assert server.stop()["connections"] == 80


def test_stopping_says_going_away():
    with BenchServer() as server:
        with server.connect() as sock:
            connection, _ = open_upgrade(sock)
            connection.send(client_frame(BINARY, b"x"))
            connection.read_frame()
            server.stop()
            assert connection.read_frame().payload == struct.pack("!H", 1001)
            assert connection.at_end()


def start_refused(listen):
    done = subprocess.run([BENCH, "server", "--listen", listen], capture_output=True, text=True,
                          check=False, timeout=PATIENCE_S)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and listen in done.stderr and "in use" in done.stderr


def test_an_address_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        start_refused(f"127.0.0.1:{taken.getsockname()[1]}")
    with BenchServer(listen=f"unix:{tmp_path}/s") as server:
        start_refused(server.addresses[0])
        assert clean_run(server.addresses[0], "-n", 1)["messages"] == 1


def test_a_socket_file_left_behind_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/s")
    with BenchServer(listen=f"unix:{tmp_path}/s") as server:
        assert clean_run(server.addresses[0], "-n", 1)["messages"] == 1


def test_a_source_answers_between_its_frames():
    with BenchServer("--mode", "source", "--size", "5m") as server, server.connect() as sock:
        connection, _ = open_upgrade(sock)
        for asked, answer in ((PING, PONG), (CLOSE, CLOSE)):
            connection.send(client_frame(asked, b"\x03\xe8"))
            while (one := connection.read_frame()).opcode != answer:
                assert one.opcode == BINARY and len(one.payload) == 5 << 20
            assert one.payload == b"\x03\xe8"


def test_connections_wait_while_descriptors_are_short():
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    with BenchServer(preexec_fn=lower) as server:
        socks = [server.connect() for _ in range(60)]
        try:
            open_upgrade(socks[0])
            for sock in socks[:-1]:
                sock.close()
            open_upgrade(socks[-1])
        finally:
            socks[-1].close()


def test_idle_connections_cost_no_cpu(server):
    def ticks():
        with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    with server.connect() as sock:
        open_upgrade(sock)
        before = ticks()
        time.sleep(0.5)
        assert ticks() - before <= 10  # a loop that spins takes 50
