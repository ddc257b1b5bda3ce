# SPDX-License-Identifier: Apache-2.0
"""Packet splice: very many promotions, of connections that are idle, that talk, that stream."""

import json
import random
import signal
import time

import pytest

from lib import env
from lib.splice_network import LATE, RENO, assert_counted, ended, result_of

ENDPOINTS = 4  # addresses: each has ports of its own, and a quarantine
PATIENCE_S = 30 * env.PATIENCE_S

# How many connections in all, how many at a time, and what each of them does in its life.
STORMS = {
    "idle": (env.scale_full(1000, 20000), env.scale_full(250, 1000), None),
    "busy": (env.scale_full(1000, 28000), 64, ("-m", "pingpong", "-s", "64-3000")),
    "streaming": (env.scale_full(160, 4000), 32,
                  ("-m", "pipeline", "--depth", 16, "-s", "64-64k")),
}
MESSAGES = {"busy": 100, "streaming": 150}  # in a life


def storm_of(network, kind):
    """Results of the clients that have made it."""
    n, at_a_time, options = STORMS[kind]
    if options:
        client = network.client("-c", at_a_time, *options, "-n", n * MESSAGES[kind],
                                "--messages-per-conn", MESSAGES[kind], "--churn", "--verify",
                                "--timeout", "60")
        return [result_of(client, PATIENCE_S)]
    results = []
    for _ in range(n // at_a_time):
        client = network.client("-c", at_a_time, "-m", "idle", "-d", "600")
        network.wait_spliced(at_a_time)
        client.send_signal(signal.SIGINT)
        results.append(result_of(client, PATIENCE_S))
        network.wait_none()
    return results


@pytest.mark.parametrize("kind", STORMS)
def test_no_byte_is_lost_or_late_or_comes_twice(splice_network, kind):
    n = STORMS[kind][0]
    network = splice_network(far_addresses=(1, ENDPOINTS), flows=2 * n, sysctls=RENO)
    results = storm_of(network, kind)
    opened = sum(result["opened"] for result in results)
    assert opened >= n
    rows = assert_counted(network, *results, paths={"splice", "relay"})
    tries = network.promotions()
    done = sum(row["promotions"] for row in rows)
    assert done == tries["done"] and done <= opened
    print(f"{kind}: {opened} connections, {done} spliced, tries: {tries}")
    # Some lives are over before there was a moment for it.
    assert done > opened // 2 or kind == "streaming" and done > 0
    assert kind != "idle" or done == opened


KILLS = env.scale_full(2, 20)


def test_kill_of_the_daemon_in_a_storm(splice_network):
    """
    What is spliced goes on and is exact to its end; what is not ends; nobody waits for ever. The
    instants follow from the seed.
    """
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    network = splice_network(far_addresses=(1, ENDPOINTS), flows=65536, sysctls=RENO)
    spliced = sum(kill_in_a_storm(network, chance) for _ in range(KILLS))
    assert spliced > 0


def n_adopted(network, at_least):
    """How many connections the next daemon has found alive, of those that it has come to."""

    def count():
        n = sum(row["adopted"] for row in network.connections())
        return n if n >= at_least else None

    return env.until(count, f"{at_least} adopted connections", PATIENCE_S)


def kill_in_a_storm(network, chance):
    """Returns how many of the storm were spliced at that moment."""
    network.wait_none(PATIENCE_S)
    # Those that were there before: all spliced, none may notice anything.
    old = network.client("-c", 32, "-m", "rate", "-r", "2000", "-d", "600", "-s", "64-3000",
                         "--verify", "--timeout", "30")
    network.wait_spliced(32)
    conns = {row["conn"] for row in network.connections()}
    storm = network.client("-c", 64, "-d", "600", "-s", "64-3000", "--messages-per-conn", 50,
                           "--churn", "--verify", "--timeout", "20")
    time.sleep(chance.uniform(0.05, 0.7))
    dead = network.daemon
    network.kill_daemon()
    # Its listener is gone: what is over comes again, and is refused. The rest talks on.
    left = {row["conn"] for row in network.ctl("show", "connections", "--offline")}
    network.start_daemon()
    alive = n_adopted(network, 32) - 32
    network.wait_moving(conns=conns)
    assert ended(old)["messages"] > 0
    storm.send_signal(signal.SIGINT)
    code = storm.wait(PATIENCE_S)
    assert code in (0, 1)
    errors = json.loads(storm.stdout())["errors"]
    broken = sum(n for kind, n in errors.items() if kind != "connect")
    print(f"{len(left) - 32} of the storm were spliced, {broken} were not and broke: {errors}")
    assert not any(errors[kind] for kind in ("mismatch", "timeout", "protocol")), storm.stderr()
    # Each has a place of its own among the 64, and those that went on leave no room for broken ones.
    assert broken <= 64 - alive
    assert LATE not in dead.stderr() + network.debug_log()
    env.until(lambda: not network.unfinished(), "the end of all sockets", PATIENCE_S)
    network.wait_none(PATIENCE_S)
    # A line that was written in the turn of the kill may come again, but none is missing.
    ends = {(row["conn"], row["path"], row["reason"]) for row in network.lines(len(left))
            if row["conn"] in left}
    assert ends == {(conn, "splice", "close_frame") for conn in left}
    return len(left) - 32
