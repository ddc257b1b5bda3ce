# SPDX-License-Identifier: Apache-2.0
"""Clients and servers that people use, in all combinations, with the gateway between them."""

import pytest

from lib.daemon import proxy_config
from lib.peers import IMPLEMENTATIONS

MESSAGES = [
    ["text", 0, 0],
    ["text", 1, 1],
    ["text", 40_000, 2],
    ["binary", 0, 0],
    ["binary", 125, 3],
    ["binary", 126, 4],
    ["binary", 65_535, 5],
    ["binary", 65_536, 6],
    ["binary", 1 << 20, 7],
]


class Gateway:
    """One daemon with a route to each kind of server."""

    def __init__(self, daemon, peers):
        self.daemon, self._peers = daemon, peers

    def run(self, client, path, **scenario):
        """Runs a client's scenario. Returns what it saw, and its line of the access log."""
        logged = len(self.daemon.access_log())
        seen = self._peers.client(client, self.daemon.url(path), **scenario)
        (row,) = self.daemon.access_log(logged + 1)[logged:]
        return seen, row


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def server(request):
    return request.param


@pytest.fixture(scope="module")
def gateway(server, module_sluiced, module_peers):
    config = ""
    for name, deflate in (("plain", False), ("deflate", True)):
        address = module_peers.server(server, deflate=deflate, protocols=["mqtt"])
        config += proxy_config(address, name=name, match=f'path = "/{name}"')
    return Gateway(module_sluiced(config), module_peers)


clients = pytest.mark.parametrize("client", IMPLEMENTATIONS)


@clients
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
def test_messages_come_back_equal(gateway, client, deflate):
    path = "/deflate" if deflate else "/plain"
    seen, row = gateway.run(client, path, deflate=deflate, messages=MESSAGES, close=[1000, ""])
    assert seen["echoed"] == len(MESSAGES)
    assert seen["extensions"] == (["permessage-deflate"] if deflate else [])
    assert row["close_code"] == 1000
    # Each message may travel in more frames than one, but never in fewer; and each side's Close.
    assert row["frames_in"] > len(MESSAGES) and row["frames_out"] > len(MESSAGES)


@clients
def test_offer_of_one_side_only_negotiates_nothing(gateway, client):
    seen, _ = gateway.run(
        client, "/plain", deflate=True, messages=[["text", 5000, 1]], close=[1000, ""]
    )
    assert seen["extensions"] == [] and seen["echoed"] == 1


@clients
@pytest.mark.parametrize(
    "offered, chosen",
    [(["a", "mqtt", "soap"], "mqtt"), (["mqtt"], "mqtt"), (None, None)],
    ids=["of-three", "of-one", "none-offered"],
)
def test_subprotocol_is_the_servers_choice(gateway, client, offered, chosen):
    seen, _ = gateway.run(client, "/plain", protocols=offered, close=[1000, ""])
    assert seen["protocol"] == chosen


@clients
def test_pings_and_pongs_pass_both_ways(gateway, client):
    seen, _ = gateway.run(
        client, "/plain", ping="are you there", server_ping="and you", close=[1000, ""]
    )
    assert seen["pong"]
    assert seen["server_pong"] == "pong and you"


@clients
def test_nginx_between_gateway_and_server(sluiced, peers, client):
    """A second proxy behind ours, on a unix socket, with its own idea of a handshake."""
    daemon = sluiced(proxy_config(peers.nginx(peers.server("python", deflate=True))))
    seen = peers.client(
        client, daemon.url("/x"), deflate=True, messages=MESSAGES, server_close=[4001, "bye"]
    )
    assert seen["echoed"] == len(MESSAGES)
    assert seen["extensions"] == ["permessage-deflate"]
    assert seen["close"] == [4001, "bye"]


CLOSES = [(1001, ""), (4999, "up to é☂🚰")]


@clients
@pytest.mark.parametrize("by", ["client", "server"])
@pytest.mark.parametrize("code, reason", CLOSES, ids=[str(code) for code, _ in CLOSES])
def test_close_code_and_reason_pass(gateway, client, by, code, reason):
    ends = gateway.daemon.closed("close_frame")
    order = {"close" if by == "client" else "server_close": [code, reason]}
    seen, row = gateway.run(client, "/plain", **order)
    # Both ends report what they received; an echoed Close need not repeat the reason.
    assert seen["close"][0] == code
    if by == "server":
        assert seen["close"][1] == reason
    assert (row["status"], row["close_code"], row["reason"]) == (101, code, "close_frame")
    assert row["path"] == "relay"
    assert gateway.daemon.closed("close_frame") == ends + 1
