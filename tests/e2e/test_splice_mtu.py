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

    def carry(self, payload=MESSAGE, rounds=2):
        """A message in either direction, on each connection, and no other path than before."""
        for client, endpoint in self.pairs * rounds:
            client.send(ws_raw.frame(ws_raw.BINARY, payload))
            endpoint.send(ws_raw.server_frame(ws_raw.BINARY, payload))
            endpoint.expect_frame(ws_raw.BINARY, payload, masked=True)
            client.expect_frame(ws_raw.BINARY, payload)
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


@pytest.mark.parametrize("version, end", [(4, "client"), (6, "endpoint")])
def test_a_link_that_was_narrow_before(splice_network, make_tunnels, version, end):
    """Between routers: nobody knows of it until something large has come there."""
    network = splice_network(version, server=None, routed=True)
    routers.narrow(network, *ENDS[end], "middle", NARROW)
    make_tunnels(network).carry()
    assert read_stats(network)["icmp_passed"] > 0
    assert learnt(network, OTHER[end]) == NARROW
