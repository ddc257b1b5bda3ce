# SPDX-License-Identifier: Apache-2.0
"""A name server on loopback that answers what the test says."""

import socket
import struct
import threading

A, AAAA = 1, 28
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


class NameServer:
    """
    `names` maps lower-case names to lists of addresses, to SERVFAIL, or to None for silence; it may
    be changed at any time. What is not there is NXDOMAIN.
    """

    def __init__(self):
        self.names = {}
        self.n_asked = {}
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # An empty datagram ends the thread.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self._sock.getsockname())
        self._thread.join()
        self._sock.close()

    def config(self, timeout="200ms"):
        return f'resolver {{ nameserver = {{"{self.address}"}} timeout = {timeout} }}\n'

    def _serve(self):
        while True:
            query, peer = self._sock.recvfrom(2048)
            if not query:
                return
            response = self._answer(query)
            if response:
                self._sock.sendto(response, peer)

    def _answer(self, query):
        number, _, _ = struct.unpack("!HHH", query[:6])
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
        question = query[12 : at + 5]
        name = ".".join(labels).lower()
        self.n_asked[name] = self.n_asked.get(name, 0) + 1
        known = self.names.get(name, NXDOMAIN)
        if known is None:
            return None
        code, addresses = (known, []) if isinstance(known, int) else (NOERROR, known)
        records = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind == (AAAA if ":" in address else A):
                data = socket.inet_pton(family, address)
                records.append(struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(data)) + data)
        header = struct.pack("!HHHHHH", number, 0x8180 | code, 1, len(records), 0, 0)
        return header + question + b"".join(records)
