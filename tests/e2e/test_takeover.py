# SPDX-License-Identifier: Apache-2.0
"""One daemon at a time works with the pins: when it may, and what it does with them until then."""

import os
import signal

from lib import env
from lib.splice_network import BENCH, result_of


def start_second(network, *edits):
    """
    A daemon beside the one that runs, on port 8081; network.daemon from here on.
    Returns the process id of the first.
    """
    first = network.pid
    text = network.config.read_text()
    network.control = network.box.directory / "second.sock"
    network.log = network.box.directory / "second.log"
    for old, new in (("control.sock", "second.sock"), ("access.log", "second.log"),
                     ("10.1.0.1:8080", "10.1.0.1:8081"), (":9810", ":9811"), *edits):
        assert old in text
        text = text.replace(old, new)
    network.config = network.box.directory / "second.conf"
    network.config.write_text(text)
    network.start_daemon()
    return first


def second_client(network, *argv):
    return network.start("ip", "netns", "exec", "c", BENCH, "client", "ws://10.1.0.1:8081/",
                         "--json", *argv)


def wait_adopted(network, ids):
    env.until(lambda: ids <= {row["conn"] for row in network.connections() if row["adopted"]},
              f"{len(ids)} adopted connections")


def test_as_soon_as_the_old_daemon_lets_go(splice_network):
    network = splice_network()
    old = network.client("-c", 4, "-m", "rate", "-r", "200", "-d", "60", "-s", "64", "--verify")
    network.wait_spliced(4)
    ids = {row["conn"] for row in network.connections()}
    first = start_second(network)
    splice = network.splice_offload()
    assert (splice["available"], splice["reason"]) == (False, "not_loaded")
    assert "another sluiced works with it" in splice["detail"]
    assert "no splice for now: " in network.daemon.stderr()
    relayed = second_client(network, "-c", 2, "-m", "rate", "-r", "200", "-d", "60", "-s", "64",
                            "--verify")
    env.until(lambda: network.paths() == [("relay", "not_loaded")] * 2, "two on the relay")

    # It leaves what the kernel has to the kernel, and so to the second.
    os.kill(first, signal.SIGTERM)
    wait_adopted(network, ids)
    assert "/sys/fs/bpf/sluice is this daemon's now" in network.daemon.stderr()
    splice = network.splice_offload()
    assert splice["available"] and splice["detail"] == "" and splice["splice"]["ports"]["used"] == 4
    young = second_client(network, "-c", 3, "-m", "rate", "-r", "200", "-d", "60", "-s", "64",
                          "--verify")
    env.until(lambda: network.paths() == [("relay", "not_loaded")] * 2 + [("splice", "none")] * 7,
              "three new ones to be spliced, the relayed ones to stay")
    for client in (old, relayed, young):
        client.stop(signal.SIGINT)
        result_of(client)
    network.wait_none()
    lines = network.lines(9)
    assert len(lines) == 9 and {line["status"] for line in lines} == {101}
    assert {line["conn"] for line in lines if line["conn"] in ids} == ids
    assert network.splice_offload()["splice"]["ports"]["used"] == 7  # they see their quarantine


def test_an_order_to_all_is_one_to_those_who_are_adopted_behind_it(splice_network):
    network = splice_network()
    client = network.client("-c", 4, "-m", "rate", "-r", "200", "-d", "60", "-s", "64", "--verify")
    network.wait_spliced(4)
    first = start_second(network)
    assert network.ctl("demote", "--all") == {"demoted": 0}
    os.kill(first, signal.SIGTERM)
    env.until(lambda: network.paths() == [("relay", "demoted")] * 4, "all of them on the relay")
    assert network.ctl("promote") == {"resumed": 4}
    network.wait_spliced(4)
    client.stop(signal.SIGINT)
    result_of(client)


def test_a_daemon_that_was_killed_lets_go_too(splice_network):
    """Its connections on the relay end with it; the entries of theirs are removed."""
    network = splice_network(sysctls=[("c", "net.ipv4.tcp_timestamps", 0)])
    client = network.client("-c", 2, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "options")] * 2, "two on the relay")
    first = start_second(network)
    os.kill(first, signal.SIGKILL)
    text = "removed 0 records and 4 flows that belonged to nothing"
    env.until(lambda: text in network.daemon.stderr(), text)
    network.sysctl("c", "net.ipv4.tcp_timestamps", 1)
    second_client(network, "-c", 2, "-m", "idle", "-d", "60")
    network.wait_spliced(2)
    client.kill()


def test_what_was_loaded_later_is_found_by_a_reload(splice_network):
    network = splice_network(hooks=None)
    assert network.splice_offload()["reason"] == "not_loaded"
    relayed = network.client("-c", 1, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "not_loaded")], "one on the relay")
    network.box.loader("load", "--group", "0")
    network.box.loader("attach", "gc", "gb")
    network.ctl("reload")
    assert network.splice_offload()["available"]
    young = network.client("-c", 1, "-m", "idle", "-d", "60")
    env.until(lambda: network.paths() == [("relay", "not_loaded"), ("splice", "none")],
              "the next one to be spliced")
    for client in (relayed, young):
        client.stop(signal.SIGINT)
    network.wait_none()


OFF = ("kernel {", "kernel { splice = off ")


def test_switched_off_it_looks_after_what_there_is(splice_network):
    network = splice_network(kernel="quarantine = 1s")
    idle = network.client("-c", 1, "-m", "idle", "-d", "60")
    network.wait_spliced(1)
    (idle_id,) = (row["conn"] for row in network.connections())
    client = network.client("-c", 2, "-m", "rate", "-r", "200", "-d", "60", "-s", "64", "--verify")
    network.wait_spliced(3)
    ids = {row["conn"] for row in network.connections()}
    network.kill_daemon()
    network.config.write_text(network.config.read_text().replace(*OFF))
    network.start_daemon()
    wait_adopted(network, ids)
    splice = network.splice_offload()
    assert (splice["available"], splice["reason"]) == (False, "policy")
    assert splice["detail"] == "kernel.splice is off; what was spliced before goes on"
    assert splice["connections"] == 3
    young = network.client("-c", 2, "-m", "rate", "-r", "200", "-d", "60", "-s", "64", "--verify")
    env.until(lambda: network.paths() == [("relay", "policy")] * 2 + [("splice", "none")] * 3,
              "new ones on the relay")
    # What comes back to the relay stays there.
    assert network.ctl("demote", idle_id) == {"demoted": 1}
    env.until(lambda: network.paths() == [("relay", "policy")] * 3 + [("splice", "none")] * 2,
              "one that came back")
    closed = max(ids - {idle_id})
    network.ctl("close", closed)
    (line,) = network.lines(1)
    assert (line["conn"], line["reason"]) == (closed, "closed_by_operator")
    young.stop(signal.SIGINT)
    result_of(young)
    idle.stop(signal.SIGINT)
    client.stop(signal.SIGINT)  # one of its two was closed
    network.wait_none()
    lines = network.lines(5)
    assert sorted(line["promotions"] for line in lines) == [0] * 2 + [1] * 3
    maps = "/sys/fs/bpf/sluice/"
    env.until(lambda: all("key" not in network.box.run("bpftool", "map", "dump", "pinned",
                                                       maps + name).stdout
                          for name in ("flows4", "conns")), "the entries to be gone")


def test_switched_off_with_nothing_there_it_wants_no_pins(splice_network):
    """Then they are another daemon's to have."""
    network = splice_network(kernel="splice = off")
    splice = network.splice_offload()
    assert (splice["reason"], splice["detail"]) == ("policy", "kernel.splice is off")
    start_second(network, ("splice = off", ""))
    assert network.splice_offload()["available"]
    client = second_client(network, "-c", 1, "-m", "idle", "-d", "60")
    network.wait_spliced(1)
    client.stop(signal.SIGINT)
    network.wait_none()
