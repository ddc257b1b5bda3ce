# SPDX-License-Identifier: Apache-2.0
"""Classes on the relay and at the echo endpoint: rates, marks, what a reload changes."""

import contextlib
import socket
import struct
import threading

import pytest

from lib import env, foreign_socket, ws_raw
from lib.capture import OUTGOING, Capture
from lib.daemon import proxy_config
from lib.endpoint import RawEndpoint, tunnel

KB = 1024
SLACK = 2 * KB  # one small read beyond the bucket
SO_MAX_PACING_RATE = 47
NO_PACING = (1 << 64) - 1


def classes(**named):
    return "".join(f"class {name} {{ {keys} }}\n" for name, keys in named.items())


def relay_config(endpoint, name="all", keys="", **named):
    """No splice: what these tests are about is userspace."""
    route = f"class = {name}  splice = off" if name != "all" else "splice = off"
    return classes(**named) + proxy_config(endpoint.address, route=route + " " + keys)


def row_of(daemon):
    (row,) = daemon.connections()
    return row


def wait_open(daemon, count):
    """Its client may see the 101 a little before."""
    env.until(
        lambda: [row["state"] for row in daemon.connections()] == ["open"] * count, "open ones"
    )


def assert_within(row, key, rate, burst, slack=SLACK):
    """By the gateway's own clock, and by the same look at it. An age is cut to whole ms."""
    assert row[key] <= burst + rate * (row["age_ms"] + 1) / 1000 + slack, row


@contextlib.contextmanager
def pouring(sock, data):
    """@data goes into @sock from another thread, which gives up when the socket is shut down."""

    def pour():
        with contextlib.suppress(OSError):
            sock.sendall(data)

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        thread.join()


def watch(daemon, sock, want, check):
    """Reads from @sock until @want bytes have come, and checks a listing now and then."""
    got = bytearray()
    checked = 0
    while len(got) < want:
        chunk = sock.recv(1 << 18)
        assert chunk, f"the end, behind {len(got)} of {want} bytes"
        got += chunk
        if len(got) - checked > want // 8:
            checked = len(got)
            check(row_of(daemon))
    return bytes(got)


RATE = 400 * KB
BURST = 16 * KB
SLOW = f"rate_bytes = {RATE}  burst_bytes = {BURST}"
AMOUNT = 160 * KB


@pytest.mark.parametrize("direction", ["in", "out"])
def test_bytes_wait_and_none_is_lost(sluiced, endpoint, direction):
    daemon = sluiced(relay_config(endpoint, "slow", slow=SLOW))
    client, server = tunnel(daemon, endpoint)
    with client, server:
        mask = b"wxyz" if direction == "in" else None
        data = b"".join(
            ws_raw.frame(ws_raw.BINARY, bytes([i % 251]) * (KB - 8), mask=mask)
            for i in range(AMOUNT // KB)
        )
        source, sink = (client, server) if direction == "in" else (server, client)
        with pouring(source.sock, data):
            got = watch(
                daemon,
                sink.sock,
                len(data),
                lambda row: assert_within(row, f"bytes_{direction}", RATE, BURST),
            )
        assert got == data

    def pauses():
        (slow,) = [row for row in daemon.ctl("show.classes") if row["class"] == "slow"]
        return slow["pauses"]

    # The last one may be under way.
    before = pauses()
    counted = daemon.metrics()("sluice_class_pauses_total", **{"class": "slow"})
    assert 0 < before <= counted <= pauses()


def test_each_direction_has_its_own(sluiced, endpoint):
    """One that has used its bucket up does not hold the other one back."""
    daemon = sluiced(relay_config(endpoint, "slow", slow="rate_bytes = 4kb  burst_bytes = 8kb"))
    client, server = tunnel(daemon, endpoint)
    with client, server:
        frame = ws_raw.frame(ws_raw.BINARY, b"x" * 200 * KB, mask=b"abcd")
        with pouring(client.sock, frame):
            env.until(lambda: row_of(daemon)["bytes_in"] >= 8 * KB, "the bucket to be empty")
            server.send(ws_raw.server_frame(ws_raw.TEXT, b"free"))
            client.expect_frame(ws_raw.TEXT, b"free")
            assert_within(row_of(daemon), "bytes_in", 4 * KB, 8 * KB)


@pytest.mark.parametrize("size", [0, 1, 300, 5000])
def test_frames_wait_on_the_relay(sluiced, endpoint, size):
    rate, burst, count = 200, 20, 80
    daemon = sluiced(
        relay_config(endpoint, "slow", slow=f"rate_frames = {rate}  burst_frames = {burst}")
    )
    client, server = tunnel(daemon, endpoint)
    with client, server:
        data = ws_raw.frame(ws_raw.BINARY, b"y" * size, mask=b"abcd") * count
        with pouring(client.sock, data):
            got = watch(
                daemon,
                server.sock,
                len(data),
                # A header may be longer than the shortest frame, so a read may have some more.
                lambda row: assert_within(row, "frames_in", rate, burst, slack=4),
            )
        assert got == data


def test_frames_wait_at_the_echo_endpoint(sluiced):
    rate, burst, count = 200, 20, 80
    daemon = sluiced(
        classes(slow=f"rate_frames = {rate}  burst_frames = {burst}")
        + 'route echo { match { path = "/echo" } echo = true  class = slow }\n'
    )
    with ws_raw.connect(daemon.address()) as client:
        client.send(ws_raw.frame(ws_raw.BINARY, b"ping", mask=b"abcd") * count)
        for i in range(count):
            client.expect_frame(ws_raw.BINARY, b"ping")
            if i % 20 == 0:
                assert_within(row_of(daemon), "frames_in", rate, burst, slack=4)


def test_classes_share_by_their_rates(sluiced, endpoint):
    """Two that never wait for their peers, at the same time: each within its own rate, and the
    faster one gets ahead."""
    fast = 4 * RATE
    daemon = sluiced(
        classes(slow=SLOW, fast=f"rate_bytes = {fast}  burst_bytes = {BURST}")
        + proxy_config(
            endpoint.address, name="s", match="path = /s", route="class = slow splice = off"
        )
        + proxy_config(
            endpoint.address, name="f", match="path = /f", route="class = fast splice = off"
        )
    )
    slow_client, slow_server = tunnel(daemon, endpoint, "/s")
    fast_client, fast_server = tunnel(daemon, endpoint, "/f")
    frame = ws_raw.server_frame(ws_raw.BINARY, b"z" * 4 * AMOUNT)
    with slow_client, fast_client, slow_server, fast_server:
        with pouring(slow_server.sock, frame), pouring(fast_server.sock, frame):
            drain = threading.Thread(target=lambda: slow_client.read_to_end())
            drain.start()
            fast_client.read_exactly(len(frame))
            (slow_row,) = daemon.connections(**{"class": "slow"})
            (fast_row,) = daemon.connections(**{"class": "fast"})
            slow_client.sock.shutdown(socket.SHUT_RDWR)
            drain.join()
    assert_within(slow_row, "bytes_out", RATE, BURST)
    assert_within(fast_row, "bytes_out", fast, BURST)
    assert slow_row["bytes_out"] < fast_row["bytes_out"]


def test_reload_changes_rates_of_live_connections(sluiced, endpoint):
    """At the first rate it would take four minutes."""
    slow = dict(slow="rate_bytes = 4kb  burst_bytes = 4kb")
    daemon = sluiced(relay_config(endpoint, "slow", **slow))
    client, server = tunnel(daemon, endpoint)
    with client, server:
        data = ws_raw.server_frame(ws_raw.BINARY, b"x" * 1000 * KB)
        with pouring(server.sock, data):
            env.until(lambda: row_of(daemon)["bytes_out"] >= 4 * KB, "the bucket to be empty")
            assert_within(row_of(daemon), "bytes_out", 4 * KB, 4 * KB)
            daemon.reload(relay_config(endpoint, "slow", slow=""))
            assert client.read_exactly(len(data)) == data


def test_close_does_not_wait_for_the_rate(sluiced, endpoint):
    daemon = sluiced(relay_config(endpoint, "slow", slow="rate_frames = 1  burst_frames = 1"))
    client, server = tunnel(daemon, endpoint)
    with client, server:
        client.send(ws_raw.frame(ws_raw.TEXT, b"x", mask=b"abcd") * 3000)
        env.until(lambda: row_of(daemon)["frames_in"] >= 1, "a frame")
        daemon.ctl("close", all=True)
        client.expect_close(1001)
        client.send(ws_raw.close_frame(1001, mask=b"abcd"))
        client.expect_end()
    daemon.wait_closed("closed_by_operator", 1)


# ---- marks ----------------------------------------------------------------------------------


def marks_of(sock):
    is_v6 = sock.family == socket.AF_INET6
    level, option = (
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if is_v6 else (socket.IPPROTO_IP, socket.IP_TOS)
    )
    pacing = struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 8))[0]
    return {
        "dscp": sock.getsockopt(level, option) >> 2,
        "priority": sock.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY),
        "pacing": pacing,
    }


def both_marks(daemon, client, endpoint):
    marks = []
    for port in client.sock.getsockname()[1], endpoint.port:
        with foreign_socket.connected_to(daemon.pid, port) as sock:
            marks.append(marks_of(sock))
    return marks


def test_marks_are_set_and_taken_back_by_a_reload(sluiced, endpoint):
    daemon = sluiced(relay_config(endpoint, "rt", rt="dscp = EF  priority = 5  pacing = 3mb"))
    client, server = tunnel(daemon, endpoint)
    with client, server:
        wait_open(daemon, 1)
        marked = dict(dscp=46, priority=5, pacing=3 << 20)
        assert both_marks(daemon, client, endpoint) == [marked, marked]

        def follows(keys, expected):
            daemon.reload(relay_config(endpoint, "rt", rt=keys))
            env.until(lambda: both_marks(daemon, client, endpoint) == [expected] * 2, keys)

        follows("dscp = 11  priority = 5  pacing = 3mb", dict(marked, dscp=11))
        follows("priority = 2", dict(dscp=0, priority=2, pacing=NO_PACING))
        follows("", dict(dscp=0, priority=0, pacing=NO_PACING))
        follows("dscp = AF41", dict(marks_with_dscp(34), pacing=NO_PACING))


def marks_with_dscp(dscp):
    """Without a priority of its own a packet has the kernel's, which follows from the code point."""
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        return dict(dscp=dscp, priority=sock.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_code_point_on_the_wire(sluiced, host):
    """On both legs, by both kinds of address; ECN's bits stay TCP's."""
    listen = f"[{host}]:0" if ":" in host else f"{host}:0"
    with RawEndpoint(host) as endpoint:
        daemon = sluiced(
            f'listener public {{ listen = {{"{listen}"}} }}\n'
            + relay_config(endpoint, "rt", rt="dscp = CS5")
        )
        client, server = tunnel(daemon, endpoint)
        wait_open(daemon, 1)
        with client, server, Capture("lo", OUTGOING) as capture:
            client.send(ws_raw.frame(ws_raw.TEXT, b"there", mask=b"abcd"))
            server.expect_frame(ws_raw.TEXT, b"there")
            server.send(ws_raw.server_frame(ws_raw.TEXT, b"back"))
            client.expect_frame(ws_raw.TEXT, b"back")
            ours = {daemon.port(): 0, endpoint.port: 0}
            for tos, (source, dest), payload in capture.packets():
                to_client = source == daemon.port()
                if payload and (to_client or dest == endpoint.port):
                    assert tos >> 2 == 40, (tos, source, dest)
                    ours[source if to_client else dest] += 1
            assert all(ours.values()), ours


# ---- what is shown ----------------------------------------------------------------------------


def test_listings_know_classes(sluiced, endpoint):
    daemon = sluiced(
        classes(bulk="rate_bytes = 1mb  rate_frames = 9  over_rate = mark  dscp = AF11")
        + proxy_config(
            endpoint.address, name="b", match="path = /b", route="class = bulk splice = off"
        )
        + proxy_config(endpoint.address, name="d", match="path = /d", route="splice = off")
    )
    tunnels = [tunnel(daemon, endpoint, path) for path in ("/b", "/b", "/d")]
    wait_open(daemon, 3)
    rows = {row["class"]: row for row in daemon.ctl("show.classes")}
    assert rows["bulk"] == {
        "class": "bulk",
        "configured": True,
        "connections": 2,
        "relay": 2,
        "splice": 0,
        "accepted": 2,
        "pauses": 0,
        "rate_bytes": 1 << 20,
        "burst_bytes": 1 << 20,
        "rate_frames": 9,
        "burst_frames": 9,
        "over_rate": "mark",
        "pacing": 0,
        "dscp": "AF11",
        "priority": 0,
        "routes": 1,
    }
    assert (rows["default"]["connections"], rows["default"]["dscp"]) == (1, None)
    assert [len(daemon.connections(**{"class": name})) for name in ("bulk", "default", "x")] == [
        2,
        1,
        0,
    ]
    assert {row["name"]: row["class"] for row in daemon.ctl("show.routes")} == {
        "b": "bulk",
        "d": "default",
    }
    m = daemon.metrics()
    assert m("sluice_connections", path="relay", **{"class": "bulk"}) == 2
    assert m("sluice_connections") == 3
    code, out, _ = daemon.sluicectl("show", "classes")
    assert code == 0 and "AF11" in out
    code, out, _ = daemon.sluicectl("show", "connections", "--class", "bulk")
    assert code == 0 and out.count("bulk") == 2
    code, out, err = daemon.sluicectl("close", "--class", "bulk")
    assert code == 0 and "2 connections" in out, err
    for client, server in tunnels:
        client.close()
        server.close()
    daemon.wait_live(0)
    assert sorted(row["class"] for row in daemon.access_log(3)) == ["bulk", "bulk", "default"]
    assert daemon.metrics()("sluice_connections") == 0


def test_class_that_is_gone_keeps_its_connections(sluiced, endpoint):
    """As it was, and counted by its name; those of the others follow."""
    with_bulk = classes(bulk="priority = 3") + proxy_config(
        endpoint.address, route="class = bulk splice = off"
    )
    daemon = sluiced(with_bulk)
    client, server = tunnel(daemon, endpoint)
    with client, server:
        daemon.reload(proxy_config(endpoint.address, route="splice = off"))
        other, other_server = tunnel(daemon, endpoint)
        with other, other_server:
            wait_open(daemon, 2)
            rows = {row["class"]: row for row in daemon.ctl("show.classes")}
            assert (rows["bulk"]["configured"], rows["bulk"]["connections"]) == (False, 1)
            assert rows["default"]["connections"] == 1
            with foreign_socket.connected_to(daemon.pid, client.sock.getsockname()[1]) as sock:
                assert marks_of(sock)["priority"] == 3
        client.send(ws_raw.frame(ws_raw.TEXT, b"there", mask=b"abcd"))
        server.expect_frame(ws_raw.TEXT, b"there")
    daemon.wait_live(0)
    env.until(
        lambda: all(not row["connections"] for row in daemon.ctl("show.classes")), "none is left"
    )
