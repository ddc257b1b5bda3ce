# SPDX-License-Identifier: Apache-2.0
"""What the echo endpoint counts, and when it is done."""

from lib import ws_raw
from lib.daemon import ECHO_CONFIG


def test_bytes_behind_the_request_are_counted(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    frame = ws_raw.frame(ws_raw.TEXT, "early")
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request() + frame)
        ws_raw.check_101(client)
        client.expect_frame(ws_raw.TEXT, "early")
        traffic = daemon.status()["traffic"]["local"]
        assert traffic["bytes_in"] == len(frame)
        assert daemon.connections()[0]["bytes_in"] == len(frame)
