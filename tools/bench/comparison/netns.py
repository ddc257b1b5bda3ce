# SPDX-License-Identifier: Apache-2.0
"""
Client, gateway and endpoint in network namespaces of their own, joined by veth:

    client    c0 10.93.1.2 --- gc 10.93.1.1  gateway  gb 10.93.2.1 --- b0 10.93.2.2...  endpoint
              c1 10.93.3.2 --- hc 10.93.3.1           hb 10.93.4.1 --- b1 10.93.4.2...
              cd 10.93.5.1 ------------------------------------------ bd 10.93.5.2...

gc and gb carry routing and the proxies. hc and hb are the same again with Sluice's hook, which the
others do not pay for in this way. cd and bd are the direct link: one veth, no gateway.

This process is the gateway: it enters a mount and a network namespace of its own, which nobody
else sees and which go with it and its children, with all pins, links and namespaces in them.
"""
import contextlib
import ctypes
import ipaddress
import os
import pathlib
import signal
import subprocess

from comparison.problem import Problem

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
PR_SET_PDEATHSIG = 1

CLIENT, ENDPOINT = "client", "endpoint"
ENDPOINT_ADDRESSES = 8  # on each link, so that ports do not run out

# (client's interface, gateway's), (gateway's, endpoint's), and their networks
PLAIN = ("c0", "gc", "10.93.1"), ("gb", "b0", "10.93.2")
HOOKED = ("c1", "hc", "10.93.3"), ("hb", "b1", "10.93.4")
DIRECT = ("cd", "bd", "10.93.5")

# The same for all peers. Reno sets no timers, as BBR does, and is there in every namespace.
SETTINGS = {
    "net/ipv4/tcp_congestion_control": "reno",
    "net/ipv4/ip_local_port_range": "10000 65000",
    "net/ipv4/tcp_tw_reuse": "1",
    "net/ipv4/tcp_max_syn_backlog": "8192",
    "net/core/somaxconn": "8192",
    "net/ipv4/ip_forward": "1",
}

libc = ctypes.CDLL(None, use_errno=True)


def call(*argv):
    done = subprocess.run([str(arg) for arg in argv], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def die_with_parent():
    """For preexec_fn: whatever ends this process, its children end, and the namespaces with them."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def within(name):
    """What to put in front of a command to run it in namespace @name; None is the gateway's."""
    return ["ip", "netns", "exec", name] if name else []


def enter():
    """Become the gateway. There is no way back for this process."""
    if os.geteuid() != 0:
        raise Problem("network namespaces: needs root")
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) < 0:
        raise Problem(f"network namespaces: {os.strerror(ctypes.get_errno())}")
    call("mount", "--make-rprivate", "/")
    # `ip netns` keeps its names below /run. The machine's own pins are hidden by a new bpffs.
    call("mount", "-t", "tmpfs", "tmpfs", "/run")
    pathlib.Path("/run/netns").mkdir()
    with contextlib.suppress(Problem):
        while True:
            call("umount", "/sys/fs/bpf")


def host(network, n):
    return f"{network}.{n}"


def endpoint_addresses(network, port):
    return [f"{host(network, 2 + n)}:{port}" for n in range(ENDPOINT_ADDRESSES)]


def add_addresses(namespace, interface, *addresses):
    where = ["-n", namespace] if namespace else []
    for address in addresses:
        call("ip", *where, "address", "add", f"{address}/24", "dev", interface)
    call("ip", *where, "link", "set", interface, "up")


def wire():
    """All namespaces, links, addresses and routes of the picture above."""
    for name in (CLIENT, ENDPOINT):
        call("ip", "netns", "add", name)
    for (theirs, ours, near), (ours_b, theirs_b, far) in (PLAIN, HOOKED):
        call("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", CLIENT)
        call("ip", "link", "add", ours_b, "type", "veth", "peer", "name", theirs_b,
             "netns", ENDPOINT)
        add_addresses(None, ours, host(near, 1))
        add_addresses(None, ours_b, host(far, 1))
        add_addresses(CLIENT, theirs, host(near, 2))
        add_addresses(ENDPOINT, theirs_b,
                      *(host(far, 2 + n) for n in range(ENDPOINT_ADDRESSES)))
    near, far, network = DIRECT
    call("ip", "-n", CLIENT, "link", "add", near, "type", "veth", "peer", "name", far,
         "netns", ENDPOINT)
    add_addresses(CLIENT, near, host(network, 1))
    add_addresses(ENDPOINT, far, *(host(network, 2 + n) for n in range(ENDPOINT_ADDRESSES)))
    for (_, _, near), (_, _, far) in (PLAIN, HOOKED):
        call("ip", "-n", CLIENT, "route", "add", ipaddress.ip_network(f"{far}.0/24"), "via",
             host(near, 1))
        call("ip", "-n", ENDPOINT, "route", "add", ipaddress.ip_network(f"{near}.0/24"), "via",
             host(far, 1))
    for name in (None, CLIENT, ENDPOINT):
        call("ip", *(["-n", name] if name else []), "link", "set", "lo", "up")
        for key, value in SETTINGS.items():
            call(*within(name), "sh", "-c", f"echo {value} >/proc/sys/{key}")
