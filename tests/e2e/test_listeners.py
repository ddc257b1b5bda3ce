# SPDX-License-Identifier: Apache-2.0
"""Addresses of every kind, several of them, and the spread over workers."""

import collections
import os
import socket
import stat

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG
from lib.process import run


def listener(*addresses, name="public"):
    return f"listener {name} {{ listen = {{" + ", ".join(f'"{a}"' for a in addresses) + "} }\n"


def echo_once(address, **options):
    with ws_raw.connect(address, **options) as stream:
        stream.send(ws_raw.frame(ws_raw.TEXT, "hello"))
        stream.expect_frame(ws_raw.TEXT, "hello")


def to_dial(text):
    if text.startswith("unix:@"):
        return "\0" + text[len("unix:@") :]
    if text.startswith("unix:"):
        return text[len("unix:") :]
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


@pytest.mark.parametrize("workers", [1, 3])
def test_all_families_at_once(sluiced, directory, workers):
    path = directory / "in.sock"
    daemon = sluiced(
        f"worker {{ count = {workers} }}\n"
        + listener("127.0.0.1:0", "[::1]:0", f"unix:{path}", f"unix:@sluice-e2e-{os.getpid()}")
        + ECHO_CONFIG
    )
    addresses = daemon.addresses()
    assert len(addresses) == 4
    for text in addresses:
        for _ in range(5):
            echo_once(to_dial(text))
    sources = collections.Counter(row["source"].rsplit(":", 1)[0] for row in daemon.access_log(20))
    assert sources == {"127.0.0.1": 5, "[::1]": 5, "unix": 10}
    assert stat.S_ISSOCK(path.stat().st_mode)
    daemon.stop()
    assert not path.exists()


def test_several_listeners_are_told_apart(sluiced):
    daemon = sluiced(
        listener("127.0.0.1:0", name="a") + listener("127.0.0.1:0", name="b") + ECHO_CONFIG
    )
    echo_once(daemon.address("a"))
    echo_once(daemon.address("b"))
    echo_once(daemon.address("b"))
    assert [row["listener"] for row in daemon.access_log(3)] == ["a", "b", "b"]


def test_connections_spread_over_workers(sluiced):
    daemon = sluiced("worker { count = 4 }\n" + ECHO_CONFIG)
    assert daemon.status()["workers"] == 4
    held = [ws_raw.connect(daemon.address()) for _ in range(200)]
    used = collections.Counter(row["worker"] for row in daemon.connections())
    for stream in held:
        stream.close()
    # The kernel hashes the 4-tuple: all four are used, none for most.
    assert sorted(used) == [0, 1, 2, 3] and sum(used.values()) == 200
    assert max(used.values()) < 150
    daemon.wait_live(0)


def test_unix_socket_left_by_a_dead_daemon_is_taken_over(sluiced, directory):
    path = directory / "in.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    daemon = sluiced(listener(f"unix:{path}") + ECHO_CONFIG)
    echo_once(str(path))
    daemon.stop()


def start_failing(directory, config):
    home = directory / "failing"
    home.mkdir()
    conf = home / "sluice.conf"
    conf.write_text(f'admin {{ control = "{home}/control.sock" }}\n' + config)
    return run([env.BUILD / "sluiced", "-c", conf], home, "sluiced")


def test_address_in_use_is_named(sluiced, directory):
    daemon = sluiced(ECHO_CONFIG)
    address = daemon.addresses()[0]
    code, _, err = start_failing(directory, listener(address, name="second") + ECHO_CONFIG)
    assert code == 1
    assert address in err and "second" in err and "in use" in err
    echo_once(daemon.address())


def test_living_unix_socket_is_not_stolen(sluiced, directory):
    path = directory / "in.sock"
    daemon = sluiced(listener(f"unix:{path}") + ECHO_CONFIG)
    code, _, err = start_failing(directory, listener(f"unix:{path}", name="second") + ECHO_CONFIG)
    assert code == 1 and str(path) in err
    echo_once(str(path))
    daemon.stop()


def test_running_out_of_descriptors(sluiced):
    """Who comes too late is refused, and there is room again afterwards."""
    daemon = sluiced("limits { max_connections = 1000 }\n" + ECHO_CONFIG, nofile=64)
    held, refused = [], 0
    for _ in range(80):
        try:
            held.append(ws_raw.connect(daemon.address()))
        except (ConnectionError, AssertionError):
            refused += 1
    assert held and refused
    for stream in held:
        stream.send(ws_raw.frame(ws_raw.PING, "alive"))
        stream.expect_frame(ws_raw.PONG, "alive")
        stream.close()
    env.until(lambda: can_echo(daemon), "room for a connection")
    daemon.wait_live(0)


def can_echo(daemon):
    try:
        echo_once(daemon.address())
        return True
    except (ConnectionError, AssertionError):
        return False
