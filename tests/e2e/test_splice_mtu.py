# SPDX-License-Identifier: Apache-2.0
"""
Packet splice over links that carry less than the far ends believe: who sends too much is told so by
ICMP, of the gateway or of a router behind it, and the streams go on.
"""

import contextlib
import os

import pytest

from lib import env, routers, ws_raw
from lib.endpoint import RawEndpoint
from lib.splice_network import CLIENTS, read_stats

N = env.scale_full(2, 50)
MESSAGE = os.urandom(1 << 16)
NARROW = 1400
ENDS = {"client": ("c", "gc"), "endpoint": ("b", "gb")}
OTHER = {"client": "endpoint", "endpoint": "client"}
CASES = [(version, link, end) for version in (4, 6) for link in ("near", "middle")
         for end in ENDS]
FEW = [(4, "near", "client"), (4, "middle", "endpoint"), (6, "near", "endpoint"),
       (6, "middle", "client")]
LOCAL = [(version, link) for version in (4, 6) for link in ("near", "middle")]


def is_message(stream):
    """Whether that comes next, in one frame or several. (An assertion would print all of it.)"""
    got, is_last = b"", False
    while not is_last:
        frame = stream.read_frame()
        got += frame.payload
        is_last = frame.fin
    return got == MESSAGE


class Tunnels:
    """Spliced connections, with this process at both ends."""

    def __init__(self, network, stack):
        self.network = network
        with network.box.thread_in("b"):
            endpoint = stack.enter_context(RawEndpoint(network.far_address(2), 9000))
        host, _, port = CLIENTS[network.version].rpartition(":")
        self.pairs = []
        for _ in range(N):
            with network.box.thread_in("c"):
                client = stack.enter_context(ws_raw.dial((host.strip("[]"), int(port))))
            client.send(ws_raw.request())
            self.pairs.append((client, endpoint.accept_upgrade()))
            ws_raw.check_101(client)
        network.wait_spliced(N)

    def carry(self, rounds=2):
        """A message in either direction, on each connection, and no other path than before."""
        for client, endpoint in self.pairs * rounds:
            client.send(ws_raw.frame(ws_raw.BINARY, MESSAGE))
            endpoint.send(ws_raw.server_frame(ws_raw.BINARY, MESSAGE))
            assert is_message(endpoint) and is_message(client)
        assert self.network.paths() == [("splice", "none")] * N


@pytest.fixture
def make_tunnels():
    with contextlib.ExitStack() as stack:
        yield lambda network: Tunnels(network, stack)


def learnt(network, end):
    """The MTU of the way to the gateway, as this end's kernel has been told."""
    name, _ = ENDS[end]
    net = 1 if end == "client" else 2
    to = f"10.{net}.0.1" if network.version == 4 else f"fd0{net}::1"
    words = network.inside(name, "ip", "route", "get", to).stdout.split()
    return int(words[words.index("mtu") + 1]) if "mtu" in words else None


@pytest.mark.parametrize("version, link, end", CASES if env.FULL else FEW)
def test_a_link_becomes_narrow(splice_network, make_tunnels, version, link, end):
    """
    The end behind it is told by a router of its own, as ever. The other one cannot be, but by the
    gateway, or through it.
    """
    network = splice_network(version, server=None, routed=True)
    tunnels = make_tunnels(network)
    tunnels.carry()
    before = read_stats(network)
    assert before["icmp_sent"] == before["icmp_passed"] == 0
    routers.narrow(network, *ENDS[end], link, NARROW)
    tunnels.carry()
    assert read_stats(network)["icmp_sent" if link == "near" else "icmp_passed"] > 0
    assert learnt(network, OTHER[end]) == NARROW


@pytest.mark.parametrize("version, end", [(4, "client"), (6, "endpoint")][: 2 if env.FULL else 1])
def test_a_link_that_was_narrow_before(splice_network, make_tunnels, version, end):
    """Between routers: nobody knows of it until something large has come there."""
    network = splice_network(version, server=None, routed=True)
    routers.narrow(network, *ENDS[end], "middle", NARROW)
    make_tunnels(network).carry()
    assert read_stats(network)["icmp_passed"] > 0
    assert learnt(network, OTHER[end]) == NARROW


@pytest.mark.parametrize("version", [4, 6] if env.FULL else [4])
def test_legs_of_unequal_mtus(splice_network, make_tunnels, version):
    """The endpoint learns by the MSS what the client's leg carries; the client cannot."""
    network = splice_network(version, server=None, routed=True)
    routers.narrow(network, *ENDS["endpoint"], "near", NARROW)
    tunnels = make_tunnels(network)
    tunnels.carry()
    assert read_stats(network)["icmp_sent"] > 0
    assert learnt(network, "client") == NARROW


def test_an_endpoint_behind_a_wider_leg_needs_no_icmp(splice_network, make_tunnels):
    network = splice_network(server=None, routed=True)
    routers.narrow(network, *ENDS["client"], "near", NARROW)
    make_tunnels(network).carry()
    stats = read_stats(network)
    assert stats["icmp_sent"] == stats["drop_mtu"] == 0


@pytest.mark.parametrize("version, link", LOCAL if env.FULL else LOCAL[2:3])
def test_an_endpoint_on_this_host_is_told(splice_network, version, link):
    """By way of lo, as its packets come and go."""
    address = "10.2.0.1:9000" if version == 4 else "[fd02::1]:9000"
    network = splice_network(version, endpoint=address, hooks=("gc", "lo"), routed=True)
    with network.box.thread_in("c"):
        stream = ws_raw.dial(("10.1.0.1" if version == 4 else "fd01::1", 8080))
    with stream:
        ws_raw.upgrade(stream, "/")
        network.wait_spliced(1)
        for mtu in None, NARROW:
            if mtu:
                routers.narrow(network, *ENDS["client"], link, mtu)
            stream.send(ws_raw.frame(ws_raw.BINARY, MESSAGE))
            assert is_message(stream)
    assert read_stats(network)["icmp_sent" if link == "near" else "icmp_passed"] > 0


def test_who_sends_fragments_goes_on_by_the_relay(splice_network, make_tunnels):
    """Or rather a router on its way does, which never asks it to send less."""
    network = splice_network(server=None, routed=True,
                             sysctls=[("c", "net.ipv4.ip_no_pmtu_disc", 1)])
    tunnels = make_tunnels(network)
    routers.narrow(network, *ENDS["client"], "middle", 600)
    for client, _ in tunnels.pairs:
        client.send(ws_raw.frame(ws_raw.BINARY, MESSAGE))
    for client, endpoint in tunnels.pairs:
        assert is_message(endpoint)
        endpoint.send(ws_raw.server_frame(ws_raw.BINARY, MESSAGE))
        assert is_message(client)
    assert network.paths() == [("relay", "options")] * N
    assert read_stats(network)["drop_fragment"] > 0
    done = network.metrics()("sluice_demotions_total", reason="untranslatable", result="done")
    assert done == N


def test_who_does_not_heed_goes_on_by_the_relay(splice_network, make_tunnels):
    """A client without path MTU discovery: its packets may be fragmented, and ICMP is no news."""
    network = splice_network(server=None, routed=True,
                             sysctls=[("c", "net.ipv4.ip_no_pmtu_disc", 2)])
    tunnels = make_tunnels(network)
    routers.narrow(network, *ENDS["endpoint"], "near", NARROW)
    for client, _ in tunnels.pairs:
        client.send(ws_raw.frame(ws_raw.BINARY, MESSAGE))
    assert all(is_message(endpoint) for _, endpoint in tunnels.pairs)
    assert network.paths() == [("relay", "mtu")] * N
