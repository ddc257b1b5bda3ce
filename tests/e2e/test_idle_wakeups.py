# SPDX-License-Identifier: Apache-2.0
"""An idle daemon sleeps: no timer ticks faster than once a second, however many connections."""

import math
import time

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config

WATCH_S = 5
SLACK = 5  # a straggler of the connections' opening, a statistics timer


@pytest.mark.parametrize("workers", [1, 2])
def test_idle_daemon_with_idle_connections(sluiced, peers, workers):
    daemon = sluiced(
        f"worker {{ count = {workers} }}\n"
        + proxy_config(peers.server("python"), match='path = "/p"', route="tunnel_timeout = 1h")
        + ECHO_CONFIG
    )
    count = env.scale(50)
    held = [
        ws_raw.connect(daemon.address(), path) for path in ("/p", "/echo") for _ in range(count)
    ]
    daemon.wait_live(2 * count)
    env.until(lambda: is_settled(daemon), "the daemon to come to rest")
    began, before = time.monotonic(), daemon.context_switches()
    time.sleep(WATCH_S)
    wakeups = daemon.context_switches() - before
    # The main thread and each worker may have one timer a second. A busy machine sleeps for longer.
    seconds = math.ceil(time.monotonic() - began)
    assert wakeups <= (1 + workers) * seconds + SLACK
    for stream in held:
        stream.close()
    daemon.wait_live(0)


def is_settled(daemon):
    before = daemon.context_switches()
    time.sleep(0.5)
    return daemon.context_switches() - before <= 2
