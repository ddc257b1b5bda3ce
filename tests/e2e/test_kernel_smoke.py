# SPDX-License-Identifier: Apache-2.0
"""Each path through the kernel for a moment: what a kernel has to do for it, and no corner of it."""

import json
import signal

import pytest

from lib import box as boxes
from lib import env
from lib.splice_network import result_of


def received(network, interface):
    """Bytes that came in by an interface of the gateway."""
    (link,) = json.loads(network.inside("", "ip", "-j", "-s", "link", "show", interface).stdout)
    return link["stats64"]["rx"]["bytes"]


@pytest.mark.parametrize("version", [4, 6])
def test_splice(splice_network, version):
    """Out of the daemon, under other programs in the same hooks, and on without a daemon."""
    network = splice_network(version)
    client = network.client("-c", 4, "-d", 600, "-s", "64-20000", "--verify")
    network.wait_spliced(4)
    network.box.loader("replace")
    assert network.paths() == [("splice", "none")] * 4
    network.kill_daemon()
    before = received(network, "gc")
    env.until(lambda: received(network, "gc") > before + 200_000, "traffic without a daemon")
    client.send_signal(signal.SIGINT)
    result = result_of(client)
    assert result["opened"] == 4 and result["messages"] > 4


def test_there_and_back(splice_network):
    """Back to the relay out of the middle of a conversation, and into the kernel again."""
    network = splice_network()
    client = network.client("-c", 2, "-d", 600, "-s", "64-20000", "--verify")
    network.wait_spliced(2)
    network.ctl("demote", "--all")
    env.until(lambda: network.paths() == [("relay", "demoted")] * 2, "two on the relay")
    network.ctl("promote")
    network.wait_spliced(2)
    client.send_signal(signal.SIGINT)
    assert result_of(client)["opened"] == 2


def test_a_daemon_says_why_it_has_no_programs(directory):
    """Nobody has loaded them; or nobody can, on a kernel that is too old."""
    if boxes.missing():
        pytest.skip(boxes.missing())
    config = directory / "sluice.conf"
    config.write_text(f"""
admin {{ control = "{directory}/s" }}
listener l {{ listen = {{"127.0.0.1:8080"}} }}
route r {{ echo = true }}
""")
    with boxes.Box(directory) as box:
        loaded = box.loader("load", check=False)
        print(loaded.stderr)  # should it be possible after all
        is_possible = loaded.returncode == 0
        if is_possible:
            box.loader("unload")
        with box.start(env.BUILD / "sluiced", "-c", config):
            ask = env.BUILD / "sluicectl", "-j", "-s", directory / "s", "show", "offload"
            env.until(lambda: box.run(*ask, check=False).returncode == 0, "an answer")
            said = box.run(*ask)
    (row,) = [row for row in json.loads(said.stdout) if row["path"] == "splice"]
    assert row["reason"] == ("not_loaded" if is_possible else "kernel"), row
    if not is_possible:
        assert " is too old, 6.1 is not" in row["detail"]
