# SPDX-License-Identifier: Apache-2.0
"""Connections through a network of lib/splice_network.py, both of whose ends the test has."""

from lib import ws_raw
from lib.endpoint import RawEndpoint
from lib.splice_network import CLIENTS

ENDPOINTS = {4: "10.2.0.2", 6: "fd02::2"}


class Tunnels:
    """Clients and, behind the gateway, their endpoint, all in the hands of the test."""

    def __init__(self, network):
        self.network = network
        with network.box.thread_in("b"):
            self.endpoint = RawEndpoint(ENDPOINTS[network.version], 9000)
        self.streams = []

    def open(self, address=None):
        host, _, port = (address or CLIENTS[self.network.version]).rpartition(":")
        with self.network.box.thread_in("c"):
            client = ws_raw.dial((host.strip("[]"), int(port)))
        self.streams.append(client)
        client.send(ws_raw.request("/"))
        server = self.endpoint.accept_upgrade()
        ws_raw.check_101(client)
        return client, server

    def open_spliced(self, n=1, address=None):
        pairs = [self.open(address) for _ in range(n)]
        self.network.wait_spliced(n)
        return pairs if n > 1 else pairs[0]

    def close(self):
        for stream in self.streams:
            stream.close()
        self.endpoint.close()
