# SPDX-License-Identifier: Apache-2.0
"""Packet splice over a network that loses, doubles and reorders packets."""

import pytest

from lib import env
from lib.splice_network import RENO, assert_counted, result_of

CONNECTIONS = env.scale_full(20, 200)
MESSAGES = env.scale_full(800, 40000)
HARM = [
    {"drop": 0.1},
    {"drop": 1},
    {"drop": 5},
    *([{"delay": 5, "double": 1}] if env.FULL else []),
    {"drop": 1, "delay": 2, "double": 1},
]
VERSIONS = [(4, 6) if env.FULL else (4 + 2 * (i % 2),) for i in range(len(HARM))]


@pytest.mark.parametrize(
    "version, harm",
    [(version, harm) for harm, versions in zip(HARM, VERSIONS) for version in versions],
    ids=lambda value: "-".join(f"{k}{v}" for k, v in value.items()) if isinstance(value, dict)
    else f"ipv{value}",
)
def test_every_byte_arrives(splice_network, version, harm):
    """All of them, from the handshake to the Close frame, through changing hands in between."""
    network = splice_network(version, sysctls=RENO)
    network.impair(**harm)
    client = network.client("-c", CONNECTIONS, "-m", "pipeline", "--depth", 4, "-n", MESSAGES,
                            "-s", "64-60k", "--verify", "--hold-after-open", "1",
                            "--timeout", "60", "--connect-timeout", "30")
    result = result_of(client, 20 * env.PATIENCE_S)
    assert result["messages_total"] == MESSAGES
    done = dict(zip(("drop", "double", "delay"), network.impaired()))
    assert all(done[kind] > 0 for kind in harm), done
    print(done)
    assert_counted(network, result)
    env.until(lambda: not network.unfinished(), "the end of all sockets", 6 * env.PATIENCE_S)
