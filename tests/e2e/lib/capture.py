# SPDX-License-Identifier: Apache-2.0
"""Packets of TCP as an interface sees them."""

import contextlib
import socket
import struct

import pytest

INCOMING, OUTGOING = 0, 4  # PACKET_HOST, PACKET_OUTGOING
_ETH_P_ALL = 3


def _is_tcp(packet):
    return packet[9 if packet[0] >> 4 == 4 else 6] == socket.IPPROTO_TCP


def _describe(packet):
    """(TOS or traffic class, TCP ports, bytes of payload)"""
    if packet[0] >> 4 == 4:
        tos, offset = packet[1], 4 * (packet[0] & 15)
        length = struct.unpack_from("!H", packet, 2)[0]
    else:
        tos, offset = (packet[0] & 15) << 4 | packet[1] >> 4, 40
        length = 40 + struct.unpack_from("!H", packet, 4)[0]
    ports = struct.unpack_from("!HH", packet, offset)
    return tos, ports, length - offset - 4 * (packet[offset + 12] >> 4)


class Capture:
    """From now on, in the network namespace of this thread; one @direction, so each once."""

    def __init__(self, interface, direction):
        try:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        except PermissionError:
            pytest.skip("no CAP_NET_RAW: packets cannot be looked at")
        self.direction = direction
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.bind((interface, _ETH_P_ALL))
        self.sock.settimeout(0)

    def packets(self):
        """Those that have come: (TOS or traffic class, (source, destination) port, payload)"""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, where = self.sock.recvfrom(1 << 16)
                if where[2] == self.direction and _is_tcp(packet):
                    yield _describe(packet)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
