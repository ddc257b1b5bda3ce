# SPDX-License-Identifier: Apache-2.0
"""What the daemon says about its loops: one entry a worker, turns that grow, queues by name."""

from lib import ws_raw
from lib.daemon import ECHO_CONFIG

QUEUES = {"api", "health", "hook", "reload", "drain"}


def test_status_has_every_workers_loop(sluiced):
    daemon = sluiced("worker { count = 2 }\n" + ECHO_CONFIG)
    before = daemon.status()["loops"]
    assert [loop["worker"] for loop in before] == [0, 1]
    for loop in before:
        assert set(loop["queues"]) == QUEUES
    with ws_raw.connect(daemon.address()) as client:
        for _ in range(50):
            client.send(ws_raw.frame(ws_raw.TEXT, b"x", mask=b"abcd"))
            assert client.read_frame().payload == b"x"
    after = daemon.status()["loops"]
    # One of them served every message in a turn of its own.
    assert max(b["turns"] - a["turns"] for a, b in zip(before, after)) >= 50
    busy = max(after, key=lambda loop: loop["turns"])
    assert 0 < busy["lag_p50_us"] <= busy["lag_p99_us"]
    assert busy["lag_max_us"] > 0


def test_idle_loop_has_no_work_left(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    for _ in range(20):
        daemon.connections()  # each is a visit of the worker
    (loop,) = daemon.status()["loops"]
    assert set(loop["queues"].values()) == {0}
