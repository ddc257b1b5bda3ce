# SPDX-License-Identifier: Apache-2.0
"""Packet splice: FIN and RST of either side, while the kernel alone carries the connection."""

import contextlib
import os
import random
import threading

import pytest

from lib import env, ws_raw
from lib.endpoint import RawEndpoint
from lib.splice_network import far_address

N = env.scale_full(12, 200)
GATEWAYS = {4: ("10.1.0.1", 8080), 6: ("fd01::1", 8080)}
BIG = os.urandom(1 << 20)


@pytest.fixture(params=[4, 6])
def network(request, splice_network):
    return splice_network(request.param, server=None)


@pytest.fixture
def tunnels(network):
    """[(client, endpoint)]: both ends of spliced connections."""
    version = network.version
    with contextlib.ExitStack() as stack:
        with network.box.thread_in("b"):
            endpoint = stack.enter_context(RawEndpoint(far_address(version, 2), 9000))
        pairs = []
        for _ in range(N):
            with network.box.thread_in("c"):
                client = stack.enter_context(ws_raw.dial(GATEWAYS[version]))
            client.send(ws_raw.request())
            pairs.append((client, endpoint.accept_upgrade()))
            ws_raw.check_101(client)
        network.wait_spliced(N)
        yield pairs


def in_order(pair, first):
    return pair if first == "client" else pair[::-1]


def masks(first):
    """Of frames from the one, and from the other."""
    mine = {} if first == "client" else {"mask": None}
    return mine, {"mask": None} if first == "client" else {}


def rows_of(network, reason, patience_s=env.PATIENCE_S):
    network.wait_none(patience_s)
    rows = network.lines(N)
    assert {(row["path"], row["reason"]) for row in rows} == {("splice", reason)}
    return rows


def count(rows, first):
    """Bytes of all connections: (from the one, from the other)."""
    both = sum(row["bytes_in"] for row in rows), sum(row["bytes_out"] for row in rows)
    return in_order(both, first)


either_first = pytest.mark.parametrize("first", ["client", "endpoint"])


@either_first
def test_a_half_closed_connection_goes_on_in_the_other_direction(network, tunnels, first):
    mine, theirs = masks(first)
    last = ws_raw.frame(ws_raw.BINARY, b"last", **mine)
    big = ws_raw.frame(ws_raw.BINARY, BIG, **theirs)
    unfinished = ws_raw.frame(ws_raw.BINARY, bytes(300), **theirs)[:3]
    for pair in tunnels:
        one, other = in_order(pair, first)
        one.send(last)
        one.shutdown_write()
    for pair in tunnels:
        one, other = in_order(pair, first)
        assert other.read_to_end() == last
        other.send(ws_raw.frame(ws_raw.TEXT, "still here", **theirs))
        one.expect_frame(ws_raw.TEXT, "still here")
        sender = threading.Thread(target=other.send, args=(big + unfinished,))
        sender.start()
        assert one.read_exactly(len(big)) == big
        sender.join()
        other.close()
        assert one.read_to_end() == unfinished
    rows = rows_of(network, "eof")
    hello = len(ws_raw.frame(ws_raw.TEXT, "still here", **theirs))
    assert count(rows, first) == (N * len(last), N * (hello + len(big) + len(unfinished)))


def test_both_ends_close_at_once(network, tunnels):
    frame = ws_raw.close_frame(1001), ws_raw.close_frame(1001, mask=None)
    for client, endpoint in tunnels:
        for one, bytes_ in zip((client, endpoint), frame):
            one.send(bytes_)
            one.shutdown_write()
    for client, endpoint in tunnels:
        assert client.read_to_end() == frame[1]
        assert endpoint.read_to_end() == frame[0]
    assert count(rows_of(network, "close_frame"), "client") == (N * len(frame[0]), N * len(frame[1]))


@either_first
def test_a_reset_arrives_as_one_behind_the_last_byte(network, tunnels, first):
    mine, _ = masks(first)
    last = ws_raw.frame(ws_raw.BINARY, BIG[:3000], **mine)
    for pair in tunnels:
        one, other = in_order(pair, first)
        one.send(last)
        assert other.read_exactly(len(last)) == last
        one.reset()
        with pytest.raises(ConnectionResetError):
            other.sock.recv(1)
    assert count(rows_of(network, "reset"), first) == (N * len(last), 0)


@either_first
def test_a_reset_in_the_middle_of_everything_ends_both_sides(network, tunnels, first):
    """Bytes are on their way in both directions: nobody may wait for ever for the rest."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    mine, theirs = masks(first)
    for pair in tunnels:
        one, other = in_order(pair, first)

        def send_on(stream, options):
            with contextlib.suppress(ConnectionError, OSError):
                while True:
                    stream.send(ws_raw.frame(ws_raw.BINARY, BIG[:60000], **options))

        senders = [threading.Thread(target=send_on, args=(one, mine), daemon=True),
                   threading.Thread(target=send_on, args=(other, theirs), daemon=True)]
        for sender in senders:
            sender.start()
        one.read_exactly(chance.randrange(1, 400000))
        one.reset()
        other.sock.settimeout(4 * env.PATIENCE_S)
        other.read_to_end()
        for sender in senders:
            sender.join(4 * env.PATIENCE_S)
            assert not sender.is_alive()
    # A reset that overtakes the last bytes is not to be believed, and counts when all are silent.
    rows_of(network, "reset", 4 * env.PATIENCE_S)
