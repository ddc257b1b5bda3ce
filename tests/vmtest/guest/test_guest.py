# SPDX-License-Identifier: Apache-2.0
"""What every guest of the VM harness offers to a test. Runs inside one, on any kernel."""

import os
import resource
import shutil
import socket
import subprocess
import sys
import time

import pytest


def mounts():
    with open("/proc/mounts", encoding="ascii") as file:
        return {tuple(line.split()[1:3]) for line in file}


@pytest.mark.parametrize(
    "where, kind",
    [
        ("/proc", "proc"),
        ("/sys", "sysfs"),
        ("/dev", "devtmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/sys/fs/cgroup", "cgroup2"),
        ("/sys/fs/bpf", "bpf"),
        ("/sys/kernel/debug", "debugfs"),
        ("/sys/kernel/tracing", "tracefs"),
    ],
)
def test_mounted(where, kind):
    assert (where, kind) in mounts()


def test_full_root():
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        every = (1 << int(file.read()) + 1) - 1
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file)
    assert int(status["CapEff"], 16) == every
    assert os.getuid() == 0


def test_many_descriptors():
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft >= 1_000_000
    null = os.open("/dev/null", os.O_RDONLY)
    opened = [os.dup(null) for _ in range(30_000)]
    assert len(opened) == 30_000
    os.closerange(null, opened[-1] + 1)


@pytest.mark.parametrize(
    "family, address", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_loopback(family, address):
    with socket.create_server((address, 0), family=family) as server:
        with socket.create_connection(server.getsockname()[:2]) as client:
            peer, _ = server.accept()
            client.sendall(b"hello")
            assert peer.recv(5) == b"hello"
            peer.close()


def test_namespaces_veth_and_queueing():
    """Each of these loads a module by itself, as on an installed system."""
    script = """set -e
        ip netns add far
        ip link add near type veth peer name far netns far
        ip addr add 10.9.0.1/24 dev near
        ip link set near up
        ip -n far addr add 10.9.0.2/24 dev far
        ip -n far link set far up
        tc qdisc add dev near root netem delay 1ms
        tc qdisc add dev near clsact
        ip netns exec far tc qdisc replace dev far root fq
        ip netns exec far python3 -c 'import socket; s = socket.create_server(("10.9.0.2", 7)); \
                c, _ = s.accept(); c.sendall(b"far")' &
        until python3 -c 'import socket; s = socket.create_connection(("10.9.0.2", 7)); \
                print(s.recv(9).decode())' 2>/dev/null; do sleep 0.1; done
        wait
        ip netns del far"""
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "far\n"


def test_modprobe_knows_dependencies():
    subprocess.run(["modprobe", "cls_bpf"], check=True)
    subprocess.run(["modprobe", "tls"], check=True)
    absent = subprocess.run(["modprobe", "no_such_module"], stderr=subprocess.DEVNULL)
    assert absent.returncode == 1


def test_cgroups_have_controllers():
    group = "/sys/fs/cgroup/vmtest-guest"
    os.mkdir(group)
    try:
        with open(f"{group}/cgroup.controllers", encoding="ascii") as file:
            assert {"cpu", "memory", "pids"} <= set(file.read().split())
    finally:
        os.rmdir(group)


def test_bpf_objects_are_pinned():
    pin = "/sys/fs/bpf/vmtest-guest"
    create = "bpftool map create PIN type hash key 4 value 8 entries 16 name vmtest"
    subprocess.run(create.replace("PIN", pin).split(), check=True)
    shown = subprocess.run(f"bpftool map show pinned {pin}".split(), capture_output=True)
    os.unlink(pin)
    assert b"hash  name vmtest" in shown.stdout


def test_kernel_has_btf():
    with open("/sys/kernel/btf/vmlinux", "rb") as file:
        assert file.read(2) == b"\x9f\xeb"


def test_users_of_the_product():
    command = ["setpriv", "--reuid", "sluice", "--regid", "sluice", "--clear-groups", "id", "-un"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"sluice\n"


@pytest.mark.parametrize("tool", "ip tc ss bpftool nsenter unshare ethtool openssl jq socat".split())
def test_tools(tool):
    assert shutil.which(tool)


def test_python_has_its_packages_compiled():
    assert sys.executable == "/usr/bin/python3"
    import websockets

    assert os.path.exists(websockets.__cached__)


def test_clock_is_set():
    assert time.time() > 1_700_000_000
