# SPDX-License-Identifier: Apache-2.0
"""A FIN travels on behind the last byte, and the other direction stays usable."""

import os
import threading

import pytest

from lib import ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import tunnel

BIG = os.urandom(3 << 20)


@pytest.fixture
def ends(request, sluiced, endpoint):
    """(one, other): both ends of a tunnel, in the order that the test's parameter names."""
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client, server:
        yield (daemon, client, server) if request.param == "client" else (daemon, server, client)


first = pytest.mark.parametrize("ends", ["client", "endpoint"], indirect=True)


def masked_if_client(daemon, stream):
    is_client = stream.sock.getpeername()[1] == daemon.port()
    return {} if is_client else {"mask": None}


@first
def test_end_of_one_direction_leaves_the_other(ends):
    daemon, one, other = ends
    one.send(ws_raw.frame(ws_raw.BINARY, b"last", **masked_if_client(daemon, one)))
    one.shutdown_write()
    other.expect_frame(ws_raw.BINARY, b"last")
    other.expect_end()
    other.send(ws_raw.frame(ws_raw.BINARY, BIG, **masked_if_client(daemon, other)))
    one.expect_frame(ws_raw.BINARY, BIG)
    (row,) = daemon.connections()
    assert row["state"] == "open"
    other.close()
    one.expect_end()
    assert daemon.access_log(1)[0]["reason"] == "eof"


@first
def test_fin_waits_for_queued_bytes(ends):
    """The end comes while most bytes still wait for a reader that has not begun."""
    daemon, one, other = ends
    frame = ws_raw.frame(ws_raw.BINARY, BIG, **masked_if_client(daemon, one))

    def send_all():
        one.send(frame)
        one.shutdown_write()

    sender = threading.Thread(target=send_all)
    sender.start()
    other.expect_frame(ws_raw.BINARY, BIG)
    other.expect_end()
    sender.join()


@first
def test_unfinished_frame_header_arrives(ends):
    """What a peer left incomplete is passed on as it is: byte-exact until the end."""
    daemon, one, other = ends
    whole = ws_raw.frame(ws_raw.BINARY, bytes(300), **masked_if_client(daemon, one))
    one.send(whole + whole[:3])
    one.shutdown_write()
    assert other.read_to_end() == whole + whole[:3]


def test_echo_answers_all_before_its_fin(sluiced):
    daemon = sluiced(ECHO_CONFIG)
    with ws_raw.connect(daemon.address()) as client:
        client.send(ws_raw.frame(ws_raw.BINARY, BIG[: 1 << 20]))
        client.shutdown_write()
        got = b""
        while len(got) < 1 << 20:
            got += client.read_frame().payload
        assert got == BIG[: 1 << 20]
        client.expect_end()
    daemon.wait_live(0)
