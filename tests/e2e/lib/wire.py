# SPDX-License-Identifier: Apache-2.0
"""TCP packets by hand, on a wire in another network namespace."""

import socket
import struct
from dataclasses import dataclass, replace

from lib import env

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP, FRAGMENT, AUTHENTICATION, DESTINATION_OPTIONS = 6, 44, 51, 60
MODULUS = 1 << 32

_ETH_P_ALL = 3

# ---- packets ----------------------------------------------------------------------------------


def _sum(data):
    """RFC 1071"""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


@dataclass
class Packet:
    """
    @wrap: bytes between the network header as it usually is and that of TCP, and for IPv6 the
    number of the first header in them: (number, bytes)
    @cut: how many bytes behind the network header are sent; with @more_fragments
    """

    smac: bytes
    dmac: bytes
    saddr: bytes
    daddr: bytes
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int = ACK
    window: int = 500
    options: bytes = b""
    payload: bytes = b""
    wrap: tuple = (TCP, b"")
    more_fragments: bool = False
    cut: int = None
    spoils_checksum: bool = False

    @property
    def end(self):
        n = len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)
        return (self.seq + n) % MODULUS

    def with_(self, **changes):
        return replace(self, **changes)

    def _tcp(self):
        head = struct.pack("!HHIIBBHHH", self.sport, self.dport, self.seq % MODULUS,
                           self.ack % MODULUS, (20 + len(self.options)) // 4 << 4, self.flags,
                           self.window, 0, 0)
        segment = head + self.options + self.payload
        pseudo = self.saddr + self.daddr + struct.pack("!II", len(segment), TCP)
        check = _sum(pseudo + segment) ^ (0x5555 if self.spoils_checksum else 0)
        return segment[:16] + struct.pack("!H", check) + segment[18:]

    def _ipv4(self):
        extra = self.wrap[1]
        body = self._tcp()[: self.cut]
        head = struct.pack("!BBHHHBBH", 0x45 + len(extra) // 4, 0, 20 + len(extra) + len(body),
                           7, 0x2000 if self.more_fragments else 0x4000, 64, TCP, 0)
        head += self.saddr + self.daddr + extra
        return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + body

    def _ipv6(self):
        number, extra = self.wrap
        body = (extra + self._tcp())[: self.cut]
        return (struct.pack("!IHBB", 6 << 28, len(body), number, 64) + self.saddr + self.daddr
                + body)

    def write(self):
        ip = self._ipv4() if len(self.saddr) == 4 else self._ipv6()
        return self.dmac + self.smac + (b"\x08\0" if len(self.saddr) == 4 else b"\x86\xdd") + ip


@dataclass
class TooBig:
    """An ICMP error about a packet that has come here, to who has sent it (RFC 1191, RFC 4443)."""

    about: Packet
    mtu: int

    def write(self):
        about = self.about
        quoted = about.write()[14:]
        if len(about.saddr) == 4:
            icmp = struct.pack("!BBHI", 3, 4, 0, self.mtu) + quoted[:548]
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 7, 0, 64, 1, 0)
            head += about.daddr + about.saddr
            head = head[:10] + struct.pack("!H", _sum(head)) + head[12:]
            pseudo = b""
        else:
            icmp = struct.pack("!BBHI", 2, 0, 0, self.mtu) + quoted[:1232]
            head = struct.pack("!IHBB", 6 << 28, len(icmp), 58, 64) + about.daddr + about.saddr
            pseudo = about.daddr + about.saddr + struct.pack("!II", len(icmp), 58)
        icmp = icmp[:2] + struct.pack("!H", _sum(pseudo + icmp)) + icmp[4:]
        kind = b"\x08\0" if len(about.saddr) == 4 else b"\x86\xdd"
        return about.smac + about.dmac + kind + head + icmp


def parse(frame):
    """A Packet, or None if the frame is nothing but TCP behind a plain network header."""
    kind = frame[12:14]
    if kind == b"\x08\0" and frame[14] == 0x45 and frame[23] == TCP:
        at, size, addresses = 34, struct.unpack("!H", frame[16:18])[0] - 20, frame[26:34]
    elif kind == b"\x86\xdd" and frame[20] == TCP:
        at, size, addresses = 54, struct.unpack("!H", frame[18:20])[0], frame[22:54]
    else:
        return None
    half = len(addresses) // 2
    sport, dport, seq, ack, length, flags, window = struct.unpack("!HHIIBBH", frame[at : at + 16])
    head = (length >> 4) * 4
    return Packet(smac=frame[6:12], dmac=frame[:6], saddr=addresses[:half],
                  daddr=addresses[half:], sport=sport, dport=dport, seq=seq, ack=ack, flags=flags,
                  window=window, options=frame[at + 20 : at + head],
                  payload=frame[at + head : at + size])


# ---- wires ------------------------------------------------------------------------------------


class Wire:
    """One end of it: all that comes and goes there is kept."""

    def __init__(self, box, namespace, interface):
        with box.thread_in(namespace):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.sock.bind((interface, _ETH_P_ALL))
        self.sock.setblocking(False)
        self.sent, self.received = [], []

    def close(self):
        self.sock.close()

    def send(self, packet):
        self.sock.send(packet.write())

    def look(self):
        while True:
            try:
                frame, address = self.sock.recvfrom(1 << 17)
            except BlockingIOError:
                return
            packet = parse(frame)
            if packet:
                is_ours = address[2] == socket.PACKET_OUTGOING
                (self.sent if is_ours else self.received).append(packet)

    def wait_received(self, wanted):
        """The first packet, of all that came, for which @wanted() holds."""

        def find():
            self.look()
            return next((p for p in self.received if wanted(p)), None)

        return env.until(find, "a packet on the wire")

    def next_packet(self):
        """One that this side might send now, if nothing is under way."""
        self.look()
        last = self.sent[-1]
        return last.with_(seq=last.end, ack=self.received[-1].end, flags=ACK, payload=b"")
