# SPDX-License-Identifier: Apache-2.0
"""
Packet splice: a gateway between two networks whose kernel takes its connections over. Client,
gateway and endpoint have a network namespace each.
"""

import json
import os
import signal

import pytest

from lib import box as boxes
from lib import env

WHY_NOT = boxes.missing()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

BENCH = env.BUILD / "sluice-bench"
CLIENTS = {4: "10.1.0.1:8080", 6: "[fd01::1]:8080"}
ENDPOINTS = {4: "10.2.0.2:9000", 6: "[fd02::2]:9000"}
NO_LIMITS = "max_frame = 0  max_message = 0"  # those need the relay

# Bytes of a stream that are not payload: the header of a message of 64, and the Close frame.
MASKED, PLAIN, MASKED_CLOSE, PLAIN_CLOSE = 6, 2, 8, 4


class Network:
    """The three of them, with everything running."""

    def __init__(self, box, version):
        self.box = box
        self.version = version
        self.processes = []
        self.control = box.directory / "control.sock"
        self.log = box.directory / "access.log"

    def begin(self, limits=NO_LIMITS, route="", kernel="", hooks=("gc", "gb"), endpoint=None):
        """@endpoint: an address of the gateway's own host to run it on."""
        where = () if endpoint else ("ip", "netns", "exec", "b")
        endpoint = endpoint or ENDPOINTS[self.version]
        self._wire()
        if hooks is not None:
            self.box.loader("load", "--flows", "4096", "--group", "0")
            self.box.loader("attach", *hooks)
        server = self.start(*where, BENCH, "server", "--listen", endpoint)
        server.wait_line()
        config = self.box.directory / "splice.conf"
        config.write_text(f"""
log {{ level = debug  access = "{self.log}" }}
admin {{ control = "{self.control}" }}
kernel {{ {kernel} }}
listener l {{ listen = {{"{CLIENTS[self.version]}"}} }}
cluster c {{ endpoint e {{ address = "{endpoint}" }} }}
route r {{ proxy = c  {limits}  {route} }}
""")
        self.daemon = self.start(env.BUILD / "sluiced", "-c", config)
        env.until(self.control.exists, "the control socket")
        self.pid = self._find_daemon()

    def start(self, *argv):
        self.processes.append(self.box.start(*argv))
        return self.processes[-1]

    def end(self):
        for process in self.processes:
            process.kill()

    def _wire(self):
        ip = [("c", "gc", "c0", 1), ("b", "gb", "b0", 2)]
        for name, ours, theirs, net in ip:
            self.box.run("ip", "netns", "add", name)
            self.box.run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs,
                         "netns", name)
            for where, interface, host in ((), ours, 1), (("-n", name), theirs, 2):
                for address in f"10.{net}.0.{host}/24", f"fd0{net}::{host}/64":
                    nodad = ("nodad",) if ":" in address else ()
                    self.box.run("ip", *where, "address", "add", address, "dev", interface,
                                 *nodad)
                self.box.run("ip", *where, "link", "set", interface, "up")

    def _find_daemon(self):
        """nsenter has become the daemon, or is its parent."""
        children = f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children"
        with open(children, encoding="ascii") as file:
            pids = file.read().split()
        return int(pids[0]) if pids else self.daemon.pid

    def ctl(self, *argv):
        return json.loads(self.box.run(env.BUILD / "sluicectl", "-j", "-s", self.control,
                                       *argv).stdout)

    def client(self, *argv):
        return self.start("ip", "netns", "exec", "c", BENCH, "client", f"ws://{CLIENTS[self.version]}/",
                          "--json", *argv)

    def connections(self):
        return self.ctl("show", "connections")

    def paths(self):
        return sorted((row["path"], row["reason"]) for row in self.connections())

    def wait_spliced(self, n):
        env.until(lambda: self.paths() == [("splice", "none")] * n, f"{n} spliced connections")

    def wait_none(self):
        env.until(lambda: not self.connections(), "the end of all connections")

    def lines(self, n):
        """The access log, once it has so many lines."""

        def read():
            text = self.log.read_text() if self.log.exists() else ""
            rows = [json.loads(line) for line in text.splitlines()]
            return rows if len(rows) >= n else None

        return env.until(read, f"{n} lines of the access log")

    def offload(self):
        return {row["path"]: row for row in self.ctl("show", "offload")}

    def splice_offload(self):
        return self.offload()["splice"]


def result_of(client):
    code = client.wait(6 * env.PATIENCE_S)
    assert code == 0, client.stderr()
    result = json.loads(client.stdout())
    assert result["errors_total"] == 0, result
    return result


@pytest.fixture(scope="module", autouse=True)
def _programs(module_directory):
    with boxes.Box(module_directory) as one:
        said = one.loader("load", check=False)
        if said.returncode != 0:
            pytest.skip(f"nothing can be loaded here: {said.stderr.strip()}")


@pytest.fixture
def connect(directory):
    """Makes networks that end with the test."""
    made = []

    def make(version=4, **options):
        made.append(Network(box, version))
        made[-1].begin(**options)
        return made[-1]

    with boxes.Box(directory) as box:
        yield make
        for network in made:
            network.end()


@pytest.mark.parametrize("version", [4, 6])
def test_busy_connections_are_spliced_and_every_byte_arrives(connect, version):
    network = connect(version)
    n = env.scale(16, 2)
    client = network.client("-c", n, "-d", "6", "-s", "64-3000", "--verify")
    network.wait_spliced(n)
    assert network.splice_offload()["connections"] == n
    result = result_of(client)
    assert result["opened"] == n and result["messages"] > n
    network.wait_none()
    rows = network.lines(n)
    assert {(row["path"], row["promotions"]) for row in rows} == {("splice", 1)}
    assert not any(row["frames_exact"] for row in rows)


def test_an_endpoint_on_the_same_host(connect):
    """Its packets never leave by a wire: over lo, whose MTU is not the client's."""
    network = connect(endpoint="10.2.0.1:9000", hooks=("gc", "lo"))
    client = network.client("-c", 8, "-d", "5", "-s", "64-100000", "--verify")
    network.wait_spliced(8)
    assert result_of(client)["opened"] == 8
    network.wait_none()
    assert {row["path"] for row in network.lines(8)} == {"splice"}


def test_the_access_log_is_exact_to_the_byte(connect):
    network = connect()
    client = network.client("-c", 4, "-n", "20000", "-s", "64")
    messages = result_of(client)["messages_total"]
    network.wait_none()
    rows = network.lines(4)
    assert {row["path"] for row in rows} == {"splice"}
    assert sum(row["bytes_in"] - MASKED_CLOSE for row in rows) == messages * (64 + MASKED)
    assert sum(row["bytes_out"] - PLAIN_CLOSE for row in rows) == messages * (64 + PLAIN)


def test_a_spliced_connection_has_no_descriptor(connect):
    network = connect()

    def n_fds():
        return len(os.listdir(f"/proc/{network.pid}/fd"))

    before = n_fds()
    client = network.client("-c", 100, "-m", "idle", "-d", "60")
    network.wait_spliced(100)
    env.until(lambda: n_fds() <= before + 4, "closed sockets")
    client.stop(signal.SIGINT)
    network.wait_none()
    assert len(network.lines(100)) == 100


def test_a_client_that_comes_again_from_its_port_meets_the_gateway(connect):
    """And not the endpoint, by the entries of the connection before."""
    network = connect()
    network.box.run("ip", "netns", "exec", "c", "sh", "-c",
                    "echo 20000 20031 >/proc/sys/net/ipv4/ip_local_port_range")
    client = network.client("-c", 4, "-d", "4", "--messages-per-conn", "200", "--churn",
                            "--verify")
    opened = result_of(client)["opened"]
    assert opened > 64
    network.wait_none()
    rows = network.lines(opened)
    assert len(rows) == opened
    assert "splice" in {row["path"] for row in rows}


def test_a_reset_ends_both_sides(connect):
    network = connect()
    client = network.client("-c", 8, "-m", "idle", "-d", "4", "--reset")
    network.wait_spliced(8)
    client.wait(6 * env.PATIENCE_S)
    network.wait_none()
    assert {row["reason"] for row in network.lines(8)} == {"reset"}


def test_tunnel_timeout_counts_what_the_kernel_sees(connect):
    network = connect(route="tunnel_timeout = 1500ms")
    busy = network.client("-c", 2, "-m", "rate", "-r", "40", "-d", "5")
    idle = network.client("-c", 3, "-m", "idle", "-d", "60")
    rows = network.lines(3)
    assert {row["reason"] for row in rows[:3]} == {"tunnel_timeout"}
    assert result_of(busy)["messages"] > 0
    network.wait_none()
    assert "tunnel_timeout" not in {row["reason"] for row in network.lines(5)[3:]}
    idle.kill()


def test_the_operator_can_close_it(connect):
    network = connect()
    client = network.client("-c", 2, "-m", "idle", "-d", "60")
    network.wait_spliced(2)
    network.ctl("close", network.connections()[0]["conn"])
    env.until(lambda: len(network.connections()) == 1, "one connection less")
    client.kill()


def test_kill_of_the_daemon_costs_no_byte(connect):
    network = connect()
    client = network.client("-c", 8, "-d", "6", "-s", "64-3000", "--verify")
    network.wait_spliced(8)
    os.kill(network.pid, signal.SIGKILL)
    result = result_of(client)
    assert result["opened"] == 8 and result["messages"] > 8


@pytest.mark.parametrize(
    "options, path_reason",
    [
        ({"route": "splice = off"}, ("relay", "policy")),
        ({"kernel": "splice = off"}, ("relay", "policy")),
        ({"limits": "max_frame = 1mb  max_message = 0"}, ("relay", "limit")),
        ({"route": "max_connection_duration = 1h"}, ("relay", "limit")),
        ({"hooks": None}, ("relay", "not_loaded")),
        ({"hooks": ("gc",)}, ("relay", "no_hook")),
        ({"hooks": ("gb",)}, ("relay", "no_hook")),
    ],
)
def test_who_stays_on_the_relay_and_why(connect, options, path_reason):
    network = connect(**options)
    client = network.client("-c", 2, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [path_reason] * 2, f"two connections: {path_reason}")
    client.stop(signal.SIGINT)
    assert {row["path"] for row in network.lines(2)} == {"relay"}


def test_offload_says_what_is_missing(connect):
    network = connect(hooks=None)
    row = network.splice_offload()
    assert (row["available"], row["reason"]) == (False, "not_loaded")
    assert row["detail"] == "/sys/fs/bpf/sluice: nothing is loaded there (sluice-loader load)"
