# SPDX-License-Identifier: Apache-2.0
"""Every file in examples/ starts and does what it says."""

import re

import pytest

from lib import env, ws_raw

PATHS = sorted((env.ROOT / "examples").glob("*.conf"))


def on_free_ports(text, directory):
    """The same, but for where it listens, logs and is reached."""
    text = re.sub(
        r"listen = \{[^}]*\}",
        lambda match: re.sub(r'"[^"]*"', '"127.0.0.1:0"', match[0]),
        text,
    )
    control = f'control = "{directory}/control.sock"'
    if re.search(r"^admin \{", text, re.M):
        return re.sub(r"^admin \{", f"admin {{\n{control}", text, flags=re.M)
    return f"admin {{ {control} }}\n{text}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_starts(sluiced, directory, path):
    daemon = sluiced(on_free_ports(path.read_text(), directory / "d0"))
    status = daemon.status()
    assert status["state"] == "running"
    titles = re.findall(r"^route (\S+)", path.read_text(), re.M)
    assert titles and [route["name"] for route in daemon.ctl("show.routes")] == titles
    if "9810" in path.read_text():
        assert daemon.http("/readyz")[0] == 200


def test_echo_echoes(sluiced, directory):
    text = (env.ROOT / "examples/echo.conf").read_text()
    daemon = sluiced(on_free_ports(text, directory / "d0"))
    with ws_raw.connect(daemon.address(), "/echo") as client:
        client.send(ws_raw.frame(ws_raw.TEXT, "hello"))
        client.expect_frame(ws_raw.TEXT, "hello")
    with ws_raw.dial(daemon.address()) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = client.read_head()
        assert head.status == 200 and b"/echo" in client.read_body(head)
