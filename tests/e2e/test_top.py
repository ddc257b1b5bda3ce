# SPDX-License-Identifier: Apache-2.0
"""sluicectl top: as text for scripts, and live on a terminal."""

import json
import os
import re
import signal
import threading

import pytest

from lib import env, ws_raw
from lib.control import ControlError
from lib.daemon import ECHO_CONFIG, SANITIZER_ENV, proxy_config
from lib.endpoint import tunnel
from lib.process import Process, run
from lib.screen import Screen
from lib.terminal import Terminal

CONFIG = "worker { count = 2 }\n" + ECHO_CONFIG


class Talk:
    """Connections on which messages go to and fro until the end, from a thread of their own."""

    def __init__(self, daemon, n):
        self.streams = [ws_raw.connect(daemon.address()) for _ in range(n)]
        self.over = threading.Event()
        self.rounds = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.over.wait(0.01):
            for stream in self.streams:
                stream.send(ws_raw.frame(ws_raw.TEXT, "hello"))
                stream.expect_frame(ws_raw.TEXT, "hello")
            self.rounds += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        for stream in self.streams:
            stream.close()

    def until_rounds(self, n):
        until = self.rounds + n
        env.until(lambda: self.rounds >= until, f"{n} rounds of messages")


def once(daemon, *argv):
    code, out, err = daemon.sluicectl("top", "--once", "--delay", "2s", *argv)
    assert (code, err) == (0, "")
    return out.splitlines()


def once_json(daemon, *argv):
    return json.loads("\n".join(once(daemon, "-j", *argv)))


# ---- what the daemon says ------------------------------------------------------------------------


def test_rates_are_known_from_the_second_look_on(sluiced):
    daemon = sluiced(CONFIG)
    with Talk(daemon, 3) as talk:
        silent = ws_raw.connect(daemon.address())
        talk.until_rounds(5)
        top = once_json(daemon, "--limit", "2")
        assert top["by"] == "connection" and top["total"]["connections"] == 4
        assert len(top["rows"]) == 2 and top["paths"] == {"local": 4}
        for row in top["rows"]:
            assert row["frames_in_per_s"] > 0 and row["bytes_out_per_s"] > 0
        rows = once_json(daemon, "--sort=-messages")["rows"]
        # At the same time as the others, which are not.
        assert rows[0]["source"] == "%s:%d" % silent.sock.getsockname()
        assert rows[0]["frames_in_per_s"] == rows[0]["bytes_in_per_s"] == 0
        assert len(rows) == 4
        silent.close()


def test_sums_by_route_and_endpoint(sluiced, endpoint):
    daemon = sluiced(CONFIG + proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with Talk(daemon, 3) as talk, client:
        talk.until_rounds(5)
        top = once_json(daemon, "--by", "route")
        rows = {row["name"]: row for row in top["rows"]}
        assert list(rows) == ["echo", "all"]  # the busiest first
        assert rows["echo"]["connections"] == 3 and rows["echo"]["paths"] == {"local": 3}
        assert rows["all"]["connections"] == 1 and rows["all"]["paths"] == {"relay": 1}
        assert rows["echo"]["frames_in_per_s"] > 0 and rows["all"]["frames_in_per_s"] == 0
        for key in "connections", "bytes_in", "frames_in", "frames_out":
            assert sum(row[key] for row in top["rows"]) == top["total"][key]
        top = once_json(daemon, "--by", "endpoint", "--sort", "connections")
        assert [(row["name"], row["connections"]) for row in top["rows"]] == [
            ("", 3), ("back-all/e0", 1)]
        assert [row["name"] for row in once_json(daemon, "--by", "class")["rows"]] != []
        (row,) = once_json(daemon, "--by", "route", "--path", "relay")["rows"]
        assert row["name"] == "all"
        assert once_json(daemon, "--route", "all")["total"]["connections"] == 1
    server.close()


def test_text_has_the_same(sluiced):
    daemon = sluiced(CONFIG)
    with Talk(daemon, 3) as talk:
        talk.until_rounds(5)
        head, paths, traffic, workers, what, titles, *rows = once(daemon, "--limit", "2")
        assert head.startswith("sluiced ") and ", running, up " in head
        assert "local 3 (100.0%)" in paths and paths.endswith(" 0%")
        assert re.fullmatch(r"traffic   in \S+/s, \d+ messages/s; out \S+/s, \d+ messages/s",
                            traffic)
        assert re.match(r"workers   2, busy \d+% \(worker [01]: \d+%\), lag p99 \S+", workers)
        assert what == "2 connections of 3, by rate" and titles.startswith("CONN  ")
        assert len(rows) == 2
        *_, titles, row = once(daemon, "--by", "route")
        assert titles.split()[0] == "ROUTE" and row.split()[:2] == ["echo", "3"]


@pytest.mark.parametrize(
    "args",
    [{"by": "shoe-size"}, {"by": 1}, {"sort": "shoe-size"}, {"limit": 0}, {"limit": 501},
     {"tenants": "x"}],
    ids=lambda args: "-".join(map(str, args.values())),
)
def test_what_makes_no_sense_is_refused(sluiced, args):
    daemon = sluiced(CONFIG)
    with pytest.raises(ControlError) as error:
        daemon.ctl("top", **args)
    assert error.value.code == "bad_argument"


@pytest.mark.parametrize(
    "argv",
    [["top", "--by", "x"], ["top", "--delay", "100ms"], ["top", "--delay", "11s"],
     ["top", "--sort", "x"], ["top", "--by", "route", "--sort", "idle"], ["top", "--limit", "501"],
     ["top", "--sort", "connections"], ["status", "--once"], ["show", "routes", "--by", "route"],
     ["top", "x"], ["top", "--offline"], ["top", "--long"], ["top"]],
    ids=" ".join,
)
def test_wrong_usage(sluiced, argv):
    """The last one: standard output is not a terminal."""
    code, out, err = sluiced(CONFIG).sluicectl(*argv)
    assert code == 2 and out == "" and err.startswith("sluicectl: ")


def test_spliced_ones_are_counted_by_the_kernel(splice_network):
    network = splice_network()
    client = network.client("-c", 3, "-d", 600, "-s", 100, "-m", "rate", "-r", 300)
    network.wait_spliced(3)
    first = network.ctl("top", "--once")
    assert first["paths"] == {"splice": 3} == first["total"]["paths"]
    for row in first["rows"]:
        assert row["bytes_in_per_s"] > 0 and row["bytes_out_per_s"] > 0
        assert row["endpoint_address"].endswith(":9000") and row["client_rtt_us"] is None
    second = {row["conn"]: row for row in network.ctl("top", "--once")["rows"]}
    for row in first["rows"]:
        assert second[row["conn"]]["bytes_in"] > row["bytes_in"]
    (row,) = network.ctl("top", "--once", "--by", "endpoint")["rows"]
    assert (row["name"], row["connections"], row["paths"]) == ("c/e0", 3, {"splice": 3})
    client.kill()


@pytest.mark.skipif(env.SANITIZED, reason="what was freed is kept")
def test_asking_again_and_again_costs_no_memory(sluiced):
    daemon = sluiced(CONFIG)
    held = [ws_raw.connect(daemon.address()) for _ in range(env.scale(200))]
    with daemon.control() as control:
        for _ in range(20):
            control.call("top", by="route")
        before = daemon.rss_kb()
        for i in range(300):
            control.call("top", by=("connection", "route", "endpoint")[i % 3], limit=500)
        assert daemon.rss_kb() - before < 4 << 10
    for stream in held:
        stream.close()


# ---- on a terminal -------------------------------------------------------------------------------


def live(daemon, *argv, columns=100, rows=20, **environment):
    return Terminal(
        [env.BUILD / "sluicectl", "-s", daemon.control_path, "top", "--delay", "500ms", *argv],
        columns, rows, {**SANITIZER_ENV, **environment}, has_screen=True)


def end(terminal, how=b"q"):
    """Returns what is on standard error."""
    if isinstance(how, bytes):
        terminal.type(how)
    else:
        terminal.process.send_signal(how)
    code, err = terminal.wait()
    assert code == 0 and terminal.is_restored(), err
    return err


def row_with(word):
    return lambda rows: next((row for row in rows if row.startswith(word)), None)


def test_it_is_live(sluiced):
    daemon = sluiced(CONFIG)

    def has_rates(rows):
        """Of all three: what is in the last columns of 100 places."""
        return len([row for row in rows if re.search(r" echo .* [1-9][0-9.]*k? ", row)]) == 3

    with Talk(daemon, 3) as talk, live(daemon) as terminal:
        terminal.until_shown("3 connections of 3, by rate")
        terminal.until_shown(has_rates)
        (title, keys) = terminal.screen.reversed_rows()
        assert title.startswith("CONN ") and "q quit" in keys
        age = re.search(r"up (\S+),", terminal.screen.rows()[0])[1]
        terminal.until_shown(lambda rows: f"up {age}," not in rows[0])
        more = ws_raw.connect(daemon.address())
        terminal.until_shown("4 connections of 4, by rate")
        more.close()
        terminal.until_shown("3 connections of 3, by rate")
        talk.until_rounds(2)
        assert end(terminal) == ""


def test_keys(sluiced, endpoint):
    daemon = sluiced(CONFIG + proxy_config(endpoint.address))
    client, server = tunnel(daemon, endpoint)
    with client, live(daemon) as terminal:
        terminal.until_shown("1 connections of 1, by rate")
        terminal.type(b"r")
        terminal.until_shown("1 routes of 1 connections, by rate")
        assert row_with("all ")(terminal.screen.rows())
        terminal.type(b"e")
        terminal.until_shown("1 endpoints of 1 connections")
        assert row_with("back-all/e0 ")(terminal.screen.rows())
        terminal.type(b"k")
        terminal.until_shown("1 classes of 1 connections")
        terminal.type(b"s")
        terminal.until_shown(", by messages")
        terminal.type(b"SS")
        terminal.until_shown(", by frames")
        terminal.type(b"R")
        terminal.until_shown(", by frames, the smallest first")
        terminal.type(b"c")
        terminal.until_shown("1 connections of 1, by frames, the smallest first")
        terminal.type(b"-")
        terminal.until_shown("1.0 s | q quit")
        terminal.type(b"++++")
        terminal.until_shown("0.5 s | q quit")
        terminal.type(b"p")
        terminal.until_shown("paused")
        terminal.type(b"\x1b[A\x1b[5~\t\x07zZ?")  # means nothing
        terminal.type(b"p")
        terminal.until_shown("0.5 s | q quit")
        end(terminal)
    server.close()


def test_what_was_written_for_another_size_is_not_the_programs_fault():
    screen = Screen(160, 45)
    screen.feed(b"\x1b[H\x1b[Jfirst")
    screen.resize(30, 9)
    screen.feed(b"\x1b[44;150Hlate\r\nand below\x1b[40B")
    screen.feed(b"\x1b[H\x1b[Jsecond")
    assert screen.rows() == ["second"] + [""] * 8
    for beyond in b"\x1b[10;1H", b"\x1b[1;31H", b"\x1b[9B", b"\n" * 9:
        with pytest.raises(AssertionError):
            screen.feed(beyond)


def test_it_follows_the_size_of_the_terminal(sluiced):
    daemon = sluiced(CONFIG)
    held = [ws_raw.connect(daemon.address()) for _ in range(30)]
    with live(daemon, columns=100, rows=20) as terminal:
        for columns, rows in (100, 20), (60, 12), (160, 45), (30, 9), (20, 3), (1, 1), (100, 20):
            if columns != terminal.screen.columns:
                terminal.resize(columns, rows)
            # What is above and below the rows of the table takes seven lines.
            if rows > 8:
                shown = min(rows - 7, 30)
                terminal.until_shown(f"{shown} connections of 30"[:columns])
                terminal.until_shown(
                    lambda lines, n=shown: len([x for x in lines if "  127.0" in x]) == n)
        end(terminal)
    for stream in held:
        stream.close()


@pytest.mark.parametrize("how", [b"q", b"\x03", signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
                         ids=["q", "^C", "SIGTERM", "SIGINT", "SIGHUP"])
def test_the_terminal_is_given_back(sluiced, how):
    with live(sluiced(CONFIG), TERM="xterm") as terminal:
        terminal.screen = None  # which knows another one
        env.until(lambda: (terminal.read(0.05), b"by rate" in terminal.written)[1], "a screen")
        assert not terminal.is_restored()
        assert end(terminal, how) == ""
        assert terminal.written.count(b"\x1b[?1049h") == 1  # to the other screen, and back
        assert terminal.written.rstrip().endswith(b"\x1b[?1l\x1b>")
        assert b"\x1b[?1049l" in terminal.written


def test_a_daemon_that_goes_and_comes_again(sluiced):
    daemon = sluiced(CONFIG)
    with live(daemon) as terminal:
        terminal.until_shown("0 connections of 0")
        daemon.stop()
        terminal.until_shown("trying again: cannot reach the daemon")
        again = Process([env.BUILD / "sluiced", "-c", daemon.config_path], daemon.dir, "again",
                        environment=SANITIZER_ENV)
        try:
            terminal.until_shown("q quit")
            end(terminal)
        finally:
            assert again.stop(signal.SIGTERM) == 0


def test_without_a_daemon(directory):
    nowhere = directory / "nobody.sock"
    argv = [env.BUILD / "sluicectl", "-s", nowhere, "top"]
    with Terminal(argv, environment=SANITIZER_ENV) as terminal:
        code, err = terminal.wait()
        assert code == 3 and str(nowhere) in err
        assert terminal.written == b"" and terminal.is_restored()
    code, out, err = run([*argv, "--once"], directory, environment=SANITIZER_ENV)
    assert code == 3 and out == "" and str(nowhere) in err


def test_a_terminal_that_nobody_knows(sluiced):
    with live(sluiced(CONFIG), TERM="no-such-terminal") as terminal:
        code, err = terminal.wait()
        assert code == 2 and "no-such-terminal" in err and terminal.is_restored()


def test_ascii_where_there_is_no_utf8(sluiced):
    daemon = sluiced(CONFIG)
    with ws_raw.connect(daemon.address()):
        for locale, is_ascii in ("C", True), ("C.UTF-8", False):
            with live(daemon, columns=120, LC_ALL=locale) as terminal:
                terminal.until_shown("in the kernel [")
                assert all(byte < 0x80 for byte in terminal.written) == is_ascii
                end(terminal)


def test_a_daemon_that_does_not_answer(sluiced):
    """Keys work all the same."""
    daemon = sluiced(CONFIG)
    with live(daemon) as terminal:
        terminal.until_shown("0 connections of 0")
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            terminal.until_shown("no answer from the daemon for")
            end(terminal)
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
