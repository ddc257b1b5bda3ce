# SPDX-License-Identifier: Apache-2.0
"""Ends that meet each other half way: a FIN, a Close and early bytes in unusual order."""

from lib import ws_raw
from lib.daemon import proxy_config
from lib.endpoint import tunnel


def test_close_waits_for_the_frame_of_the_side_that_is_still_open(sluiced, endpoint):
    """The endpoint has said its FIN, so a Close can go to it alone, behind the client's frame."""
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    data = ws_raw.frame(ws_raw.BINARY, bytes(range(200)))
    with client, server:
        server.shutdown_write()
        client.expect_end()
        client.send(data[:100])
        assert server.read_exactly(100) == data[:100]
        assert daemon.ctl("close", all=True) == {"closed": 1}
        client.send(data[100:])
        assert server.read_exactly(len(data) - 100) == data[100:]
        server.expect_close(1001)
        client.shutdown_write()
        server.expect_end()
    (row,) = daemon.access_log(1)
    assert (row["reason"], row["bytes_out"]) == ("closed_by_operator", 0)


def test_close_does_not_cut_into_an_unfinished_header(sluiced, endpoint):
    """A client's stream that ended inside a header stays as it is: no Close is put behind it."""
    daemon = sluiced(proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client, server:
        client.send(b"\x81")
        client.shutdown_write()
        assert server.read_to_end() == b"\x81"
        assert daemon.ctl("close", all=True) == {"closed": 1}
        client.expect_close(1001)
        server.close()
        client.expect_end()
    assert daemon.access_log(1)[0]["reason"] == "closed_by_operator"


def test_early_bytes_of_both_sides_while_one_breaks_the_rules(sluiced, endpoint):
    """
    The client's frame begins ahead of the 101, behind which the endpoint's first frame is none.
    The rest of that frame, which looks like something else, must be known for what it is.
    """
    daemon = sluiced("limits { close_timeout = 60s }\n" + proxy_config(endpoint.address))
    rest = ws_raw.frame(ws_raw.BINARY, b"", length=1000)
    head = ws_raw.frame(ws_raw.BINARY, b"", length=len(rest))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x") + head)
        server = endpoint.accept()
        key = server.read_head().get("Sec-WebSocket-Key")
        server.send(ws_raw.response_101(key) + ws_raw.server_frame(3))
        ws_raw.check_101(client)
        client.expect_close(1002)
        client.send(rest + ws_raw.close_frame(1002))
        client.expect_end()
        client.close()
        server.expect_close(1002)
        server.close()
    assert daemon.access_log(1)[0]["reason"] == "reserved_opcode"


def test_refusal_without_a_body_is_not_waited_for(sluiced, endpoint):
    """RFC 9110 s15.4.5: a 304 has no body, whatever Content-Length says."""
    daemon = sluiced(proxy_config(endpoint.address, cluster="upgrade_timeout = 60s"))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        server = endpoint.accept()
        server.read_head()
        server.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: x\r\n\r\n")
        head = client.read_head()
        assert (head.status, head.get("ETag")) == (304, "x")
