# SPDX-License-Identifier: Apache-2.0
"""
What the relay does with frames that RFC 6455 forbids, from either side: the frames before them
arrive, then both sides get a Close, at a frame boundary, and the reason is counted and logged.
"""

import itertools

import pytest

from lib import ws_raw
from lib.daemon import proxy_config
from lib.endpoint import RawEndpoint, tunnel
from lib.ws_raw import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload

MAX_FRAME, MAX_MESSAGE = 1000, 2500

# name: (reason, close code, frames as arguments of ws_raw.frame())
VIOLATIONS = {
    "rsv1": ("reserved_bits", 1002, [(TEXT, b"x", {"rsv": ws_raw.RSV1})]),
    "rsv2": ("reserved_bits", 1002, [(TEXT, b"x", {"rsv": ws_raw.RSV2})]),
    "rsv3-on-ping": ("reserved_bits", 1002, [(PING, b"", {"rsv": ws_raw.RSV3})]),
    "opcode-3": ("reserved_opcode", 1002, [(3, b"", {})]),
    "opcode-15": ("reserved_opcode", 1002, [(15, b"", {})]),
    "length-125-in-16-bits": ("bad_length", 1002, [(BINARY, bytes(125), {"form": 16})]),
    "length-65535-in-64-bits": (
        "bad_length",
        1002,
        [(BINARY, b"", {"length": 65535, "form": 64})],
    ),
    "length-2^63": ("bad_length", 1002, [(BINARY, b"", {"length": 1 << 63, "form": 64})]),
    "long-ping": ("bad_control_frame", 1002, [(PING, bytes(126), {})]),
    "long-close": ("bad_control_frame", 1002, [(CLOSE, close_payload(1000) + bytes(124), {})]),
    "fragmented-ping": ("bad_control_frame", 1002, [(PING, b"", {"fin": False})]),
    "continuation-alone": ("bad_fragment", 1002, [(CONTINUATION, b"x", {})]),
    "message-in-message": (
        "bad_fragment",
        1002,
        [(TEXT, b"a", {"fin": False}), (TEXT, b"b", {})],
    ),
    "frame-over-limit": ("frame_too_large", 1009, [(BINARY, bytes(MAX_FRAME + 1), {})]),
    "frame-of-2^62": ("frame_too_large", 1009, [(BINARY, b"", {"length": 1 << 62, "form": 64})]),
    "message-over-limit": (
        "message_too_large",
        1009,
        [
            (BINARY, bytes(1000), {"fin": False}),
            (CONTINUATION, bytes(1000), {"fin": False}),
            (CONTINUATION, bytes(501), {}),
        ],
    ),
}

OTHER = {"client": "endpoint", "endpoint": "client"}


class Tunnel:
    def __init__(self, daemon, endpoint, **options):
        client, server = tunnel(daemon, endpoint, **options)
        self.ends = {"client": client, "endpoint": server}
        self.daemon = daemon

    def frame(self, side, opcode, payload=b"", **options):
        """A frame as @side has to send it."""
        options.setdefault("mask", b"\x0f\xf0\x55\xaa" if side == "client" else None)
        return ws_raw.frame(opcode, payload, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in self.ends.values():
            stream.close()


@pytest.fixture(scope="module")
def daemon(module_sluiced, module_endpoint):
    return module_sluiced(
        proxy_config(
            module_endpoint.address, route=f"max_frame = {MAX_FRAME}b  max_message = {MAX_MESSAGE}b"
        )
    )


@pytest.fixture(scope="module")
def module_endpoint():
    with RawEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def through(daemon, module_endpoint):
    with Tunnel(daemon, module_endpoint) as one:
        yield one


sides = pytest.mark.parametrize("side", ["client", "endpoint"])


def expect_failure(through, side, reason, code, log_before):
    """Both ends get the Close and then, having answered or not, the end; the reason is known."""
    for name, stream in through.ends.items():
        got = stream.expect_close(code)
        assert got.masked == (name == "endpoint")  # s5.1: towards a server we are a client
        stream.shutdown_write()
    for stream in through.ends.values():
        stream.expect_end()
    row = through.daemon.access_log(log_before + 1)[-1]
    assert (row["reason"], row["close_code"], row["status"]) == (reason, code, 101)


@sides
@pytest.mark.parametrize("name", VIOLATIONS)
def test_violation(through, side, name):
    reason, code, frames = VIOLATIONS[name]
    daemon = through.daemon
    counted, logged = daemon.closed(reason), len(daemon.access_log())
    good = through.frame(side, TEXT, "before")
    sent = [through.frame(side, opcode, data, **options) for opcode, data, options in frames]
    through.ends[side].send(good + b"".join(sent))
    other = through.ends[OTHER[side]]
    other.expect_frame(TEXT, "before")
    for opcode, data, _ in frames[:-1]:
        other.expect_frame(opcode, data)
    expect_failure(through, side, reason, code, logged)
    daemon.wait_closed(reason, counted + 1)


@sides
def test_wrong_masking(through, side):
    logged = len(through.daemon.access_log())
    mask = None if side == "client" else b"\1\2\3\4"
    through.ends[side].send(through.frame(side, TEXT, "x", mask=mask))
    expect_failure(through, side, "bad_masking", 1002, logged)


@sides
def test_violation_byte_by_byte(through, side):
    logged = len(through.daemon.access_log())
    through.ends[side].send_pieces(
        through.frame(side, TEXT, "ok") + through.frame(side, BINARY, bytes(10), form=64)
    )
    through.ends[OTHER[side]].expect_frame(TEXT, "ok")
    expect_failure(through, side, "bad_length", 1002, logged)


@sides
@pytest.mark.parametrize("piece", [1, 100, 1000])
def test_frame_under_way_to_the_offender_is_completed_first(through, side, piece):
    """The offender is in the middle of receiving a frame: its Close must stand behind it."""
    logged = len(through.daemon.access_log())
    offender, other = through.ends[side], through.ends[OTHER[side]]
    half_sent = through.frame(OTHER[side], BINARY, bytes(range(250)) * 4)
    other.send(half_sent[:500])
    got = offender.read_exactly(500)
    offender.send(through.frame(side, 3))
    other.expect_close(1002)  # its own direction is at a boundary
    assert offender.is_silent(0.1)
    other.send_pieces(half_sent[500:], piece)
    other.shutdown_write()
    got += offender.read_exactly(len(half_sent) - 500)
    assert got == half_sent
    offender.expect_close(1002)
    offender.shutdown_write()
    offender.expect_end()
    other.expect_end()
    assert through.daemon.access_log(logged + 1)[-1]["reason"] == "reserved_opcode"


@sides
def test_frame_that_never_ends_is_given_up(through, side):
    """… but not for ever: after close_timeout the connections end, without a Close inside it."""
    logged = len(through.daemon.access_log())
    offender, other = through.ends[side], through.ends[OTHER[side]]
    half_sent = through.frame(OTHER[side], BINARY, bytes(1000))[:500]
    other.send(half_sent)
    assert offender.read_exactly(500) == half_sent
    offender.send(through.frame(side, 3))
    other.expect_close(1002)
    offender.expect_end()
    other.expect_end()
    assert through.daemon.access_log(logged + 1)[-1]["reason"] == "reserved_opcode"


def test_s7_1_7_offending_client_is_not_waited_for(through):
    """Its answer would not be read: the FIN comes right behind the Close (the server's part)."""
    client = through.ends["client"]
    source = "%s:%d" % client.sock.getsockname()
    client.send(through.frame("client", 3))
    client.expect_close(1002)
    client.expect_end()
    # Had it been close_timeout that sent it, the connection would be gone.
    states = {row["source"]: row["state"] for row in through.daemon.connections()}
    assert states[source] == "closing"


@sides
def test_nothing_after_the_violation_passes(through, side):
    logged = len(through.daemon.access_log())
    through.ends[side].send(through.frame(side, 3) + through.frame(side, TEXT, "smuggled"))
    expect_failure(through, side, "reserved_opcode", 1002, logged)


def test_s5_3_each_close_of_ours_has_a_mask_of_its_own(daemon, module_endpoint):
    masks = set()
    for _ in range(5):
        with Tunnel(daemon, module_endpoint) as through:
            through.ends["client"].send(through.frame("client", 3))
            masks.add(through.ends["endpoint"].expect_close(1002).mask)
    assert len(masks) == 5 and None not in masks


@sides
def test_limits_are_inclusive(through, side):
    one, other = through.ends[side], through.ends[OTHER[side]]
    parts = [(BINARY, 1000, False), (CONTINUATION, 1000, False), (CONTINUATION, 500, True)]
    for opcode, size, fin in parts:
        one.send(through.frame(side, opcode, bytes(size), fin=fin))
        one.send(through.frame(side, PING, bytes(125)))  # counts for no message
        other.expect_frame(opcode, bytes(size), fin=fin)
        other.expect_frame(PING, bytes(125))
    # and each message is counted anew
    one.send(through.frame(side, BINARY, bytes(1000)))
    other.expect_frame(BINARY, bytes(1000))


@sides
def test_what_only_payload_shows_is_the_endpoints_to_judge(through, side):
    """Bad UTF-8 and odd close codes pass untouched."""
    one, other = through.ends[side], through.ends[OTHER[side]]
    for opcode, payload in ((TEXT, b"\xff\xfe"), (CLOSE, close_payload(999, b"\xff"))):
        one.send(through.frame(side, opcode, payload))
        other.expect_frame(opcode, payload)


@pytest.mark.parametrize("side, is_offered", itertools.product(["client", "endpoint"], [0, 1]))
def test_rsv1_belongs_to_a_negotiated_extension(sluiced, endpoint, side, is_offered):
    daemon = sluiced(proxy_config(endpoint.address))
    deflate = {"Sec-WebSocket-Extensions": "permessage-deflate"} if is_offered else {}
    with Tunnel(
        daemon, endpoint, extensions="permessage-deflate", response={"change": deflate}
    ) as through:
        one, other = through.ends[side], through.ends[OTHER[side]]
        one.send(through.frame(side, TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=ws_raw.RSV1))
        if is_offered:
            other.expect_frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=ws_raw.RSV1)
            # RFC 7692 s6.1: only the first frame of a message carries it, and no control frame.
            one.send(through.frame(side, PING, b"", rsv=ws_raw.RSV1))
        other.expect_close(1002)


@pytest.mark.parametrize(
    "name", ["frame-over-limit", "frame-of-2^62", "message-over-limit"], ids=lambda name: name
)
def test_limits_hold_for_echo_too(sluiced, name):
    reason, code, frames = VIOLATIONS[name]
    limits = f"max_frame = {MAX_FRAME}b  max_message = {MAX_MESSAGE}b"
    daemon = sluiced(f'route e {{ match {{ path = "/echo" }} echo = true  {limits} }}')
    with ws_raw.connect(daemon.address()) as client:
        for opcode, size in ((BINARY, MAX_FRAME), (TEXT, 0)):
            client.send(ws_raw.frame(opcode, bytes(size)))
            client.expect_frame(opcode, bytes(size))
        client.send(b"".join(ws_raw.frame(opcode, data, **opt) for opcode, data, opt in frames))
        client.expect_close(code)
        client.expect_end()
    assert daemon.access_log(1)[0]["reason"] == reason
