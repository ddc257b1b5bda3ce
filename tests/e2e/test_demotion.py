# SPDX-License-Identifier: Apache-2.0
"""Spliced connections that come back to the relay: to be closed by a Close frame, or to be kept."""

import json
import os
import signal
import time

import pytest

from lib import env, pins, ws_raw
from lib.control import Control
from lib.splice_network import ended
from lib.wire import Wire

PING_MS = 2400  # within it, a slow machine must have spliced it, and the test have seen that


def talk(client, server, text=b"as it was sent"):
    """One message each way."""
    client.send(ws_raw.frame(ws_raw.TEXT, text))
    server.expect_frame(ws_raw.TEXT, text)
    server.send(ws_raw.server_frame(ws_raw.TEXT, text))
    client.expect_frame(ws_raw.TEXT, text)


def server_close(code):
    return ws_raw.server_frame(ws_raw.CLOSE, ws_raw.close_payload(code))


def answer_close(client, server, code, reason=b""):
    """Both are told the same. Of a leg it is the server that closes first (RFC 6455 s7.1.1)."""
    for stream, answer in (client, ws_raw.close_frame), (server, server_close):
        assert stream.expect_close(code).payload[2:] == reason
        stream.send(answer(code))
    client.expect_end()
    server.shutdown_write()
    server.expect_end()
    for stream in client, server:
        stream.close()


def demotions(network, **labels):
    return network.metrics()("sluice_demotions_total", **labels)


def wait_relayed(network, n, reason="demoted"):
    env.until(lambda: network.paths() == [("relay", reason)] * n, f"{n} on the relay")


# ---- idle ones ------------------------------------------------------------------------------


@pytest.mark.parametrize("version, code", [(4, 1001), (6, 1008)])
def test_idle_ones_are_closed_by_a_close_frame(splice_network, version, code):
    """All of them, on both sides, and by a FIN behind it."""
    n = env.scale_full(100, 1000)
    network = splice_network(version, flows=2 * n + 100)
    client = network.client("-c", n, "-m", "idle", "-d", "100")
    network.wait_spliced(n)
    assert network.ctl("close", "--all", "--code", code) == {"closed": n}
    network.wait_none(6 * env.PATIENCE_S)
    client.stop(signal.SIGINT)
    result = json.loads(client.stdout())
    assert result["close_codes"] == {str(code): n}
    assert result["errors"] == {**dict.fromkeys(result["errors"], 0), "early_close": n}
    rows = network.lines(n)
    assert {(row["path"], row["reason"], row["close_code"]) for row in rows} == {
        ("relay", "closed_by_operator", code)}
    server = network.stop_server()
    # A Close frame each, and its answer: nobody was reset.
    assert server["aborted"] == 0 and server["stream_sent"] == 4 * n
    assert server["stream_received"] == 8 * n
    assert demotions(network, reason="close", result="done") == n == demotions(network)


@pytest.mark.parametrize("version", [4, 6])
def test_both_peers_read_code_and_reason(make_tunnels, version):
    tunnels = make_tunnels(version)
    client, server = tunnels.open_spliced()
    talk(client, server)
    tunnels.network.ctl("close", "--all", "--code", "1008", "--reason", "go away")
    answer_close(client, server, 1008, b"go away")
    assert not tunnels.network.unfinished()


def test_on_a_port_below_1024_by_a_daemon_that_is_nobody(make_tunnels, directory):
    os.chmod(directory, 0o755)
    os.chown(directory, 65534, 4242)
    tunnels = make_tunnels(group=4242, options=("--user", 65534, "--group", 4242),
                           more='listener low { listen = {"10.1.0.1:80"} }')
    client, server = tunnels.open_spliced(address="10.1.0.1:80")
    tunnels.network.ctl("close", "--all")
    answer_close(client, server, 1001)
    assert demotions(tunnels.network, result="done") == 1


def test_tunnel_timeout_says_so(make_tunnels):
    tunnels = make_tunnels(route="tunnel_timeout = 3s")
    client, server = tunnels.open_spliced()
    answer_close(client, server, 1001, b"tunnel_timeout")
    row = tunnels.network.lines(1)[0]
    assert (row["reason"], row["close_code"]) == ("tunnel_timeout", 1001)
    assert demotions(tunnels.network, reason="tunnel_timeout", result="done") == 1


def test_an_adopted_one_comes_back(make_tunnels):
    tunnels = make_tunnels()
    network = tunnels.network
    pairs = tunnels.open_spliced(2)
    talk(*pairs[0])
    network.kill_daemon()
    talk(*pairs[0])
    network.start_daemon()
    network.wait_spliced(2)
    for pair in pairs:
        talk(*pair)
    network.ctl("demote", "--all")
    wait_relayed(network, 2)
    for pair in pairs:
        talk(*pair, b"x" * 70000)
    network.ctl("promote")
    network.wait_spliced(2)
    for pair in pairs:
        talk(*pair)
    network.ctl("close", "--all")
    for pair in pairs:
        answer_close(*pair, 1001)
    counts = sorted(row["bytes_in"] for row in network.lines(2))
    short, long = 14 + 6, 70000 + 14
    assert counts == [n * short + long for n in (2, 4)]


def test_kept_until_told_otherwise(make_tunnels):
    """By filter: that one alone. All: those that are opened later, too."""
    tunnels = make_tunnels()
    network = tunnels.network
    pairs = tunnels.open_spliced(2)
    conn = network.connections()[0]["conn"]
    assert network.ctl("demote", conn) == {"demoted": 1}
    both = [("relay", "demoted"), ("splice", "none")]
    env.until(lambda: network.paths() == both, "one of them on the relay")
    assert network.ctl("demote", "--all") == {"demoted": 1}
    wait_relayed(network, 2)
    pairs.append(tunnels.open())
    for pair in pairs:
        for _ in range(5):
            talk(*pair)
    assert network.paths() == [("relay", "demoted")] * 3
    assert network.ctl("promote") == {"resumed": 3}
    network.wait_spliced(3)
    for pair in pairs:
        talk(*pair)
    assert demotions(network, reason="operator", result="done") == 2 == demotions(network)


def pause(control):
    """Answered when nothing is spliced any more that is not yet."""
    control.send(b'{"v":1,"id":1,"cmd":"splice.pause","args":{}}\n')
    assert control.read_line() == {"id": 1, "ok": True, "data": {"paused": True}, "more": True}


def test_a_pause_is_over_when_the_last_that_wanted_it_has_gone(make_tunnels):
    tunnels = make_tunnels()
    network = tunnels.network
    pairs = tunnels.open_spliced(2)
    with Control(network.control) as one:
        pause(one)
        wait_relayed(network, 2)
        with Control(network.control) as other:
            pause(other)
            pairs.append(tunnels.open())
        assert network.ctl("promote") == {"resumed": 0}
        for pair in pairs:
            for _ in range(5):
                talk(*pair)
        assert network.paths() == [("relay", "demoted")] * 3
    network.wait_spliced(3)
    for pair in pairs:
        talk(*pair)
    assert demotions(network, reason="operator", result="done") == 2 == demotions(network)


@pytest.mark.parametrize("which", ["one", "all"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before", "meanwhile"])
def test_a_pause_leaves_the_operators_order_as_it_is(make_tunnels, which, is_before):
    tunnels = make_tunnels()
    network = tunnels.network
    pairs = tunnels.open_spliced(2)
    order = ("demote", network.connections()[0]["conn"] if which == "one" else "--all")
    n_told, n_kept = (1, 1) if which == "one" else (2, 2)
    if is_before:
        assert network.ctl(*order) == {"demoted": n_told}
    with Control(network.control) as control:
        pause(control)
        wait_relayed(network, 2)
        if not is_before:
            assert network.ctl(*order) == {"demoted": 0}
    kept = [("relay", "demoted")] * n_kept + [("splice", "none")] * (2 - n_kept)
    env.until(lambda: network.paths() == kept, "what the operator has left")
    for pair in pairs:
        for _ in range(5):
            talk(*pair)
    assert network.paths() == kept
    assert network.ctl("promote") == {"resumed": n_kept}
    network.wait_spliced(2)


def test_an_order_does_not_take_the_place_of_the_policy(make_tunnels):
    """That would splice it again, once the order is taken back."""
    tunnels = make_tunnels(route="splice = auto")
    network = tunnels.network
    pair = tunnels.open_spliced()
    pins.hold_flows(network.box, time.monotonic_ns() + 3600 * 10**9)
    network.config.write_text(network.config.read_text().replace("splice = auto", "splice = off"))
    network.ctl("reload")
    with Control(network.control) as control:
        pause(control)
        assert network.ctl("demote", "--all") == {"demoted": 1}
        pins.release_flows(network.box)
        wait_relayed(network, 1, "policy")
    assert network.ctl("promote") == {"resumed": 0}
    talk(*pair)
    assert network.paths() == [("relay", "policy")]
    assert demotions(network, reason="policy", result="done") == 1 == demotions(network)


# ---- busy ones ------------------------------------------------------------------------------


def test_busy_streams_come_back_and_go_again_without_losing_a_byte(splice_network):
    n, rounds = env.scale(16, 2), 5 if env.FULL else 2
    network = splice_network()
    client = network.client("-c", n, "-d", "600", "-s", "64-20000", "--verify")
    for _ in range(rounds):
        network.wait_spliced(n)
        network.ctl("demote", "--all")
        wait_relayed(network, n)
        network.ctl("promote")
    network.wait_spliced(n)
    result = ended(client)
    network.wait_none()
    rows = network.lines(n)
    assert {(row["path"], row["promotions"]) for row in rows} == {("splice", rounds + 1)}
    server = network.stop_server()
    assert server["aborted"] == 0
    assert sum(row["bytes_in"] for row in rows) == result["stream_sent"] == (
        server["stream_received"])
    assert sum(row["bytes_out"] for row in rows) == result["stream_received"] == (
        server["stream_sent"])
    assert demotions(network, result="done") == rounds * n == demotions(network)


def test_a_drain_of_a_mixed_load(splice_network):
    """Half of them busy: all are told by a Close frame, and in time."""
    n, seconds = env.scale_full(200, 5000), 20 if env.FULL else 2
    network = splice_network(flows=2 * n + 100, more=f"limits {{ max_connections = {2 * n} }}",
                             far_addresses=(4, 4))
    idle = network.client("-c", n // 2, "-m", "idle", "-d", "300")
    busy = network.client("-c", n // 2, "-m", "rate", "-r", 2 * n, "-d", "300", "-s", "64-3000",
                          "--verify")
    env.until(lambda: network.splice_offload()["connections"] == n, f"{n} spliced connections",
              6 * env.PATIENCE_S)
    begin = time.monotonic()
    network.ctl("drain", "--route", "r", "--time", f"{seconds}s", "--no-wait")
    network.wait_none(seconds + 6 * env.PATIENCE_S)
    print(f"{n} drained in {time.monotonic() - begin:.1f} s, meant to be {seconds} s")
    codes = []
    for client in idle, busy:
        client.stop(signal.SIGINT)
        codes.append(json.loads(client.stdout())["close_codes"])
    print(codes, [line for line in network.metrics().text.splitlines() if "demotion" in line])
    assert codes[0] == {"1001": n // 2}
    assert codes[1].get("1001", 0) >= 0.95 * (n // 2)
    assert demotions(network, reason="drain", result="done") >= 0.975 * n
    # Those that were reset have got no Close frame.
    assert {row["close_code"] for row in network.lines(n) if row["path"] == "splice"} <= {None}


# ---- corners --------------------------------------------------------------------------------


def test_both_close_at_once(make_tunnels):
    """The client's own Close frame is on its way when the operator's comes."""
    tunnels = make_tunnels()
    client, server = tunnels.open_spliced()
    client.send(ws_raw.close_frame(1000))
    server.expect_close(1000)
    tunnels.network.ctl("close", "--all")
    # The endpoint has been told by the client. It answers, which is passed on or not.
    server.send(server_close(1000))
    assert client.read_frame().opcode == ws_raw.CLOSE
    for stream in client, server:
        stream.close()
    tunnels.network.wait_none()
    row = tunnels.network.lines(1)[0]
    assert row["reason"] in ("closed_by_operator", "close_frame", "eof", "reset")


def test_one_that_is_half_closed_is_reset_in_the_end(make_tunnels):
    """Its socket cannot be made again: but nobody waits for ever."""
    tunnels = make_tunnels(more="limits { close_timeout = 500ms }")
    client, server = tunnels.open_spliced()
    client.shutdown_write()
    server.expect_end()
    tunnels.network.ctl("close", "--all")
    with pytest.raises(ConnectionResetError):
        client.sock.recv(1)
    tunnels.network.wait_none()
    assert demotions(tunnels.network, reason="close", result="reset") == 1
    row = tunnels.network.lines(1)[0]
    assert (row["reason"], row["close_code"]) == ("closed_by_operator", None)


def test_one_that_is_never_at_rest_is_reset_in_the_end(make_tunnels):
    """An endpoint that has not read for long: its window is closed, with bytes in front of it."""
    tunnels = make_tunnels(more="limits { close_timeout = 1s }")
    client, _server = tunnels.open_spliced()
    client.sock.settimeout(0.5)
    frame = ws_raw.frame(ws_raw.BINARY, bytes(60000))
    with pytest.raises(TimeoutError):
        for _ in range(10000):
            client.send(frame)
    client.sock.settimeout(env.PATIENCE_S)
    tunnels.network.ctl("close", "--all")
    tunnels.network.wait_none()
    assert demotions(tunnels.network, reason="close") == 1
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            client.send(frame)


def test_a_peer_that_was_told_of_no_room_hears_that_there_is(make_tunnels):
    """By the gateway's new socket: it need not ask, which it does ever more rarely."""
    small = [("b", "net.ipv4.tcp_rmem", "4096 65536 65536"),
             ("c", "net.ipv4.tcp_wmem", "4096 65536 65536")]
    tunnels = make_tunnels(sysctls=small)
    network = tunnels.network
    client, server = tunnels.open_spliced()
    stream, n = ws_raw.frame(ws_raw.BINARY, os.urandom(1 << 20)), 0
    client.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            n += client.sock.send(stream[n:])
    wire = Wire(network.box, "c", "c0")
    network.inside("c", "ip", "route", "add", "blackhole", "10.1.0.1")  # it cannot ask
    network.ctl("demote", "--all")
    wait_relayed(network, 1)
    assert wire.wait_received(lambda packet: packet.window > 0)
    assert not wire.sent
    wire.close()
    network.inside("c", "ip", "route", "delete", "blackhole", "10.1.0.1")
    is_right = server.read_exactly(n) == stream[:n]
    assert is_right


def test_a_hold_that_somebody_has_left_is_waited_for(make_tunnels):
    """As by a daemon that died in the middle of a demotion: it ends by itself."""
    tunnels = make_tunnels()
    network = tunnels.network
    client, server = tunnels.open_spliced()
    talk(client, server)
    deadline_ns = time.monotonic_ns() + 3 * 10**9
    pins.hold_flows(network.box, deadline_ns)
    network.ctl("close", "--all")
    answer_close(client, server, 1001)
    assert time.monotonic_ns() > deadline_ns
    assert demotions(network, reason="close", result="done") == 1


@pytest.mark.parametrize("length", [5, 300, 70000] if env.FULL else [300])
def test_in_the_middle_of_a_header(make_tunnels, length):
    """Of which a part has passed: the relay sends the rest, once, and knows where the frame ends."""
    tunnels = make_tunnels()
    network = tunnels.network
    client, server = tunnels.open_spliced()
    payload = bytes(i % 251 for i in range(length))
    frame = ws_raw.frame(ws_raw.BINARY, payload)
    n = 1  # the one that is closed behind
    for cut in range(1, len(frame) - length + 2, 1 if env.FULL else 3):
        client.send(frame[:cut])
        env.until(lambda cut=cut: server.has_read(cut), "what was sent of it")
        network.ctl("demote", "--all")
        wait_relayed(network, 1)
        client.send(frame[cut:])
        n += 1
        server.expect_frame(ws_raw.BINARY, payload)
        network.ctl("promote")
        network.wait_spliced(1)
    talk(client, server)
    client.send(frame[:3])
    env.until(lambda: server.has_read(3), "what was sent of it")
    network.ctl("close", "--all")
    client.expect_close(1001)
    client.send(frame[3:] + ws_raw.close_frame(1001))
    server.expect_frame(ws_raw.BINARY, payload)
    server.expect_close(1001)
    server.close()
    network.wait_none()
    row = network.lines(1)[0]
    assert row["bytes_in"] == n * len(frame) + 14 + 6


@pytest.mark.parametrize("limit, frames, code", [
    ("max_frame", [ws_raw.frame(ws_raw.TEXT, b"x" * 1001)], 1009),
    ("max_message", [ws_raw.frame(ws_raw.TEXT, b"x" * 900, fin=False),
                     ws_raw.frame(ws_raw.CONTINUATION, b"x" * 101)], 1009),
    ("max_frame", [ws_raw.frame(ws_raw.TEXT, mask=None)], 1002),
    ("max_frame", [ws_raw.frame(ws_raw.CONTINUATION)], 1002),
], ids=["frame", "message", "mask", "fragment"])
def test_what_the_kernel_refuses_the_relay_names(make_tunnels, limit, frames, code):
    tunnels = make_tunnels(route=f"{limit} = 1000")
    client, server = tunnels.open_spliced()
    talk(client, server, b"x" * 1000)
    for frame in frames[:-1]:
        client.send(frame)
        server.read_frame()
    client.send(frames[-1])
    client.expect_close(code)
    server.expect_close(code)
    for stream in client, server:
        stream.close()
    tunnels.network.wait_none()
    assert demotions(tunnels.network, reason="violation", result="done") == 1
    row = tunnels.network.lines(1)[0]
    assert row["close_code"] == code


def test_kill_in_a_storm_of_demotions_leaves_nobody_waiting(make_tunnels):
    """Whoever is on neither side of it then is told as soon as the next daemon comes."""
    n = env.scale(40, 2)
    tunnels = make_tunnels()
    network = tunnels.network
    pairs = tunnels.open_spliced(n)
    asking = network.start(env.BUILD / "sluicectl", "-s", network.control, "demote", "--all")
    time.sleep(0.004)
    network.kill_daemon()
    asking.wait()
    network.start_daemon()
    n_alive = 0
    for client, server in pairs:
        try:
            talk(client, server)
            n_alive += 1
        except (ConnectionResetError, BrokenPipeError, AssertionError) as error:
            assert not isinstance(error, AssertionError) or "end after" in str(error), error
    env.until(lambda: len(network.connections()) == n_alive, "the rest of them")
    print(f"{n_alive} of {n} were spliced still")


# ---- Pings of the gateway's own -------------------------------------------------------------


def read_pings(*streams):
    """Their payload, which is the same."""
    pings = [stream.read_frame() for stream in streams]
    assert {(ping.opcode, ping.fin, len(ping.payload)) for ping in pings} == {
        (ws_raw.PING, True, 8)}
    assert len({ping.payload for ping in pings}) == 1
    return pings[0].payload


def server_pong(payload):
    return ws_raw.server_frame(ws_raw.PONG, payload)


def test_idle_ones_are_pinged_and_spliced_again(make_tunnels):
    tunnels = make_tunnels(route=f"keepalive_ping = {PING_MS}ms")
    client, server = tunnels.open_spliced()
    payloads = set()
    for _ in range(3):
        payload = read_pings(client, server)
        payloads.add(payload)
        # In pieces, and in the middle of others: those pass, and the one does not.
        client.send_pieces(ws_raw.frame(ws_raw.PONG, payload[::-1]), 3)
        client.send_pieces(ws_raw.frame(ws_raw.PONG, payload), 5)
        client.send(ws_raw.frame(ws_raw.TEXT, b"behind it"))
        server.expect_frame(ws_raw.PONG, payload[::-1])
        server.expect_frame(ws_raw.TEXT, b"behind it")
        server.send(ws_raw.server_frame(ws_raw.TEXT, b"first") + server_pong(payload))
        client.expect_frame(ws_raw.TEXT, b"first")
        tunnels.network.wait_spliced(1)
    assert len(payloads) == 3
    assert demotions(tunnels.network, reason="ping", result="done") >= 3


def test_who_does_not_answer_is_closed(make_tunnels):
    tunnels = make_tunnels(route=f"keepalive_ping = {PING_MS}ms")
    client, server = tunnels.open_spliced()
    client.send(ws_raw.frame(ws_raw.PONG, read_pings(client, server)))
    answer_close(client, server, 1011, b"keepalive_timeout")
    row = tunnels.network.lines(1)[0]
    assert (row["reason"], row["close_code"]) == ("keepalive_timeout", 1011)


def test_who_is_gone_is_noticed_with_bytes_on_their_way_to_it(make_tunnels):
    """So that it never comes to rest, for a Ping: what is sent again is not heard of either."""
    tunnels = make_tunnels(route=f"keepalive_ping = {PING_MS}ms",
                           more="limits { close_timeout = 1s }")
    network = tunnels.network
    client, server = tunnels.open_spliced()
    talk(client, server)
    network.inside("c", "ip", "address", "flush", "dev", "c0")
    server.send(ws_raw.server_frame(ws_raw.TEXT, b"is anybody there?"))
    with pytest.raises(ConnectionResetError):
        server.sock.recv(1)
    network.wait_none()
    row = network.lines(1)[0]
    assert (row["path"], row["reason"], row["close_code"]) == ("splice", "keepalive_timeout", None)
    assert demotions(network, reason="ping", result="reset") == 1 == demotions(network)


def test_pings_without_the_kernel(make_tunnels):
    tunnels = make_tunnels(route=f"splice = off  keepalive_ping = {PING_MS}ms")
    client, server = tunnels.open()
    for _ in range(2):
        payload = read_pings(client, server)
        client.send(ws_raw.frame(ws_raw.PONG, payload))
        server.send(server_pong(payload))
    assert tunnels.network.paths() == [("relay", "policy")]


# ---- reloads --------------------------------------------------------------------------------


def test_a_reload_that_forbids_the_splice(make_tunnels):
    tunnels = make_tunnels(route="splice = auto")
    network = tunnels.network
    client, server = tunnels.open_spliced()
    text = network.config.read_text()
    for setting, path in ("off", ("relay", "policy")), ("auto", ("splice", "none")):
        network.config.write_text(text.replace("splice = auto", f"splice = {setting}"))
        network.ctl("reload")
        env.until(lambda path=path: network.paths() == [path], path)
        talk(client, server)
    assert demotions(network, reason="policy", result="done") == 1
