# SPDX-License-Identifier: Apache-2.0
"""Hooks and pins that go by other means than sluice-loader, under connections that need them."""

import signal

import pytest

from lib import env
from lib.pins import remove_by_force

IDLE = "-m", "idle", "-d", "120"


def lost(network):
    return int(network.metrics()("sluice_hooks_lost_total"))


def events(network, name):
    return [row["fields"] for row in network.ctl("show", "events") if row["type"] == name]


def interfaces(network):
    return set(network.splice_offload()["splice"]["interfaces"])


@pytest.mark.parametrize("hook", ["tcx", "clsact"])
def test_a_hook_that_was_removed(splice_network, hook):
    """New connections say so at once, the old ones too; and all is well once it is back."""
    network = splice_network(hooks=("--hook", hook, "gc", "gb"))
    old = network.client("-c", 4, *IDLE)
    network.wait_spliced(4)
    assert lost(network) == 0 and interfaces(network) == {"gc", "gb"}
    remove_by_force(network.box, "gc")
    env.until(lambda: lost(network) == 1, "the loss to be noticed")
    assert interfaces(network) == {"gb"}
    (event,) = events(network, "hook_lost")
    assert (event["interface"], event["legs"]) == ("gc", 4)
    assert "gc (interface " in network.debug_log() and "the hook is gone" in network.debug_log()
    # At rest, they come back to the relay before anything is sent that would be reset.
    env.until(lambda: network.paths() == [("relay", "no_hook")] * 4, "four on the relay")
    new = network.client("-c", 2, *IDLE)
    env.until(lambda: network.paths() == [("relay", "no_hook")] * 6, "two more")
    network.box.loader("attach", "--hook", hook, "gc")
    newer = network.client("-c", 2, *IDLE)
    env.until(lambda: network.paths() == [("relay", "no_hook")] * 6 + [("splice", "none")] * 2,
              "two spliced ones")
    assert lost(network) == 1
    assert network.metrics()("sluice_demotions_total", reason="no_hook", result="done") == 4
    for client in old, new, newer:
        client.stop(signal.SIGINT)
    network.wait_none()
    assert "reset" not in {row["reason"] for row in network.lines(8)}


def test_an_interface_that_went_away(splice_network):
    network = splice_network()
    network.client("-c", 4, *IDLE)
    network.wait_spliced(4)
    network.box.run("ip", "link", "del", "gb")
    env.until(lambda: lost(network) == 1, "the loss to be noticed")
    assert events(network, "hook_lost")[0]["interface"] == "gb"
    assert interfaces(network) == {"gc"}
    # There is nothing that a socket could send by.
    env.until(lambda: network.paths() == [("splice", "no_hook")] * 4, "four that are cut off")
    assert "cannot be restored" not in network.debug_log()


def test_what_the_loader_takes_out_is_not_lost(splice_network):
    network = splice_network()
    client = network.client("-c", 2, *IDLE)
    network.wait_spliced(2)
    for _ in range(3):
        network.box.loader("replace")
    network.box.loader("detach", "--force", "gb")
    env.until(lambda: network.paths() == [("relay", "no_hook")] * 2, "two on the relay")
    assert lost(network) == 0 and not events(network, "hook_lost")
    client.stop(signal.SIGINT)
    network.wait_none()


@pytest.mark.parametrize("again", [False, True])
def test_pins_that_were_taken_away(splice_network, again):
    network = splice_network()
    network.box.loader("unload")
    if again:
        network.box.loader("load")
    env.until(lambda: events(network, "pins_lost"), "the loss to be noticed")
    row = network.splice_offload()
    assert (row["available"], row["reason"]) == (False, "not_loaded")
    assert "restart" in row["detail"]
    client = network.client("-c", 2, *IDLE)
    env.until(lambda: network.paths() == [("relay", "not_loaded")] * 2, "two on the relay")
    client.stop(signal.SIGINT)
    network.wait_none()
