# SPDX-License-Identifier: Apache-2.0
"""What an operator can find out about packet splice: metrics and `show offload`."""

import shutil
import signal
import subprocess

import pytest

from lib import env
from lib.splice_network import ended


@pytest.mark.parametrize("version", [4, 6])
def test_metrics_of_spliced_connections(splice_network, version):
    network = splice_network(version)
    n = 8
    flows, other = (f"flows{v}" for v in (version, 10 - version))
    m = network.metrics()
    assert m("sluice_map_entries", map=flows) == m("sluice_map_entries", map="conns") == 0
    client = network.client("-c", n, "-d", "60", "-s", "64", "--verify")
    network.wait_spliced(n)
    m = network.metrics()
    assert m("sluice_map_entries", map=flows) == 2 * n
    assert m("sluice_map_entries", map=other) == 0
    assert m("sluice_map_entries", map="conns") == n
    assert m("sluice_promotions_total", result="done", reason="none") == n
    assert m("sluice_promotions_total", result="refused") == 0
    network.wait_moving(10000)
    ended(client)
    network.wait_none()
    env.until(lambda: network.metrics()("sluice_map_entries", map=flows) == n,
              "the end of the clients' entries; the endpoint's see their quarantine")
    m = network.metrics()
    assert m("sluice_map_entries", map="conns") == 0
    assert m("sluice_promotion_seconds_count") == n
    assert 0 < m("sluice_promotion_seconds_sum") < n
    switch_s = m("sluice_promotion_switch_seconds_total")
    assert 0 < switch_s < m("sluice_promotion_seconds_sum")
    assert m("sluice_splice_packets_total", result="forwarded") > 0
    assert m("sluice_splice_packets_total", result="learned") > 0
    assert m("sluice_splice_events_lost_total") == 0
    assert m("sluice_bytes_total", path="splice") > 0
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=m.text, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_metrics_of_those_that_stay_and_why(splice_network):
    network = splice_network(route="splice = off")
    client = network.client("-c", 3, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "policy")] * 3, "three connections")
    m = network.metrics()
    assert m("sluice_promotions_total", result="refused", reason="policy") == 3
    assert m("sluice_promotions_total") == 3
    assert m("sluice_promotion_seconds_count") == 0
    client.stop(signal.SIGINT)


def test_idle_is_what_the_kernel_sees(splice_network):
    """The daemon has seen nothing of either for long; one of them is busy."""
    network = splice_network()
    silent = network.client("-c", 1, "-m", "idle", "-d", "60")
    network.wait_spliced(1)
    ids = {row["conn"] for row in network.connections()}
    busy = network.client("-c", 1, "-m", "rate", "-r", "5", "-d", "60")
    network.wait_spliced(2)
    env.until(lambda: all(row["age_ms"] > 3000 for row in network.connections()), "three seconds")
    show = ("show", "connections", "--idle", "2s")
    env.until(lambda: {row["conn"] for row in network.ctl(*show)} == ids, "the silent one alone")
    for client in (silent, busy):
        client.stop(signal.SIGINT)


def offload_text(network):
    return network.box.run(env.BUILD / "sluicectl", "-s", network.control, "show",
                           "offload").stdout


def test_offload_tells_what_there_is(splice_network):
    network = splice_network()
    client = network.client("-c", 3, "-m", "idle", "-d", "60")
    network.wait_spliced(3)
    splice = network.splice_offload()["splice"]
    assert splice["abi"] == 2 and sorted(splice["interfaces"]) == ["gb", "gc"]
    assert splice["maps"]["flows4"] == {"entries": 6, "max": 8192}
    assert splice["maps"]["conns"] == {"entries": 3, "max": 4096}
    assert (splice["ports"]["used"], splice["ports"]["quarantined"]) == (3, 0)
    assert (splice["promoted"], splice["refused"]) == (3, {})
    assert splice["hook"]["learned"] > 0 and splice["hook"]["event_lost"] == 0
    text = offload_text(network)
    assert "flows4 6 of 8192" in text and "3 used, 0 in quarantine" in text, text
    client.stop(signal.SIGINT)


def test_offload_tells_why_and_what_to_do(splice_network):
    network = splice_network(hooks=("gc",))
    client = network.client("-c", 3, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "no_hook")] * 3, "three connections")
    assert network.splice_offload()["splice"]["refused"] == {"no_hook": 3}
    assert "sluice-loader attach IFACE" in offload_text(network)
    client.stop(signal.SIGINT)
