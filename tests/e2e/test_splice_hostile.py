# SPDX-License-Identifier: Apache-2.0
"""
Packet splice against packets that no honest end sends: at live connections, from the networks of
the client and of the endpoint, with the right addresses.
"""

import re
import signal
import socket

import pytest

from lib import env, ws_raw
from lib.pins import remove_by_force
from lib.splice_network import CLIENTS, MASKED, STATS, ended, read_stats, result_of
from lib.wire import (
    ACK,
    AUTHENTICATION,
    DESTINATION_OPTIONS,
    FIN,
    FRAGMENT,
    MODULUS,
    PSH,
    RST,
    TCP,
    TooBig,
    Wire,
)

MESSAGE = b"as it was sent"
FAR = 1 << 30  # further than any window
OPTION_NOPS = (TCP, b"\x01" * 8)


class Live:
    """A connection that is spliced, and the wires of both of its ends."""

    def __init__(self, network, source_port=0):
        self.network = network
        self.n_messages = 0
        self.n_resets = 0  # that were sent here, and pass
        self.wires = [Wire(network.box, *where) for where in (("c", "c0"), ("b", "b0"))]
        with network.box.thread_in("c"):
            sock = socket.socket(socket.AF_INET6 if network.version == 6 else socket.AF_INET)
        self.stream = ws_raw.Stream(sock)
        self._dial(source_port)

    def begin(self):
        ws_raw.upgrade(self.stream, "/")
        self.network.wait_spliced(1)
        self.check()

    def _dial(self, source_port):
        host, _, port = CLIENTS[self.network.version].rpartition(":")
        sock = self.stream.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("::" if self.network.version == 6 else "", source_port))
        sock.connect((host.strip("[]"), int(port)))

    def echo(self):
        """Whether a message comes back; or a reset."""
        try:
            self.stream.send(ws_raw.frame(ws_raw.BINARY, MESSAGE))
            self.stream.expect_frame(ws_raw.BINARY, MESSAGE)
        except ConnectionResetError:
            return False
        self.n_messages += 1
        return True

    def check(self):
        """It lives, on the same path, and nobody has said RST."""
        for _ in range(2):
            assert self.echo()
        assert self.network.paths() == [("splice", "none")]
        for wire in self.wires:
            wire.look()
        resets = [packet for wire in self.wires for packet in wire.received if packet.flags & RST]
        assert len(resets) == self.n_resets

    def counts(self, stat, wire, packet):
        """@packet is counted as that, and as nothing else that is dropped."""
        before = read_stats(self.network)
        wire.send(packet)

        def changes():
            after = read_stats(self.network)
            return {name for name, value in after.items() if value != before[name]} & {
                name for name in STATS if name.startswith("drop_") or name.endswith("_ignored")}

        env.until(changes, f"something counted, {stat} for one")
        assert changes() == {stat}

    @property
    def bytes_in(self):
        """What the access log has to say in the end."""
        return self.n_messages * (len(MESSAGE) + MASKED) + len(ws_raw.close_frame())

    def close(self):
        """In order, the endpoint first."""
        self.stream.send(ws_raw.close_frame())
        self.stream.expect_close(1000)
        self.stream.expect_end()
        self.stream.close()
        self.network.wait_none()

    def leave(self):
        self.stream.close()
        for wire in self.wires:
            wire.close()


@pytest.fixture
def make_live():
    made = []

    def make(network, source_port=0):
        made.append(Live(network, source_port))
        made[-1].begin()
        return made[-1]

    yield make
    for live in made:
        live.leave()


@pytest.fixture(params=[4, 6])
def live(splice_network, make_live, request):
    return make_live(splice_network(request.param))


def test_a_reset_that_is_not_exact_is_nothing(live):
    """RFC 5961 s3.2: within the window it is answered by an acknowledgment, by who receives it."""
    for wire in live.wires:
        for distance in (1, 1000, MODULUS - 1, FAR):
            packet = wire.next_packet()
            forged = packet.with_(seq=packet.seq + distance, flags=RST | ACK)
            live.counts("rst_ignored", wire, forged)
            live.n_resets += 1
            live.check()
    live.close()
    assert [row["path"] for row in live.network.lines(1)] == ["splice"]


@pytest.mark.parametrize("side", [0, 1])
def test_an_exact_reset_ends_both(live, side):
    wire, other = live.wires[side], live.wires[not side]
    wire.send(wire.next_packet().with_(flags=RST, ack=0))
    other.wait_received(lambda packet: packet.flags & RST)
    live.network.wait_none()
    row = live.network.lines(1)[0]
    assert (row["path"], row["reason"]) == ("splice", "reset")
    assert row["bytes_in"] == live.n_messages * (len(MESSAGE) + MASKED)


def test_an_end_outside_of_the_window_is_none(live):
    for wire in live.wires:
        packet = wire.next_packet()
        for forged in (
            packet.with_(seq=packet.seq + FAR),
            packet.with_(seq=packet.seq - FAR),
            packet.with_(ack=packet.ack + FAR),  # RFC 5961 s5.2
        ):
            live.counts("fin_ignored", wire, forged.with_(flags=FIN | ACK))
            live.check()
    live.close()
    assert live.network.lines(1)[0]["bytes_in"] == live.bytes_in


def test_data_that_are_not_of_the_stream_count_for_nothing(live):
    """Not in bytes either."""
    for wire in live.wires:
        packet = wire.next_packet().with_(flags=ACK | PSH, payload=b"forged!!")
        for forged in (packet.with_(seq=packet.seq + FAR), packet.with_(ack=packet.ack + FAR)):
            before = read_stats(live.network)["forwarded"]
            wire.send(forged)
            env.until(lambda: read_stats(live.network)["forwarded"] > before, "the forged one")
            live.check()
        live.counts("drop_checksum", wire, packet.with_(spoils_checksum=True))
        live.check()
    live.close()
    assert live.network.lines(1)[0]["bytes_in"] == live.bytes_in


def stack_errors(network):
    """Too big, as the gateway's own stack has counted it."""
    text = network.inside("", "cat", "/proc/net/snmp", "/proc/net/snmp6").stdout
    head, values = [line.split() for line in text.splitlines() if line.startswith("Icmp: ")]
    six = re.search(r"^Icmp6InPktTooBigs\s+(\d+)", text, re.MULTILINE)
    return int(values[head.index("InDestUnreachs")]) + int(six[1])


def test_too_big_about_what_is_not_under_way_is_nothing(live):
    """RFC 5927 s4.1, s7: nobody is made to send packets smaller than the way carries."""
    for wire in live.wires:
        wire.look()
        about = [packet for packet in wire.received if packet.payload][-1]
        env.until(lambda w=wire, end=about.end: w.look() or any(p.ack == end for p in w.sent),
                  "its acknowledgment")
        for distance in (0, 1, 1000, MODULUS - 1, FAR):
            before = stack_errors(live.network)
            wire.send(TooBig(about.with_(seq=(about.seq + distance) % MODULUS), 1300))
            env.until(lambda n=before: stack_errors(live.network) > n, "the forged one")
            live.check()
    assert read_stats(live.network)["icmp_passed"] == 0
    for end, other in ("c", 1), ("b", 2):
        to = f"10.{other}.0.1" if live.network.version == 4 else f"fd0{other}::1"
        assert "mtu" not in live.network.inside(end, "ip", "route", "get", to).stdout
    live.close()


def ipv4_oddities(packet):
    yield "drop_ip_options", packet.with_(wrap=OPTION_NOPS)
    yield "drop_fragment", packet.with_(more_fragments=True)
    yield "drop_fragment", packet.with_(more_fragments=True, cut=32)
    yield "drop_fragment", packet.with_(more_fragments=True, cut=8)


def extensions(number, n):
    """@n headers of 8 bytes (of authentication: with a length of 0, in words, less 2)."""
    return number, b"".join(bytes([number if i + 1 < n else TCP]) + bytes(7) for i in range(n))


def ipv6_oddities(packet):
    for n in 1, 7, 150:
        yield "drop_ip_options", packet.with_(wrap=extensions(DESTINATION_OPTIONS, n))
    yield "drop_ip_options", packet.with_(wrap=extensions(AUTHENTICATION, 1))
    fragment = (FRAGMENT, bytes([TCP, 0, 0, 1, 0, 0, 0, 7]))
    yield "drop_fragment", packet.with_(wrap=fragment)
    yield "drop_fragment", packet.with_(wrap=fragment, cut=8 + 32)
    yield "drop_fragment", packet.with_(wrap=fragment, cut=8 + 8)


ODDITIES = {4: ipv4_oddities, 6: ipv6_oddities}


def test_what_cannot_be_translated_never_meets_the_stack(live):
    """Which would answer by RST. Whoever cannot tell the numbers of the stream moves nothing."""
    for wire in live.wires:
        packet = wire.next_packet().with_(flags=ACK | PSH, payload=b"forged!!" * 8)
        for wrong in (packet.with_(seq=packet.seq + FAR), packet.with_(ack=packet.ack + FAR)):
            for stat, forged in ODDITIES[live.network.version](wrong):
                live.counts(stat, wire, forged)
        live.check()
    live.close()
    assert [row["path"] for row in live.network.lines(1)] == ["splice"]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("side", [0, 1])
def test_who_sends_what_cannot_be_translated_is_relayed(splice_network, make_live, version, side):
    """For good: who can tell the numbers could as well have reset it."""
    network = splice_network(version)
    live = make_live(network)
    wire = live.wires[side]
    packet = wire.next_packet()
    stat, odd = next(ODDITIES[version](packet))
    before = read_stats(network)[stat]
    wire.send(odd)
    env.until(lambda: network.paths() == [("relay", "options")], "the relay")
    assert read_stats(network)[stat] == before + 1
    for _ in range(3):
        assert live.echo()
    assert network.paths() == [("relay", "options")]
    done = network.metrics()("sluice_demotions_total", reason="untranslatable", result="done")
    assert done == 1
    live.close()
    assert network.lines(1)[0]["bytes_in"] == live.bytes_in


@pytest.mark.parametrize("version", [4, 6])
def test_a_client_that_comes_again_from_its_port_is_another(splice_network, make_live, version):
    """Packets that are late, of the connection before, are nothing to it."""
    network = splice_network(version)
    live = make_live(network, 23456)
    late = [wire.next_packet().with_(flags=ACK | PSH, payload=b"late") for wire in live.wires]
    live.close()
    again = make_live(network, 23456)
    for wire, packet in zip(again.wires, late):
        before = read_stats(network)
        wire.send(packet)
        env.until(lambda: read_stats(network) != before, "the late packet")
        again.check()
    again.close()
    assert [row["path"] for row in network.lines(2)] == ["splice"] * 2


def test_what_the_map_does_not_hold_stays_on_the_relay(splice_network):
    network = splice_network(flows=64)
    client = network.client("-c", "100", "-d", "600", "-s", "64-3000", "--verify")

    def is_full():
        paths = network.paths()
        return len(paths) == 100 and set(paths) == {("relay", "map_full"), ("splice", "none")}

    env.until(is_full, "both paths")
    assert network.paths().count(("splice", "none")) <= 64
    assert ended(client)["opened"] == 100
    network.wait_none()
    assert len(network.lines(100)) == 100


@pytest.mark.parametrize("version", [4, 6])
def test_a_hook_that_is_removed_by_force(splice_network, make_live, version):
    """
    Both ends learn it from our kernel, as soon as they send. Who comes then is served by the relay.
    """
    network = splice_network(version, route="tunnel_timeout = 2s",
                             more="limits { close_timeout = 1s }")
    live = make_live(network)
    remove_by_force(network.box, "gc")
    # A link goes a little later than its pin. If the connection is at rest then, the relay has it.
    while live.echo() and network.paths() == [("splice", "none")]:
        pass
    row = network.lines(1)[0]
    # On the relay if the last echo was acknowledged: else it has never come to rest.
    assert (row["path"] in ("relay", "splice"), row["reason"]) == (True, "tunnel_timeout")
    assert row["bytes_in"] == live.n_messages * (len(MESSAGE) + MASKED)
    quiet = network.client("-c", "8", "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "no_hook")] * 8, "eight on the relay")
    quiet.stop(signal.SIGINT)
    client = network.client("-c", "8", "-n", "2000", "-s", "64-3000", "--verify")
    assert result_of(client)["opened"] == 8
    network.wait_none()
    assert {row["path"] for row in network.lines(17)[1:]} == {"relay"}
