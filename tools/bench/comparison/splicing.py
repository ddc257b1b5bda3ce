# SPDX-License-Identifier: Apache-2.0
"""The kernel programs below a gateway: loading them, waiting until connections are spliced, costs."""
import contextlib
import json
import os
import pathlib
import time
import urllib.request

from comparison import netns
from comparison.problem import Problem

INSTANCE = "compare"
CONNECTIONS_MAX = 16384  # those of the last minute count: their ports are in quarantine
METRICS = "127.0.0.1:9810"
STATS_SWITCH = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
POLL_S = 0.02


class NotSpliced(Problem):
    """Not all connections were, in time."""


class Splicing:
    """A set of pinned programs of our own, and the daemon that uses it."""

    def __init__(self, build, control):
        self.build = build
        self.control = control

    def loader(self, *argv):
        return netns.call(self.build / "sluice-loader", "--instance", INSTANCE, *argv)

    def load(self, *interfaces):
        self.loader("load", "--flows", CONNECTIONS_MAX, "--group", "0", "--operator-group", "0")
        self.loader("attach", *interfaces)

    @staticmethod
    def configuration():
        """What the daemon's has that others' has not."""
        return {"admin": f'listen = {{"{METRICS}"}}',
                "kernel": f'pins = "/sys/fs/bpf/sluice-{INSTANCE}"'}

    def show(self, *what):
        return json.loads(netns.call(self.build / "sluicectl", "-j", "-s", self.control, "show",
                                     *what))

    def n_spliced(self):
        return next(row["connections"] for row in self.show("offload") if row["path"] == "splice")

    @staticmethod
    def hold_s(connections):
        """How long the client waits between the last handshake and the first message."""
        return round(0.4 + connections / 2000, 1)

    def wait_spliced(self, connections, client, until):
        """Until the kernel has all, or @client ends; NotSpliced at @until, when that begins."""
        while client.poll() is None:
            spliced = self.n_spliced()
            if time.monotonic() >= until:
                raise NotSpliced(f"sluice-splice: only {spliced} of {connections} connections were "
                                 f"spliced in time: {self.why_not()}")
            if spliced == connections:
                return
            time.sleep(POLL_S)

    def why_not(self):
        reasons = {}
        for row in self.show("connections"):
            if row["path"] != "splice":
                reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
        return ", ".join(f"{reason}: {n}" for reason, n in sorted(reasons.items())) or "no reason"

    # ---- what it costs -----------------------------------------------------------------------

    def status(self):
        return json.loads(self.loader("-j", "status"))

    def program_time(self):
        """(runs, ns) of the hook so far; they count under counting_program_time() only."""
        row = next(row for row in self.status()["programs"] if row["name"] == "sl_splice")
        return row.get("runs", 0), row.get("run_time_ns", 0)

    def map_bytes_per_connection(self):
        row = next(row for row in self.status()["maps"] if row["name"] == "flows4")
        # One entry for each direction. In whole bytes, since the map itself has some, too.
        return round(row["memory_bytes"] / row["max_entries"] * 2)

    @staticmethod
    def promotions():
        """(promotions that succeeded, seconds of the daemon's for them, of the switches), or None."""
        with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=10) as answer:
            return read_promotions(answer.read().decode())


def read_promotions(text):
    """From a page of metrics. Tries that failed cost time as well, so it is shared out."""
    done, seconds, switches = 0, None, 0
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith('sluice_promotions_total{result="done"'):
            done += float(value)
        elif name.split("{")[0] == "sluice_promotion_seconds_sum":
            seconds = (seconds or 0) + float(value)
        elif name == "sluice_promotion_switch_seconds_total":
            switches = float(value)
    return None if seconds is None else (done, seconds, switches)


@contextlib.contextmanager
def counting_program_time():
    """Two clock readings for each run of each program: not while anything else is measured."""
    before = STATS_SWITCH.read_text()
    STATS_SWITCH.write_text("1")
    try:
        yield
    finally:
        STATS_SWITCH.write_text(before)


def n_descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))
