# SPDX-License-Identifier: Apache-2.0
"""The stream from the guest, cut anywhere."""

import pytest
from protocol import Stream

NONCE = "0123456789abcdef"
READY = b"\0vmtest-0123456789abcdef ready 6.18.1 2.50\n"
EXIT = b"\0vmtest-0123456789abcdef exit 7 5\n"
FOREIGN = b"\0vmtest-fedcba9876543210 exit 0 0\n"  # a mark, but not of this run


def fed(pieces):
    stream = Stream(NONCE)
    output = b"".join(stream.feed(piece) for piece in pieces)
    return stream, output + stream.finish()


def check_whole(stream, output):
    assert output == b"one\n\0two" + FOREIGN + b"\0vmtest-three"
    assert stream.ready == ["6.18.1", "2.50"]
    assert stream.status == 7
    assert stream.complete
    assert bytes(stream.archive) == b"abcde"


WHOLE = READY + b"one\n\0two" + FOREIGN + b"\0vmtest-three" + EXIT + b"abcde"


def test_whole_stream_at_every_split_point():
    for at in range(len(WHOLE) + 1):
        check_whole(*fed([WHOLE[:at], WHOLE[at:]]))


def test_whole_stream_byte_by_byte():
    check_whole(*fed([WHOLE[at : at + 1] for at in range(len(WHOLE))]))


def test_what_follows_the_archive_is_ignored():
    stream, output = fed([EXIT + b"abcdefgh", b"and more"])
    assert bytes(stream.archive) == b"abcde"
    assert output == b""


def test_cut_off_anywhere_is_not_complete_and_loses_no_output():
    end_of_output = WHOLE.index(EXIT)
    for at in range(len(WHOLE)):
        stream, output = fed([WHOLE[:at]])
        assert not stream.complete
        assert b"one" in output or at < len(READY) + 3
        if at <= end_of_output:
            assert stream.status is None


@pytest.mark.parametrize("length", range(1, 25))
def test_possible_start_of_a_mark_is_output_in_the_end(length):
    stream, output = fed([b"x" + READY[:length]])
    assert output == b"x" + READY[:length]
    assert stream.ready is None


def test_output_is_not_held_back_without_need():
    stream = Stream(NONCE)
    assert stream.feed(b"prompt> ") == b"prompt> "
    assert stream.feed(b"a\0") == b"a"
    assert stream.feed(b"b") == b"\0b"
