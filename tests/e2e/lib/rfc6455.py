# SPDX-License-Identifier: Apache-2.0
"""
RFC 6455 as a table: what a client sends after the handshake, and what a correct server does.
Each case holds for /echo and for any correct echo server behind the gateway.
"""

import contextlib
from dataclasses import dataclass, field

from lib.ws_raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    close_frame,
    close_payload,
    frame,
)


@dataclass
class Case:
    section: str
    name: str
    send: list  # frames, each sent at once
    messages: list = field(default_factory=list)  # (opcode, payload) echoed, in order
    pongs: list = field(default_factory=list)  # payloads, in order
    overtaken: list = field(default_factory=list)  # echoes that the failure may overtake
    close: object = "open"  # code(s) that the server closes with; None: without; "open": it stays
    piecewise: bool = False  # byte by byte

    @property
    def id(self):
        return f"s{self.section}-{self.name}"


def message(data):
    """(opcode, bytes) of a text or binary message."""
    return (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)


def echoes(section, name, data, *frames, **attributes):
    """@data comes back from @frames, by default from one frame."""
    opcode, payload = message(data)
    return Case(
        section, name, list(frames) or [frame(opcode, payload)], [(opcode, payload)], **attributes
    )


def fails(section, name, *frames, code=1002, **attributes):
    return Case(section, name, list(frames), close=code, **attributes)


def _masking():
    yield fails("5.1", "unmasked-text", frame(TEXT, "Hello", mask=None))
    yield fails("5.1", "unmasked-empty", frame(BINARY, b"", mask=None))
    yield fails("5.1", "unmasked-ping", frame(PING, b"", mask=None))
    yield fails("5.1", "unmasked-close", frame(CLOSE, close_payload(1000), mask=None))
    yield fails(
        "5.1",
        "unmasked-second-frame",
        frame(TEXT, "a"),
        frame(TEXT, "b", mask=None),
        overtaken=[message("a")],
    )
    yield echoes("5.3", "zero-mask", "Hello", frame(TEXT, "Hello", mask=bytes(4)))
    yield echoes("5.3", "all-ones-mask", "Hello", frame(TEXT, "Hello", mask=b"\xff" * 4))
    for length in range(1, 10):
        yield echoes("5.3", f"mask-of-{length}-bytes", bytes(range(200, 200 + length)))
    yield echoes(
        "5.3",
        "new-mask-each-frame",
        b"abcdefghij",
        frame(BINARY, b"abc", fin=False, mask=b"\x01\x02\x03\x04"),
        frame(CONTINUATION, b"defgh", fin=False, mask=b"\xf1\xe2\xd3\xc4"),
        frame(CONTINUATION, b"ij", mask=b"\x00\xff\x00\xff"),
    )


def _headers():
    for bit, number in ((RSV1, 1), (RSV2, 2), (RSV3, 3)):
        yield fails("5.2", f"rsv{number}", frame(TEXT, "x", rsv=bit))
        yield fails("5.2", f"rsv{number}-on-ping", frame(PING, "x", rsv=bit))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield fails("5.2", f"reserved-opcode-{opcode}", frame(opcode))
    for length in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 300_000):
        data = bytes(i & 0xFF for i in range(length))
        yield echoes("5.2", f"length-{length}", data)
        yield echoes("5.2", f"text-length-{length}", "s" * length)
    for length, form in ((0, 16), (125, 16), (0, 64), (125, 64), (126, 64), (65535, 64)):
        yield fails(
            "5.2", f"length-{length}-in-{form}-bits", frame(BINARY, bytes(length), form=form)
        )
    for length, name in ((1 << 63, "2^63"), ((1 << 64) - 1, "2^64-1")):
        yield fails("5.2", f"length-{name}", frame(BINARY, b"x", length=length, form=64))
    yield echoes("5.2", "header-byte-by-byte", bytes(70_000)[:300], piecewise=True)


def _fragments():
    yield echoes("5.4", "two", "Hello", frame(TEXT, "Hel", fin=False), frame(CONTINUATION, "lo"))
    yield echoes(
        "5.4",
        "empty-first-and-last",
        b"middle",
        frame(BINARY, b"", fin=False),
        frame(CONTINUATION, b"middle", fin=False),
        frame(CONTINUATION, b""),
    )
    yield echoes(
        "5.4",
        "all-empty",
        "",
        frame(TEXT, "", fin=False),
        *3 * [frame(CONTINUATION, b"", fin=False)],
        frame(CONTINUATION, b""),
    )
    yield echoes(
        "5.4",
        "each-byte",
        b"0123456789" * 10,
        frame(BINARY, b"", fin=False),
        *[frame(CONTINUATION, b"%d" % (i % 10), fin=False) for i in range(100)],
        frame(CONTINUATION, b""),
    )
    yield Case(
        "5.4",
        "control-frames-between",
        [
            frame(TEXT, "Hel", fin=False),
            frame(PING, "now"),
            frame(PONG, "unasked"),
            frame(CONTINUATION, "lo"),
        ],
        messages=[message("Hello")],
        pongs=[b"now"],
    )
    yield Case(
        "5.4",
        "close-between",
        [frame(TEXT, "never finished", fin=False), close_frame(1000)],
        close=1000,
    )
    yield fails("5.4", "continuation-first", frame(CONTINUATION, b"x"))
    yield fails("5.4", "unfinished-continuation-first", frame(CONTINUATION, b"x", fin=False))
    yield fails(
        "5.4",
        "continuation-after-message",
        frame(TEXT, "x"),
        frame(CONTINUATION, b"y"),
        overtaken=[message("x")],
    )
    yield fails("5.4", "text-inside-text", frame(TEXT, "x", fin=False), frame(TEXT, "y"))
    yield fails("5.4", "binary-inside-text", frame(TEXT, "x", fin=False), frame(BINARY, b"y"))
    yield fails(
        "5.4",
        "continuation-after-last",
        frame(TEXT, "x", fin=False),
        frame(CONTINUATION, "y"),
        frame(CONTINUATION, "z"),
        overtaken=[message("xy")],
    )


def _control():
    for opcode, name in ((CLOSE, "close"), (PING, "ping"), (PONG, "pong")):
        payload = close_payload(1000) + b"r" * 124 if opcode == CLOSE else bytes(126)
        yield fails("5.5", f"long-{name}", frame(opcode, payload))
        yield fails("5.5", f"fragmented-{name}", frame(opcode, b"", fin=False))
        yield fails("5.5", f"{name}-announcing-2^32", frame(opcode, b"", length=1 << 32, form=64))
    for size in (0, 1, 124, 125):
        payload = bytes(range(size))
        yield Case("5.5.2", f"ping-of-{size}", [frame(PING, payload)], pongs=[payload])
    yield Case(
        "5.5.2",
        "ten-pings-in-one-segment",
        [b"".join(frame(PING, f"{i}") for i in range(10))],
        pongs=[f"{i}".encode() for i in range(10)],
    )
    yield Case("5.5.2", "ping-byte-by-byte", [frame(PING, "slow")], pongs=[b"slow"], piecewise=True)
    yield Case("5.5.3", "unasked-pongs", [frame(PONG, ""), frame(PONG, "x" * 125)])


_VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
_INVALID_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


def _closing():
    yield Case("5.5.1", "empty", [frame(CLOSE)], close=None)
    yield Case("5.5.1", "longest-reason", [close_frame(1000, "r" * 123)], close=1000)
    yield Case("5.5.1", "reason-of-wide-letters", [close_frame(1000, "☂" * 41)], close=1000)
    yield Case(
        "5.5.1",
        "after-message",
        [frame(TEXT, "x"), close_frame()],
        overtaken=[message("x")],
        close=1000,
    )
    yield Case("5.5.1", "byte-by-byte", [close_frame(3001, "bye")], close=3001, piecewise=True)
    for name, late in (
        ("text", frame(TEXT, "late")),
        ("ping", frame(PING)),
        ("close", close_frame(1001)),
    ):
        # The closing handshake goes on, or the late frame is answered as the error that it is.
        yield Case("5.5.1", f"{name}-after-close", [close_frame() + late], close=(1000, 1002))
    yield fails("5.5.1", "one-byte-payload", frame(CLOSE, b"\x03"))
    for code in _VALID_CODES:
        yield Case("7.4", f"code-{code}", [close_frame(code)], close=code)
    for code in _INVALID_CODES:
        yield fails("7.4", f"invalid-code-{code}", close_frame(code))
    # s5.5.1 wants UTF-8 in the reason but names no code; both of these are in use.
    for name, reason in (("bad", b"\xce\xff"), ("cut", b"ok \xe2\x98")):
        yield fails("5.5.1", f"{name}-utf8-in-reason", close_frame(1000, reason), code=(1002, 1007))


_VALID_TEXT = {
    "mixed-widths": "κόσμε é ☂ 🚰",
    "nul": "\x00",
    "last-of-1-byte": "\x7f",
    "first-and-last-of-2-bytes": "\x80\u07ff",
    "first-and-last-of-3-bytes": "\u0800\uffff",
    "around-surrogates": "\ud7ff\ue000",
    "first-and-last-of-4-bytes": "\U00010000\U0010ffff",
    "non-characters": "\ufffe\uffff\U0001fffe",
}
_INVALID_TEXT = {
    "continuation-alone": b"ok\x80",
    "cut-2-bytes": b"ok\xc3",
    "cut-3-bytes": b"ok\xe2\x98",
    "cut-4-bytes": b"ok\xf0\x9f\x9a",
    "cut-in-the-middle": b"\xe2\x98ok",
    "overlong-nul": b"\xc0\x80",
    "overlong-slash-2": b"\xc0\xaf",
    "overlong-slash-3": b"\xe0\x80\xaf",
    "overlong-slash-4": b"\xf0\x80\x80\xaf",
    "overlong-largest": b"\xe0\x9f\xbf",
    "surrogate-first": b"\xed\xa0\x80",
    "surrogate-last": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\x80\xed\xb0\x80",
    "over-10ffff": b"\xf4\x90\x80\x80",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "fe-ff": b"\xfe\xff",
}


def _text():
    for name, text in _VALID_TEXT.items():
        yield echoes("8.1", name, text)
        encoded = text.encode()
        yield echoes(
            "8.1",
            f"{name}-each-byte-a-fragment",
            text,
            frame(TEXT, "", fin=False),
            *[frame(CONTINUATION, encoded[i : i + 1], fin=False) for i in range(len(encoded))],
            frame(CONTINUATION, ""),
        )
    for name, data in _INVALID_TEXT.items():
        yield fails("8.1", f"invalid-{name}", frame(TEXT, data), code=1007)
        yield fails(
            "8.1",
            f"invalid-{name}-in-fragments",
            frame(TEXT, data[:1], fin=False),
            frame(CONTINUATION, data[1:]),
            code=1007,
        )
        yield echoes("8.1", f"{name}-as-binary", data)


FRAME_CASES = [
    *_masking(),
    *_headers(),
    *_fragments(),
    *_control(),
    *_closing(),
    *_text(),
]


def play(case, stream, is_overtaking=False):
    """
    Sends @case over an open connection and checks every byte that comes back. @is_overtaking: a
    failure may arrive ahead of earlier echoes, as it does when another process echoes.
    """
    for data in case.send:
        if case.piecewise:
            stream.send_pieces(data)
        else:
            stream.send(data)
    pongs, messages, overtaken = list(case.pongs), list(case.messages), list(case.overtaken)
    while pongs or messages or (overtaken and not is_overtaking):
        got = stream.read_frame()
        assert got.rsv == 0 and not got.masked, got  # s5.2; s5.1: a server never masks
        if got.opcode == PONG:
            assert pongs and got.payload == pongs.pop(0), got
        else:
            _read_message(stream, got, *(messages or overtaken).pop(0))
    if case.close == "open":
        _end_by_client(stream)
    else:
        _expect_close(stream, case.close, overtaken)


def _read_message(stream, first, opcode, payload):
    """One message in whatever fragments the server chose."""
    assert first.opcode == opcode, first
    got, fin = first.payload, first.fin
    while not fin:
        part = stream.read_frame()
        assert part.opcode == CONTINUATION, part
        got, fin = got + part.payload, part.fin
    assert got == payload


def _end_by_client(stream):
    stream.send(frame(PING, "still here") + close_frame(1000))
    stream.expect_frame(PONG, "still here")
    stream.expect_close(1000)
    stream.expect_end()


def _expect_close(stream, codes, overtaken):
    got = stream.read_frame()
    while overtaken and got.opcode != CLOSE:
        _read_message(stream, got, *overtaken.pop(0))
        got = stream.read_frame()
    codes = codes if isinstance(codes, tuple) else (codes,)
    assert got.opcode == CLOSE and got.close_code in codes, got
    # s7.1.1: the server closes the TCP connection first; we only say that nothing more comes.
    with contextlib.suppress(OSError):
        stream.shutdown_write()
    stream.expect_end()
