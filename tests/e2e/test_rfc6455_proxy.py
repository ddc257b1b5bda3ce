# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 through the gateway: it polices frames, the server behind it judges what is in them."""

import pytest

from lib import rfc6455, ws_raw
from lib.daemon import proxy_config
from lib.endpoint import RawEndpoint
from lib.peers import IMPLEMENTATIONS
from lib.rfc6455_handshake import ACCEPTANCES, REFUSALS, expect_refusal


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def daemon(request, module_sluiced, module_peers):
    return module_sluiced(proxy_config(module_peers.server(request.param)))


def by_id(case):
    return case.id


@pytest.mark.parametrize("case", rfc6455.FRAME_CASES, ids=by_id)
def test_frames(daemon, case):
    with ws_raw.connect(daemon.address()) as stream:
        rfc6455.play(case, stream, is_overtaking=True)


@pytest.mark.parametrize("case", ACCEPTANCES, ids=by_id)
def test_handshake_reaches_the_endpoint(sluiced, endpoint, case):
    daemon = sluiced(proxy_config(endpoint.address))
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(case.head)
        server = endpoint.accept_upgrade()
        ws_raw.check_101(stream)
        sent = server.request
        method, target, version = sent.first.split(" ")
        assert (method, version) == ("GET", "HTTP/1.1")  # s4.1 1, 2
        assert target.startswith("/echo")  # RFC 9112 s3.2.1: origin form towards a server
        assert sent.get("Host") == "sluice.example"  # s4.1 4
        assert sent.get("Upgrade").lower() == "websocket"  # s4.1 5
        assert sent.get("Connection").lower() == "upgrade"  # s4.1 6
        assert len(sent.get("Sec-WebSocket-Key")) == 24  # s4.1 7
        assert sent.get("Sec-WebSocket-Version") == "13"  # s4.1 9
        asked = ws_raw.Head(case.head)
        for name in ("Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "X-One"):
            assert sent.all(name) == asked.all(name)
        for one, other, mask in ((stream, server, b"\x01\x02\x03\x04"), (server, stream, None)):
            one.send(ws_raw.frame(ws_raw.TEXT, "open", mask=mask))
            other.expect_frame(ws_raw.TEXT, "open", masked=mask is not None)


@pytest.fixture(scope="module")
def refusing(module_sluiced):
    """The endpoint would accept a TCP connection, but must never see one."""
    with RawEndpoint() as endpoint:
        daemon = module_sluiced(proxy_config(endpoint.address))
        yield daemon, endpoint


@pytest.mark.parametrize("case", REFUSALS, ids=by_id)
def test_handshake_is_refused_before_an_endpoint_is_asked(refusing, case):
    daemon, endpoint = refusing
    with ws_raw.dial(daemon.address()) as stream:
        stream.send(case.head)
        expect_refusal(stream, case)
    assert not endpoint.has_caller()


# s4.1, second list: what an endpoint's answer must look like stands in test_endpoint_failures.py.
