# SPDX-License-Identifier: Apache-2.0
"""Packet splice: messages of all sizes over many connections, and who has counted how much."""

import pytest

from lib import env
from lib.splice_network import RENO, assert_counted, result_of

CONNECTIONS = env.scale_full(40, 1000)
MESSAGES = env.scale_full(600, 10000)
PATIENCE_S = 60 * env.PATIENCE_S


MODES = {"pingpong": (), "pipeline": ("--depth", 8)}
CASES = [(mode, version) for mode in MODES for version in (4, 6)]


@pytest.mark.parametrize("mode, version", CASES if env.FULL else CASES[::3])
def test_messages_of_all_sizes(splice_network, mode, version):
    network = splice_network(version, sysctls=RENO)
    client = network.client("-c", CONNECTIONS, "-m", mode, *MODES[mode], "-n", MESSAGES, "-s", "64-1m",
                            "--verify", "--hold-after-open", "1", "--timeout", "60")
    network.wait_spliced(CONNECTIONS)
    result = result_of(client, PATIENCE_S)
    assert result["messages_total"] == MESSAGES
    assert_counted(network, result)
