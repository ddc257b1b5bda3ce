# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 against the gateway as the server itself (/echo)."""

import pytest

from lib import rfc6455, ws_raw
from lib.daemon import ECHO_CONFIG
from lib.rfc6455_handshake import ACCEPTANCES, REFUSALS, expect_refusal


@pytest.fixture(scope="module")
def daemon(module_sluiced):
    return module_sluiced(ECHO_CONFIG)


def by_id(case):
    return case.id


@pytest.mark.parametrize("case", rfc6455.FRAME_CASES, ids=by_id)
def test_frames(daemon, case):
    with ws_raw.connect(daemon.address()) as stream:
        rfc6455.play(case, stream)


@pytest.mark.parametrize("case", ACCEPTANCES, ids=by_id)
@pytest.mark.parametrize("piece", [1, 1 << 20], ids=["byte-by-byte", "at-once"])
def test_handshake_is_accepted(daemon, case, piece):
    with ws_raw.dial(daemon.address()) as stream:
        stream.send_pieces(case.head, piece)
        head = ws_raw.check_101(stream)
        # s4.2.2: no extension that is not known, one subprotocol of those offered.
        assert head.get("Sec-WebSocket-Extensions") is None
        offered = ws_raw.Head(case.head).get("Sec-WebSocket-Protocol")
        assert head.get("Sec-WebSocket-Protocol") == (offered and offered.split(",")[0])
        stream.send(ws_raw.frame(ws_raw.TEXT, "open"))
        stream.expect_frame(ws_raw.TEXT, "open")


@pytest.mark.parametrize("case", REFUSALS, ids=by_id)
def test_handshake_is_refused(daemon, case):
    before = daemon.refused(case.error)
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(case.head)
        head = expect_refusal(stream, case)
        if case.error == "bad_version":
            assert head.get("Sec-WebSocket-Version") == "13"  # s4.2.2
    daemon.wait_refused(case.error, before + 1)


def test_s1_3_sample_key(daemon):
    with ws_raw.connect(daemon.address(), key="dGhlIHNhbXBsZSBub25jZQ==") as stream:
        accept = stream.response.get("Sec-WebSocket-Accept")
        assert accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_s4_2_1_frames_right_behind_the_request(daemon):
    """A client must wait for the 101; a server that got the bytes early must not lose them."""
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(ws_raw.request() + ws_raw.frame(ws_raw.TEXT, "early"))
        ws_raw.check_101(stream)
        stream.expect_frame(ws_raw.TEXT, "early")
