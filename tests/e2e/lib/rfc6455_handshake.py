# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 s4 and what RFC 9112 and RFC 9110 require of the request that carries it, as a table."""

import json
from dataclasses import dataclass

from lib.ws_raw import request


@dataclass
class Refusal:
    section: str
    name: str
    head: bytes
    status: int
    error: str

    @property
    def id(self):
        return f"s{self.section}-{self.name}"


@dataclass
class Acceptance:
    section: str
    name: str
    head: bytes

    @property
    def id(self):
        return f"s{self.section}-{self.name}"


def _without(header):
    return request(change={header: None})


def _with(header, value):
    return request(change={header: value})


REFUSALS = [
    Refusal("4.2.1-1", "post", request(method="POST"), 405, "method_not_allowed"),
    Refusal("4.2.1-1", "head", request(method="HEAD"), 405, "method_not_allowed"),
    Refusal("4.2.1-1", "lower-case-get", request(method="get"), 405, "method_not_allowed"),
    Refusal("4.2.1-1", "http-1.0", request(version="HTTP/1.0"), 505, "http_version"),
    Refusal("4.2.1-1", "http-2.0", request(version="HTTP/2.0"), 505, "http_version"),
    Refusal("4.2.1-2", "no-host", _without("Host"), 400, "bad_host"),
    Refusal("4.2.1-2", "two-hosts", request(extra=["Host: sluice.example"]), 400, "bad_host"),
    Refusal("4.2.1-2", "host-with-space", _with("Host", "a b"), 400, "bad_host"),
    Refusal("4.2.1-3", "no-upgrade", _without("Upgrade"), 426, "upgrade_required"),
    Refusal("4.2.1-3", "other-upgrade", _with("Upgrade", "h2c"), 426, "upgrade_required"),
    Refusal("4.2.1-4", "no-connection", _without("Connection"), 400, "bad_connection_header"),
    Refusal(
        "4.2.1-4",
        "connection-without-upgrade",
        _with("Connection", "keep-alive"),
        400,
        "bad_connection_header",
    ),
    Refusal("4.2.1-5", "no-key", _without("Sec-WebSocket-Key"), 400, "bad_key"),
    Refusal("4.2.1-5", "empty-key", request(key=""), 400, "bad_key"),
    Refusal("4.2.1-5", "key-of-15-bytes", request(key="AAAAAAAAAAAAAAAAAAAA"), 400, "bad_key"),
    Refusal("4.2.1-5", "key-of-17-bytes", request(key="A" * 23 + "="), 400, "bad_key"),
    Refusal("4.2.1-5", "key-of-18-bytes", request(key="A" * 24), 400, "bad_key"),
    Refusal("4.2.1-5", "key-not-base64", request(key="*" * 22 + "=="), 400, "bad_key"),
    Refusal("4.2.1-5", "key-unpadded", request(key="A" * 22), 400, "bad_key"),
    Refusal(
        "4.2.1-5",
        "two-keys",
        request(extra=["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]),
        400,
        "bad_key",
    ),
    Refusal("4.2.1-6", "no-version", _without("Sec-WebSocket-Version"), 426, "bad_version"),
    Refusal("4.4", "version-8", _with("Sec-WebSocket-Version", "8"), 426, "bad_version"),
    Refusal("4.4", "version-14", _with("Sec-WebSocket-Version", "14"), 426, "bad_version"),
    Refusal("4.4", "version-013", _with("Sec-WebSocket-Version", "013"), 426, "bad_version"),
    Refusal("4.1-10", "empty-protocol", request(protocol="a, b c"), 400, "bad_subprotocol"),
    Refusal("4.1-10", "repeated-protocol", request(protocol="a, b, a"), 400, "bad_subprotocol"),
    Refusal(
        "4.1-10",
        "protocol-repeated-over-headers",
        request(protocol="a", extra=["Sec-WebSocket-Protocol: a"]),
        400,
        "bad_subprotocol",
    ),
    Refusal("9.1", "extension-not-a-token", request(extensions="a b"), 400, "bad_extension"),
    Refusal("9.1", "extension-without-name", request(extensions="; x=1"), 400, "bad_extension"),
    Refusal("9.1", "parameter-not-closed", request(extensions='x; y="open'), 400, "bad_extension"),
]

ACCEPTANCES = [
    Acceptance("4.2.1-1", "absolute-form", request("http://sluice.example/echo")),
    Acceptance("4.2.1-1", "query", request("/echo?a=/b&c")),
    Acceptance("4.2.1-3", "upgrade-in-capitals", _with("Upgrade", "WEBSOCKET")),
    Acceptance("4.2.1-3", "upgrade-in-list", _with("Upgrade", "h2c, websocket")),
    Acceptance("4.2.1-4", "connection-in-capitals", _with("Connection", "UPGRADE")),
    Acceptance("4.2.1-4", "connection-list", _with("Connection", "keep-alive , Upgrade")),
    Acceptance(
        "4.2.1-4",
        "connection-over-headers",
        request(change={"Connection": "keep-alive"}, extra=["Connection: upgrade"]),
    ),
    Acceptance("4.1", "origin", request(extra=["Origin: https://elsewhere.example"])),
    Acceptance("4.1", "unknown-headers", request(extra=["X-One: 1", "X-Empty:", "X-Wide: \xe9"])),
    Acceptance(
        "4.2.1",
        "names-in-other-case",
        request().replace(b"Sec-WebSocket-Key", b"sec-websocket-KEY").replace(b"Host", b"hOST"),
    ),
    Acceptance(
        "4.2.1",
        "no-space-and-much-space",
        request()
        .replace(b"Upgrade: websocket", b"Upgrade:websocket")
        .replace(b"Version: 13", b"Version: \t 13 \t"),
    ),
    Acceptance("4.1-10", "protocols", request(protocol="chat, superchat")),
    Acceptance("9.1", "unknown-extension", request(extensions='x-unknown; a=1; b="two", other')),
]


def expect_refusal(stream, case):
    """The response that @case asks for, up to the end. Returns its head."""
    head = stream.read_head()
    assert head.status == case.status, head.raw
    if not case.head.startswith(b"HEAD "):  # RFC 9110 s9.3.2: its answer has no body
        assert json.loads(stream.read_body(head))["error"] == case.error
    stream.expect_end()
    return head
