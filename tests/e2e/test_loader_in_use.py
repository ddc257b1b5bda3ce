# SPDX-License-Identifier: Apache-2.0
"""
sluice-loader where connections are spliced: what it refuses, what it asks of the daemon, and how it
goes on. The daemon is one of the test's own here, and the connections are entries of the maps.
"""

import contextlib
import json
import re
import signal
import socket
import threading

import pytest

from lib import env
from lib.box import LOADER
from lib.pins import (ACTIVE, LEARN, PINS, by_name, drop_record, flow, hooked, hooks, poke,
                      put_record, set_abi, status)


def flow_field(box, name):
    """Where a field of struct sl_flow is: its offset in bytes."""
    text = box.run("bpftool", "btf", "dump", "file", env.ROOT / "build/bpf/splice_tc.bpf.o").stdout
    body = text.split("STRUCT 'sl_flow'")[1].split("\n[")[0]
    return int(re.search(rf"'{name}' type_id=\d+ bits_offset=(\d+)", body)[1]) // 8


def splice(box, conn_id, *interfaces):
    """Both directions of a connection that is reached by these two interfaces."""
    shape = by_name(status(box)["maps"])["flows4"]
    for direction, interface in enumerate(interfaces):
        index = int(box.run("ip", "-o", "link", "show", interface).stdout.split(":")[0])
        value = flow(shape["value_bytes"], ACTIVE)
        for name, number, size in ("oif", index, 4), ("conn_id", conn_id, 8):
            at = flow_field(box, name)
            value[at:at + size] = number.to_bytes(size, "little")
        poke(box, "flows4", flow_key(shape, conn_id, direction), value)
    put_record(box, conn_id)


def flow_key(shape, conn_id, direction):
    return [conn_id, direction] + [0] * (shape["key_bytes"] - 2)


def demoted(box, conn_id, state=LEARN):
    """As a daemon would leave it."""
    shape = by_name(status(box)["maps"])["flows4"]
    for direction in (0, 1):
        poke(box, "flows4", flow_key(shape, conn_id, direction),
             flow(shape["value_bytes"], state))
    drop_record(box, conn_id)


@pytest.fixture
def two_spliced(loaded):
    """One over va and vb, one over lo alone; a third has only begun."""
    loaded.add_veth("va", "vb")
    loaded.loader("attach", "va", "vb", "lo")
    splice(loaded, 1, "va", "vb")
    splice(loaded, 2, "lo", "lo")
    shape = by_name(status(loaded)["maps"])["flows4"]
    poke(loaded, "flows4", [3] * shape["key_bytes"], [0] * shape["value_bytes"])
    assert status(loaded)["spliced"] == 2
    return loaded


def test_unload_spares_spliced_connections(two_spliced):
    before = status(two_spliced)
    for verb in ("unload", "detach --all"):
        said = two_spliced.refused(*verb.split())
        assert "2 connections are spliced: --demote" in said and "--force" in said
    assert status(two_spliced) == before
    assert "2 connections are spliced: each of their ends is reset" in two_spliced.loader(
        "unload", "--force").stderr
    assert not two_spliced.exists(PINS)


def test_detach_spares_connections_over_that_interface(two_spliced):
    assert "1 connections are spliced" in two_spliced.refused("detach", "va")
    assert "1 connections are spliced" in two_spliced.refused("detach", "lo")
    assert "2 connections are spliced" in two_spliced.refused("detach", "lo", "vb")
    demoted(two_spliced, 1)
    two_spliced.loader("detach", "va", "vb")
    assert set(hooks(two_spliced)) == {"lo"}
    assert "1 connections are spliced: each" in two_spliced.loader(
        "detach", "--force", "lo").stderr


class FakeDaemon:
    """Takes back what @on_demote does, behind its answer. @stays: until the pause is given up."""

    def __init__(self, box, on_demote=lambda: None, pins=PINS, refusal=None, stays=True):
        self.path = box.directory / "fake-control.sock"
        self.asked = []
        self._on_demote, self._pins, self._refusal = on_demote, pins, refusal
        self._stays = stays
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.path.unlink()

    def _serve(self):
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            with one, one.makefile("r") as lines:
                request = json.loads(lines.readline())
                answer = self._answer(request)
                with contextlib.suppress(BrokenPipeError):
                    one.sendall(json.dumps({"id": request["id"], **answer}).encode() + b"\n")
                if answer.get("more"):
                    self._pause(lines)

    def _pause(self, lines):
        self._on_demote()
        if not self._stays:
            return
        with contextlib.suppress(ConnectionResetError):  # the answer was not read
            assert lines.readline() == ""
        self.asked.append(RESUMED)

    def _answer(self, request):
        self.asked.append((request["cmd"], request["args"]))
        data = {}
        if request["cmd"] == "show.offload":
            splice = {"pins": PINS}
            if self._pins:
                splice = {"pins": self._pins, "abi": 2}
            data = [{"path": "relay"}, {"path": "splice", "splice": splice}]
        elif request["cmd"] == "splice.pause":
            if self._refusal:
                return {"ok": False, "error": {"code": "busy", "detail": self._refusal}}
            return {"ok": True, "data": {"paused": True}, "more": True}
        return {"ok": True, "data": data, "more": False}

    def wait_resumed(self):
        env.until(lambda: self.asked[-1:] == [RESUMED], "the end of the pause")

    def options(self, *more):
        return "--demote", "--control", self.path, *more


PAUSE = [("show.offload", {}), ("splice.pause", {})]
RESUMED = "resumed"


def test_unload_after_demotion(two_spliced):
    with FakeDaemon(two_spliced, lambda: [demoted(two_spliced, i) for i in (1, 2)]) as daemon:
        done = two_spliced.loader("unload", *daemon.options())
        assert "the daemon has taken 2 connections back" in done.stderr
        daemon.wait_resumed()
        assert daemon.asked == [*PAUSE, RESUMED]
    assert not two_spliced.exists(PINS)


def test_what_cannot_be_demoted_in_time_stops_it(two_spliced):
    before = hooks(two_spliced)
    with FakeDaemon(two_spliced, lambda: demoted(two_spliced, 1)) as daemon:
        said = two_spliced.refused("unload", *daemon.options("--timeout", "200ms"))
        assert "1 of 2 connections are spliced after 200 ms still" in said
        daemon.wait_resumed()
        assert daemon.asked == [*PAUSE, RESUMED]
        assert hooks(two_spliced) == before
        done = two_spliced.loader("unload", *daemon.options("--timeout", "200ms", "--force"))
        assert "1 connections are spliced: each of their ends is reset" in done.stderr
    assert not two_spliced.exists(PINS)


def test_detach_waits_for_what_is_over_that_interface_alone(two_spliced):
    with FakeDaemon(two_spliced, lambda: demoted(two_spliced, 1)) as daemon:
        two_spliced.loader("detach", "va", *daemon.options("--timeout", "5m"))
        daemon.wait_resumed()
        assert daemon.asked == [*PAUSE, RESUMED]
    assert set(hooks(two_spliced)) == {"vb", "lo"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("verb", ["unload", "detach --all"])
def test_whatever_ends_it_the_daemon_goes_on(two_spliced, verb, number):
    before = status(two_spliced)
    with FakeDaemon(two_spliced) as daemon:
        loader = two_spliced.start(LOADER, *verb.split(), *daemon.options("--timeout", "1d"))
        env.until(lambda: daemon.asked == PAUSE, "what it asks for")
        loader.send_signal(number)
        assert loader.wait() == -number
        daemon.wait_resumed()
    assert status(two_spliced) == before


def test_a_daemon_that_goes_meanwhile_is_not_waited_for(two_spliced):
    before = status(two_spliced)
    with FakeDaemon(two_spliced, lambda: demoted(two_spliced, 1), stays=False) as daemon:
        said = two_spliced.refused("unload", *daemon.options("--timeout", "1d"))
        assert "1 connections are spliced still, and the daemon" in said and "has gone" in said
        assert hooks(two_spliced) == by_name(before["hooks"], "interface")
        done = two_spliced.loader("unload", *daemon.options("--timeout", "1d", "--force"))
        assert "1 connections are spliced: each of their ends is reset" in done.stderr
    assert not two_spliced.exists(PINS)


@pytest.mark.parametrize("verb", ["unload", "replace"])
def test_pins_that_cannot_be_removed(two_spliced, verb):
    """What is refused behind the demotion has the daemon go on, as well."""
    two_spliced.run("mkdir", f"{PINS}/of-another")
    two_spliced.run("mount", "--bind", PINS, f"{PINS}/of-another")
    set_abi(two_spliced, 77)
    with FakeDaemon(two_spliced, lambda: [demoted(two_spliced, i) for i in (1, 2)]) as daemon:
        assert PINS in two_spliced.refused(verb, *daemon.options())
        daemon.wait_resumed()


@pytest.mark.parametrize("daemon, why", [
    ({"refusal": "a reload"}, "busy: a reload"),
    ({"pins": None}, "works without the kernel's programs"),
    ({"pins": "/sys/fs/bpf/sluice-two"}, "works with /sys/fs/bpf/sluice-two: give --control"),
])
def test_a_daemon_that_does_not_demote(two_spliced, daemon, why):
    with FakeDaemon(two_spliced, **daemon) as one:
        said = two_spliced.refused("unload", *one.options())
    assert "2 connections are spliced, and cannot be demoted: " in said and why in said
    assert status(two_spliced)["spliced"] == 2


def test_without_a_daemon_nothing_can_be_demoted(two_spliced):
    nobody = "--demote", "--control", two_spliced.directory / "nobody.sock"
    assert "cannot reach the daemon at" in two_spliced.refused("unload", *nobody)
    for one in (1, 2):
        demoted(two_spliced, one)
    assert two_spliced.loader("unload", *nobody).stderr == ""


def test_replace_goes_on_with_maps_of_this_version_alone(two_spliced):
    set_abi(two_spliced, 77)
    before = status(two_spliced)
    said = two_spliced.refused("replace")
    assert "replace --demote" in said and "unload" in said and "restart" in said
    assert status(two_spliced) == before


@pytest.mark.parametrize("change", ["version", "map"])
def test_replace_that_demotes_loads_anew(two_spliced, kind, change):
    """Hooks, sizes and groups stay; maps and programs are others."""
    box = two_spliced
    box.loader("detach", "--force", "lo")
    box.loader("attach", "--hook", kind, "lo")
    before = status(box)
    if change == "version":
        set_abi(box, 77)
    else:
        for pin in ("names", "ro/names"):
            box.run("rm", f"{PINS}/{pin}")
            box.run("bpftool", "map", "create", f"{PINS}/{pin}", "type", "hash", "key", "8",
                    "value", "8", "entries", "16", "name", "names")

    def demote():
        for one in (1, 2):
            demoted(box, one)

    with FakeDaemon(box, demote) as daemon:
        done = box.loader("replace", *daemon.options())
    assert "loaded anew" in done.stdout and "restart" in done.stderr
    after = status(box)
    assert after["missing"] == "" and after["spliced"] == 0
    assert after["abi"] == before["abi"]
    same = "max_entries", "value_bytes", "access", "readonly_access"
    for name, row in by_name(after["maps"]).items():
        old = by_name(before["maps"])[name]
        assert row["id"] != old["id"]
        assert [row.get(key) for key in same] == [old.get(key) for key in same], name
    assert by_name(after["maps"])["flows4"]["entries"] == 0
    program = by_name(after["programs"])["sl_splice"]["id"]
    for name, row in hooks(box).items():
        old = by_name(before["hooks"], "interface")[name]
        assert (row["hook"], row["state"], row["program_id"]) == (old["hook"], "attached", program)
    assert set(hooked(box)) == set(hooks(box)) == {"va", "vb", "lo"}


def test_replace_that_demotes_but_need_not(two_spliced):
    before = status(two_spliced)
    with FakeDaemon(two_spliced) as daemon:
        assert "replaced" in two_spliced.loader("replace", *daemon.options()).stdout
        assert daemon.asked == []
    assert status(two_spliced)["maps"] == before["maps"]


def test_replace_knows_no_force(two_spliced):
    """What it recommends is there."""
    set_abi(two_spliced, 77)
    before = status(two_spliced)
    with FakeDaemon(two_spliced) as daemon:
        said = two_spliced.refused("replace", *daemon.options("--timeout", "100ms"))
        daemon.wait_resumed()
    assert "more --timeout, or unload --force has them reset" in said
    assert status(two_spliced) == before


def test_replace_that_cannot_demote_changes_nothing(two_spliced):
    set_abi(two_spliced, 77)
    before = status(two_spliced)
    with FakeDaemon(two_spliced, refusal="no") as daemon:
        assert "cannot be demoted" in two_spliced.refused("replace", *daemon.options())
    assert status(two_spliced) == before
