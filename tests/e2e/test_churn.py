# SPDX-License-Identifier: Apache-2.0
"""Thousands of short connections: no error, no leak, and counters that say what happened."""

import pytest

from lib import bench, env
from lib.daemon import ECHO_CONFIG, proxy_config

CONNECTIONS = env.scale(5000, sanitized=5)
AT_ONCE = 50
MESSAGES = 3


def load(*options):
    return [
        *["-c", str(AT_ONCE), "-n", str(CONNECTIONS * MESSAGES)],
        *["--messages-per-conn", str(MESSAGES), "--churn", "--size", "0-2000", "--verify"],
        *options,
    ]


@pytest.fixture
def run_load(sluiced, directory):
    """-> daemon, its status before and after the load, and the load's result."""

    def run_load(path, *options):
        with bench.BenchServer(directory) as server:
            daemon = sluiced("worker { count = 2 }\n" + ECHO_CONFIG + proxy_config(server.address))
            bench.clean_client(directory, daemon.url(path), "-c", "5", "-n", "50")
            daemon.wait_live(0)
            fds, before = daemon.open_fds(), daemon.status()
            result = bench.clean_client(directory, daemon.url(path), *load(*options))
            daemon.wait_live(0)
            # That of the last question about its state goes a little later than the answer.
            env.until(lambda: daemon.open_fds() <= fds, "their descriptors to be closed")
            return daemon, before, daemon.status(), result

    return run_load


@pytest.mark.parametrize("path", ["/x", "/echo"], ids=["proxy", "echo"])
def test_churn(run_load, path):
    daemon, before, after, result = run_load(path)
    opened = result["opened"]
    assert result["messages"] == CONNECTIONS * MESSAGES
    assert opened >= CONNECTIONS
    assert after["accepted"] - before["accepted"] == opened
    assert after["closed"]["close_frame"] - before["closed"]["close_frame"] == opened
    assert sum(after["closed"].values()) - sum(before["closed"].values()) == opened
    assert after["refused"] == before["refused"]
    rows = daemon.access_log()[-opened:]
    assert len({row["conn"] for row in rows}) == opened
    assert sum(row["frames_in"] for row in rows) == CONNECTIONS * MESSAGES + opened


@pytest.mark.parametrize(
    "option, reason",
    [(["--close", "none"], "eof"), (["--half-close"], "eof"), (["--reset"], "reset")],
    ids=["fin", "half-close", "reset"],
)
def test_churn_without_close_frames(run_load, option, reason):
    _, before, after, result = run_load("/x", *option)
    ended = sum(after["closed"].values()) - sum(before["closed"].values())
    assert ended == result["opened"] >= CONNECTIONS
    counted = after["closed"].get(reason, 0) - before["closed"].get(reason, 0)
    assert counted == ended
