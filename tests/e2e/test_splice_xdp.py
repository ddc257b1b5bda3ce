# SPDX-License-Identifier: Apache-2.0
"""
Packet splice with XDP before it. A veth gives XDP what a card would if the peer makes its
checksums, and takes what XDP sends if the peer polls (gro on). It counts what XDP redirects.
"""

import re

import pytest

from lib import env
from lib.splice_network import RENO, assert_counted, result_of

CONNECTIONS = env.scale_full(10, 300)
MESSAGES = env.scale_full(400, 20000)
PATIENCE_S = 60 * env.PATIENCE_S

# As cards are: whole checksums, no segments larger than what is sent.
CARDS = tuple((where, f"{where}0", "tx", "off", "tso", "off", "gro", "on") for where in "cb")
NATIVE = "--hook", "xdp"

# It finds the neighbour by the lookup of what is forwarded.
SYSCTLS = (*RENO, ("", "net.ipv4.ip_forward", 1), ("", "net.ipv6.conf.all.forwarding", 1))


def redirected(network, *interfaces):
    text = "".join(network.inside("", "ethtool", "-S", one).stdout for one in interfaces)
    return sum(int(n) for n in re.findall(r"rx_queue_\d+_xdp_redirect: (\d+)", text))


def forwarded(network):
    return int(network.metrics()("sluice_splice_packets_total", result="forwarded"))


def start_client(network, *mode):
    client = network.client("-c", CONNECTIONS, "-m", *(mode or ("pingpong",)), "-n", MESSAGES,
                            "-s", "64-64k", "--verify", "--hold-after-open", "3", "--timeout", "60")
    network.wait_spliced(CONNECTIONS)
    return client


def check(network, client):
    result = result_of(client, PATIENCE_S)
    n = forwarded(network)
    rows = assert_counted(network, result)
    exact = [row for row in rows if row["frames_exact"]]  # all, if the network has lost nothing
    assert exact and all(row["frames_in"] == row["frames_out"] for row in exact)
    if len(exact) == len(rows):  # and the Close frames
        assert sum(row["frames_in"] for row in rows) == result["messages_total"] + len(rows)
    return n


@pytest.mark.parametrize("version", (4, 6))
def test_native(splice_network, version):
    """All but a few packets, which go the kernel's way for its neighbours' sake."""
    network = splice_network(version, sysctls=SYSCTLS, features=CARDS, hooks=(*NATIVE, "gc", "gb"))
    n = check(network, start_client(network))
    assert redirected(network, "gc", "gb") > 0.8 * n > 0


# Checksums that are still to be made, and packets of many segments.
OFFLOADS = tuple((where, f"{where}0", "gro", "on") for where in "cb")


def test_what_xdp_cannot_read_goes_by_tc(splice_network):
    network = splice_network(sysctls=SYSCTLS, features=OFFLOADS, hooks=(*NATIVE, "gc", "gb"))
    n = check(network, start_client(network))
    assert redirected(network, "gc", "gb") < 0.1 * n


def test_one_leg_by_tc(splice_network):
    """XDP sends by nothing that has none."""
    network = splice_network(sysctls=SYSCTLS, features=CARDS, hooks=(*NATIVE, "gc"))
    network.box.loader("attach", "gb")
    assert check(network, start_client(network)) > 0
    assert redirected(network, "gc") == 0


def test_generic(splice_network):
    network = splice_network(sysctls=SYSCTLS, features=CARDS, hooks=("--hook", "xdp-generic", "gc", "gb"))
    assert check(network, start_client(network)) > 0


def test_programs_come_and_go_below_traffic(splice_network):
    network = splice_network(sysctls=SYSCTLS, features=CARDS, hooks=(*NATIVE, "gc", "gb"))
    client = start_client(network, "rate", "--rate", MESSAGES // 4)
    while client.is_running():
        network.box.loader("replace")
        network.box.loader("detach", *NATIVE, "gc")
        network.box.loader("attach", *NATIVE, "gc", "gb")
    check(network, client)


VLANS = {"c": 7, "b": 9}


def add_vlans(network, wheres):
    """The addresses of these far ends, and ours to them, move to VLANs over what had them."""
    for where in wheres:
        n, net = VLANS[where], "1" if where == "c" else "2"
        for space, over, host in ("", f"g{where}", 1), (where, f"{where}0", 2):
            ip = ("ip", *(("-n", space) if space else ()))
            network.inside(space, "ethtool", "-K", over, "txvlan", "off", "rxvlan", "off")
            network.box.run(*ip, "address", "flush", "dev", over, "scope", "global")
            network.box.run(*ip, "link", "add", "link", over, "name", f"{over}.{n}", "type", "vlan",
                            "id", n)
            network.box.run(*ip, "link", "set", f"{over}.{n}", "up")
            network.box.run(*ip, "address", "add", f"10.{net}.0.{host}/24", "dev", f"{over}.{n}")


@pytest.mark.parametrize("wheres", ("c", "b", "cb"))
def test_vlan(splice_network, box, wheres):
    """On either leg, and on both: tags come off, are put in, and are changed."""
    if box.run("ip", "link", "add", "d0", "type", "dummy", check=False).returncode != 0 or box.run(
            "ip", "link", "add", "link", "d0", "name", "v0", "type", "vlan", "id", 3,
            check=False).returncode != 0:
        pytest.skip("this kernel has no VLANs")
    # The cards' features first: VLANs inherit them.
    network = splice_network(sysctls=SYSCTLS, features=CARDS, hooks=("lo",), wired=lambda self:
                             add_vlans(self, wheres))
    over = [f"g{where}.{VLANS[where]}" for where in wheres]
    network.box.loader("attach", *over)
    network.box.loader("attach", *NATIVE, "gc", "gb")
    n = check(network, start_client(network))
    assert redirected(network, "gc", "gb") > 0.8 * n > 0
