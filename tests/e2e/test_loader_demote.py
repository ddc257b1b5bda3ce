# SPDX-License-Identifier: Apache-2.0
"""sluice-loader and the daemon together: what is spliced is taken back before a hook or a map goes."""

import signal
import time

from lib import env
from lib.box import LOADER
from lib.pins import (PINS, by_name, conn_id_of, flow_rows, hold_flows, hooks, release_flows,
                      set_abi, status)
from lib.splice_network import RENO, assert_counted, result_of

IDLE = env.scale_full(8, 200)
BUSY = env.scale_full(4, 200)
PATIENCE_S = 12 * env.PATIENCE_S


def demote(network):
    return "--demote", "--control", network.control, "--timeout", f"{PATIENCE_S}s"


def begin(splice_network):
    """Connections that stream, and as many that rest, all of them spliced."""
    network = splice_network(sysctls=RENO)
    busy = network.client("-c", BUSY, "-m", "pipeline", "--depth", 4, "-s", "64-16000", "--verify",
                          "-d", "600", "--timeout", "60")
    idle = network.client("-c", IDLE, "-m", "idle", "-d", "600")
    network.wait_spliced(BUSY + IDLE)
    return network, (busy, idle)


def end(network, clients, paths=("relay",)):
    for client in clients:
        client.send_signal(signal.SIGINT)
    results = [result_of(client, PATIENCE_S) for client in clients]
    assert_counted(network, *results, paths=paths, is_demoted=True)


def test_unload(splice_network):
    network, clients = begin(splice_network)
    said = network.box.loader("unload", *demote(network)).stderr
    assert f"the daemon has taken {BUSY + IDLE} connections back" in said
    assert not network.box.exists(PINS)
    assert {path for path, _ in network.paths()} == {"relay"}
    end(network, clients)


def test_detach_of_one_interface(splice_network):
    network, clients = begin(splice_network)
    network.box.loader("detach", "gb", *demote(network))
    assert set(hooks(network.box)) == {"gc"}
    # What is told to resume does not go back to where no program is.
    env.until(lambda: set(network.paths()) == {("relay", "no_hook")}, "all on the relay, and why")
    end(network, clients)


def test_replace_by_another_version(splice_network):
    network, clients = begin(splice_network)
    before = by_name(status(network.box)["maps"])
    set_abi(network.box, 77)
    assert "replace --demote" in network.box.refused("replace")
    assert set(network.paths()) == {("splice", "none")}
    network.box.loader("replace", *demote(network))
    assert {path for path, _ in network.paths()} == {"relay"}
    after = status(network.box)
    assert after["missing"] == "" and set(hooks(network.box)) == {"gc", "gb"}
    assert by_name(after["maps"])["conns"]["max_entries"] == before["conns"]["max_entries"]
    end(network, clients)


def test_unload_that_is_killed(splice_network):
    """What was back by then goes again; what was not stays where it is."""
    network = splice_network()
    client = network.client("-c", IDLE, "-m", "idle", "-d", "600")
    network.wait_spliced(IDLE)
    held = conn_id_of(flow_rows(network.box)[0])
    hold_flows(network.box, time.monotonic_ns() + 3600 * 10**9, held)
    loader = network.start(LOADER, "unload", "--demote", "--control", network.control,
                           "--timeout", "1d")
    left = [("relay", "demoted")] * (IDLE - 1) + [("splice", "none")]
    env.until(lambda: network.paths() == left, "all but one on the relay")
    loader.send_signal(signal.SIGKILL)
    loader.wait()
    network.wait_spliced(IDLE)
    assert set(hooks(network.box)) == {"gc", "gb"}
    release_flows(network.box, held)
    end(network, (client,), paths=("splice",))
