# SPDX-License-Identifier: Apache-2.0
"""
A gateway between two networks whose kernel takes its connections over. Client (c), gateway and
endpoint (b) have a network namespace each; the fixture splice_network makes such networks.
"""

import json
import os
import re
import signal
import struct
import sys

from lib import env, routers
from lib.metrics import Metrics

BENCH = env.BUILD / "sluice-bench"
ADMIN = "127.0.0.1:9810"  # in a namespace of its own
IMPAIR = env.ROOT / "build/tests/bpf/impair.bpf.o"
CLIENTS = {4: "10.1.0.1:8080", 6: "[fd01::1]:8080"}

# Bytes of a stream that are not payload: the header of a message of 64, and the Close frame.
MASKED, PLAIN, MASKED_CLOSE, PLAIN_CLOSE = 6, 2, 8, 4

# What the hook counts, in the order of enum sl_stat.
STATS = re.findall(r'X\(SL_STAT_\w+, "(\w+)"',
                   (env.ROOT / "include/sluice/splice_stats.h").read_text())

# What the daemon logs if bytes got lost in a socket that it has given up.
LATE = "came to a socket after the kernel had taken over"

# For loads that lose packets, by intent or for want of memory: after that, BBR's estimate of the
# bandwidth can stay at some kB/s for a minute, with the gateway as without.
RENO = tuple((where, "net.ipv4.tcp_congestion_control", "reno") for where in ("", "c", "b"))


def far_address(version, net, i=0):
    """Of the host on the other side of network @net: its address number @i."""
    return f"10.{net}.0.{2 + i}" if version == 4 else f"fd0{net}::{2 + i:x}"


class Network:
    """The three of them, with everything running."""

    def __init__(self, box, version):
        self.box = box
        self.version = version
        self.processes = []
        self.control = box.directory / "control.sock"
        self.log = box.directory / "access.log"
        self.config = box.directory / "splice.conf"
        self.server = None
        self.daemon = None
        self.pid = None  # the daemon's
        self.starter, self.options = (), ()

    def begin(self, *, route="", kernel="", more="", hooks=("gc", "gb"),
              flows=4096, endpoint=None, far_addresses=(1, 1), sysctls=(), server=(),
              nofile=None, load=(), group=0, starter=(), options=(), routed=False,
              features=(), wired=None):
        """
        @endpoint: an address of the gateway's own host to run it on
        @far_addresses: how many the client and the endpoint have
        @sysctls: (namespace, name, value); the gateway's is ""
        @load: more options of sluice-loader load
        @server: options of the endpoint; None for no endpoint but one of the test's own
        @nofile: the daemon's limit of descriptors
        @group: that may use the pins
        @routed: two routers before either far end (lib/routers.py), which has one address
        @features: (namespace, interface, words of ethtool -K...), before anything is attached
        @wired: called behind them with this network
        @starter, @options: words before the daemon's name, and behind
        """
        self.starter, self.options = starter, options
        self.routed = routed
        self._wire(far_addresses)
        for where, name, value in sysctls:
            self.sysctl(where, name, value)
        for where, interface, *words in features:
            self.inside(where, "ethtool", "-K", interface, *words)
        if wired:
            wired(self)
        if hooks is not None:
            self.box.loader("load", "--flows", flows, "--group", group, *load)
            self.box.loader("attach", *hooks)
        endpoints = [endpoint] if endpoint else self._endpoints(far_addresses[1])
        if server is not None:
            self._start_server(endpoint is None, endpoints, server)
        members = "\n".join(f'  endpoint e{i} {{ address = "{address}" }}'
                            for i, address in enumerate(endpoints))
        self.config.write_text(f"""
log {{ level = debug  access = "{self.log}" }}
admin {{ control = "{self.control}"  listen = {{"{ADMIN}"}} }}
kernel {{ {kernel} }}
{more}
listener l {{ listen = {{"{CLIENTS[self.version]}"}} }}
cluster c {{
{members}
}}
route r {{ proxy = c  {route} }}
""")
        self.start_daemon(nofile)

    def far_address(self, net, i=0):
        return far_address(self.version, net + (routers.FAR if self.routed else 0), i)

    def _endpoints(self, n):
        text = "%s:9000" if self.version == 4 else "[%s]:9000"
        return [text % self.far_address(2, i) for i in range(n)]

    def _start_server(self, is_far, addresses, options):
        where = ("ip", "netns", "exec", "b") if is_far else ()
        self.server = self.start(*where, BENCH, "server", "--json", "--listen",
                                 ",".join(addresses), *options)
        self.server.wait_line()

    def start_daemon(self, nofile=None):
        self.control.unlink(missing_ok=True)
        self.daemon = self.start(*self.starter, env.BUILD / "sluiced", "-c", self.config,
                                 *self.options, nofile=nofile)
        env.until(self._answers, "the control socket")
        self.pid = self._find_daemon()

    def _answers(self):
        assert self.daemon.is_running(), f"sluiced ended early: {self.daemon.stderr()}"
        # Answered when everything has been opened, threads run, and a turn of the loop was made.
        asked = self.box.run(env.BUILD / "sluicectl", "-s", self.control, "status", check=False)
        return asked.returncode == 0

    def kill_daemon(self):
        os.kill(self.pid, signal.SIGKILL)
        self.daemon.wait()

    def stop_daemon(self):
        os.kill(self.pid, signal.SIGTERM)
        assert self.daemon.wait(6 * env.PATIENCE_S) == 0, self.daemon.stderr()

    def start(self, *argv, nofile=None):
        self.processes.append(self.box.start(*argv, nofile=nofile))
        return self.processes[-1]

    def end(self):
        for process in self.processes:
            process.kill()

    def _wire(self, far_addresses):
        ip = [("c", "gc", "c0", 1), ("b", "gb", "b0", 2)]
        for (name, ours, theirs, net), n in zip(ip, far_addresses):
            if self.routed:
                routers.wire(self.box, name, ours, theirs, net)
                continue
            self.box.run("ip", "netns", "add", name)
            self.box.run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs,
                         "netns", name)
            self._address((), ours, f"10.{net}.0.1/24", f"fd0{net}::1/64")
            for i in range(n):
                self._address(("-n", name), theirs, f"{far_address(4, net, i)}/24",
                              f"{far_address(6, net, i)}/64")
            self.box.run("ip", "link", "set", ours, "up")
            self.box.run("ip", "-n", name, "link", "set", theirs, "up")

    def _address(self, where, interface, *addresses):
        for address in addresses:
            nodad = ("nodad",) if ":" in address else ()
            self.box.run("ip", *where, "address", "add", address, "dev", interface, *nodad)

    def inside(self, where, *argv, check=True):
        """Runs in the namespace @where; the gateway's is ""."""
        prefix = ("ip", "netns", "exec", where) if where else ()
        return self.box.run(*prefix, *argv, check=check)

    def sysctl(self, where, name, value):
        path = "/proc/sys/" + name.replace(".", "/")
        self.inside(where, "sh", "-c", f"echo '{value}' >{path}")

    def promotions(self):
        """How tries have ended, by result."""
        metrics = self.metrics()
        return {result: int(metrics("sluice_promotions_total", result=result))
                for result in ("done", "refused", "retry")}

    def impair(self, drop=0, double=0, delay=0):
        """From now on the network is as bad as that, on the far sides, both ways: percentages."""
        where = "/sys/fs/bpf/impair"
        if not self.box.exists(where):
            self.box.run("mkdir", "-p", where)
            self.box.run("bpftool", "prog", "loadall", IMPAIR, where, "pinmaps", where)
            for name, interface in ("c", "c0"), ("b", "b0"):
                # Not by `ip netns exec` or `tc -n`: they mount another /sys.
                tc = ("nsenter", f"--net=/run/netns/{name}", "tc")
                self.box.run(*tc, "qdisc", "add", "dev", interface, "clsact")
                for side, program in ("ingress", "impair_in"), ("egress", "impair_out"):
                    self.box.run(*tc, "filter", "add", "dev", interface, side, "bpf", "da",
                                 "pinned", f"{where}/{program}")
        rates = struct.pack("<3I4x3Q", *(int(rate * 10000) for rate in (drop, double, delay)),
                            0, 0, 0)
        self.box.run("bpftool", "map", "update", "pinned", f"{where}/harms", "key", *"0000",
                     "value", *map(str, rates))

    def unfinished(self):
        """Sockets of the far ends that are not closed, nor only wait for old packets."""
        return [line for name in "cb" for line in
                self.inside(name, "ss", "-Htan", "exclude", "listening", "exclude", "time-wait")
                .stdout.splitlines()]

    def impaired(self):
        """Packets that were (dropped, doubled, delayed) since."""
        rows = json.loads(self.box.run("bpftool", "-j", "map", "dump", "pinned",
                                       "/sys/fs/bpf/impair/harms").stdout)
        return tuple(rows[0]["formatted"]["value"]["done"])

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
        return self.start("ip", "netns", "exec", "c", BENCH, "client",
                          f"ws://{CLIENTS[self.version]}/", "--json", *argv)

    def metrics(self):
        get = ("import sys, urllib.request; sys.stdout.write("
               f"urllib.request.urlopen('http://{ADMIN}/metrics').read().decode())")
        return Metrics(self.box.run(sys.executable, "-c", get).stdout)

    def n_established(self, where):
        lines = self.inside(where, "ss", "-Htn", "state", "established").stdout.splitlines()
        return len(lines)

    def connections(self):
        return self.ctl("show", "connections")

    def paths(self):
        return sorted((row["path"], row["reason"]) for row in self.connections())

    def wait_spliced(self, n):
        env.until(lambda: self.paths() == [("splice", "none")] * n, f"{n} spliced connections")

    def wait_moving(self, n_bytes=1, *options, conns=None):
        """
        Until so much more has come from each client, or on each of @conns; @options of show
        connections.
        """

        def counts():
            return {row["conn"]: row["bytes_in"]
                    for row in self.ctl("show", "connections", *options)
                    if conns is None or row["conn"] in conns}

        before = counts()
        assert conns is None or set(before) == conns
        env.until(lambda: all(n >= before[conn] + n_bytes for conn, n in counts().items()),
                  f"{n_bytes} bytes more on every connection")

    def wait_none(self, patience_s=env.PATIENCE_S):
        env.until(lambda: not self.connections(), "the end of all connections", patience_s)

    def lines(self, n):
        """The access log, once it has so many lines."""

        def read():
            text = self.log.read_text() if self.log.exists() else ""
            rows = [json.loads(line) for line in text.splitlines()]
            return rows if len(rows) >= n else None

        return env.until(read, f"{n} lines of the access log")

    def stop_server(self):
        """Ends the endpoint. Returns what it has counted."""
        assert self.server.stop(signal.SIGINT) == 0, self.server.stderr()
        return json.loads(self.server.stdout().splitlines()[-1])

    def debug_log(self):
        return self.daemon.stderr()

    def offload(self):
        return {row["path"]: row for row in self.ctl("show", "offload")}

    def splice_offload(self):
        return self.offload()["splice"]


def read_stats(network):
    rows = json.loads(network.box.run("bpftool", "-j", "map", "dump", "pinned",
                                      "/sys/fs/bpf/sluice/stats").stdout)
    return {STATS[row["formatted"]["key"]]: sum(cpu["value"] for cpu in row["formatted"]["values"])
            for row in rows}


def result_of(client, patience_s=6 * env.PATIENCE_S):
    """What a client that has met no error has counted."""
    code = client.wait(patience_s)
    assert code == 0, client.stderr()
    result = json.loads(client.stdout())
    assert result["errors_total"] == 0, result
    return result


def ended(client):
    """The result of a client that is told to end, however long it took to get so far."""
    client.stop(signal.SIGINT)
    return result_of(client)


def assert_counted(network, *results, paths=("splice",), is_demoted=False):
    """
    Both ends and the access log agree to the byte; connections were on @paths, and those that were
    spliced were so once, without a late byte. Returns the rows of the log.
    @is_demoted: those that ended on the relay may have been spliced before
    """
    n = sum(result["opened"] for result in results)
    network.wait_none(6 * env.PATIENCE_S)
    rows = network.lines(n)
    assert len(rows) == n
    assert {row["path"] for row in rows} <= set(paths)
    assert is_demoted or all(row["promotions"] == (row["path"] == "splice") for row in rows)
    server = network.stop_server()
    assert server["aborted"] == 0 and server["connections"] == n
    to_endpoint = sum(row["bytes_in"] for row in rows)
    to_client = sum(row["bytes_out"] for row in rows)
    assert to_endpoint == sum(r["stream_sent"] for r in results) == server["stream_received"]
    assert to_client == sum(r["stream_received"] for r in results) == server["stream_sent"]
    assert LATE not in network.debug_log()
    return rows
