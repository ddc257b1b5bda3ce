# SPDX-License-Identifier: Apache-2.0
"""While it stops, a daemon is no longer in the way of clients and of its successor."""

import signal
import socket

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG

CONFIG = "limits { close_timeout = 60s }\ndrain { hard_stop_after = 60s }\n" + ECHO_CONFIG


def is_refused(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(env.PATIENCE_S)
        return sock.connect_ex(address) != 0


def end(daemon):
    """The second signal."""
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait() == 0, daemon.log()


@pytest.mark.parametrize("workers", [1, 2])
def test_new_clients_are_refused_at_once(sluiced, directory, workers):
    path = f"{directory}/s"
    daemon = sluiced(
        CONFIG
        + f"worker {{ count = {workers} }}\n"
        + 'listener public { listen = {"127.0.0.1:0"} }\n'
        + f'listener local {{ listen = {{"unix:{path}"}} }}\n'
    )
    with ws_raw.connect(daemon.address()) as client:
        daemon.process.send_signal(signal.SIGTERM)
        client.expect_close(1001)
        env.until(lambda: is_refused(daemon.address()), "TCP clients to be refused")
        env.until(lambda: is_refused(path), "unix clients to be refused")
        assert daemon.process.is_running()
        end(daemon)


def test_successor_may_start_before_the_end(sluiced):
    first = sluiced(CONFIG)
    address = first.address()
    with ws_raw.connect(address) as client:
        first.process.send_signal(signal.SIGTERM)
        client.expect_close(1001)
        env.until(lambda: is_refused(address), "clients to be refused")
        sluiced(CONFIG + f'listener public {{ listen = {{"127.0.0.1:{address[1]}"}} }}\n')
        with ws_raw.connect(address) as other:
            other.send(ws_raw.frame(ws_raw.PING, "x"))
            other.expect_frame(ws_raw.PONG, "x")
        end(first)
