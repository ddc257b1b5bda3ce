# SPDX-License-Identifier: Apache-2.0
"""sluice-loader replace, again and again, under connections that stream through what it replaces."""

import signal
import time

import pytest

from lib import env
from lib.pins import by_name, hooks, status
from lib.splice_network import RENO, assert_counted, result_of

CONNECTIONS = env.scale_full(16, 200)
REPLACES = env.scale_full(5, 100)
HOOKS = ["tcx", "clsact"] if env.FULL else ["auto"]
ROUNDS = min(REPLACES, 5)
PATIENCE_S = 12 * env.PATIENCE_S

# Not of one packet that was dropped, but of what a busy machine does to timers: a probe of a tail
# whose acknowledgment is late counts as one.
SPURIOUS = 8


def retransmitted(network):
    """Segments that both ends have sent again."""
    total = 0
    for name in "cb":
        head, values = (line.split() for line in network.inside(name, "cat", "/proc/net/snmp")
                        .stdout.splitlines() if line.startswith("Tcp:"))
        total += int(values[head.index("RetransSegs")])
    return total


def dropped(network):
    hook = network.splice_offload()["splice"]["hook"]
    return {name: n for name, n in hook.items() if name.startswith("drop_") and n}


@pytest.mark.parametrize("hook", HOOKS)
def test_replace_costs_no_byte_and_no_packet(splice_network, hook):
    network = splice_network(hooks=("--hook", hook, "gc", "gb"), sysctls=RENO)
    client = network.client("-c", CONNECTIONS, "-m", "pipeline", "--depth", 4, "-s", "64-16000",
                            "--verify", "-d", env.scale_full(120, 600), "--timeout", 60)
    network.wait_spliced(CONNECTIONS)
    before_all = dropped(network)  # those that came in the moment of their connection's promotion
    program = by_name(status(network.box)["programs"])["sl_splice"]["id"]
    meanwhile, alone = 0, 0
    for number in range(3 * ROUNDS):  # taking turns, as the machine has its moods
        before, began = retransmitted(network), time.monotonic()
        for _ in range(REPLACES // ROUNDS):
            network.box.loader("replace")
        ends = 2 * time.monotonic() - began
        between = retransmitted(network)
        # The same work for the machine, verifying programs, but replacing none.
        while time.monotonic() < ends:
            network.box.loader("check")
        meanwhile += between - before
        alone += retransmitted(network) - between
        if number + 1 >= ROUNDS and meanwhile <= 2 * alone + SPURIOUS:
            break
    print(f"{CONNECTIONS} streams, {(number + 1) * (REPLACES // ROUNDS)} replacements: {meanwhile} "
          f"segments sent again, in as long without: {alone}")
    assert dropped(network) == before_all
    assert meanwhile <= 2 * alone + SPURIOUS
    assert {row["state"] for row in hooks(network.box).values()} == {"attached"}
    assert by_name(status(network.box)["programs"])["sl_splice"]["id"] != program
    client.send_signal(signal.SIGINT)
    assert_counted(network, result_of(client, PATIENCE_S))
