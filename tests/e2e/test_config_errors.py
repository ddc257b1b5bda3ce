# SPDX-License-Identifier: Apache-2.0
"""`sluiced -t`: one line that names file, line and culprit, for everything that can be wrong."""

import os
import re

import pytest

from lib import env
from lib.daemon import SANITIZER_ENV, assert_no_sanitizer_report
from lib.process import run

# Behind every text below, so that nothing else is missing.
LISTENER = 'listener last { listen = {"127.0.0.1:1234"} }\n'
CLUSTER = 'cluster back { endpoint a { address = "127.0.0.1:9000" } }\n'
ECHO = 'route echo { match { path = "/echo" } echo = true }\n'

# name: (text, line of the culprit, words that the message must have)
BROKEN = {
    # not the syntax
    "unclosed-section": ("worker {\n  count = 1\n", 1, ["worker"]),
    "unclosed-string": ('listener a { listen = {"127.0.0.1:1} }\n', 1, ["string"]),
    "unclosed-list": ('listener a { listen = {"127.0.0.1:1" }\n', 1, ["}"]),
    "stray-brace": (ECHO + "}\n", 2, []),
    "no-equals-sign": ("worker {\n  count 2\n}\n", 2, []),
    "no-title": ('listener { listen = {"127.0.0.1:1"} }\n', 1, []),
    "binary": ("\x01\x02\x03\n", 1, []),
    # names that do not exist
    "unknown-section": ("\n\nwroker { count = 1 }\n", 3, ["wroker"]),
    "unknown-key": ("worker {\n  cuont = 1\n}\n", 2, ["cuont"]),
    "unknown-key-in-route": ('route r {\n  match { path = "/" }\n  ecoh = true\n}\n', 3, ["ecoh"]),
    "key-of-another-section": ("worker {\n  max_frame = 1kb\n}\n", 2, ["max_frame"]),
    # values that do not exist
    "number-not-a-number": ("worker {\n  count = many\n}\n", 2, ["count", "many"]),
    "number-negative": ("worker {\n  count = -1\n}\n", 2, ["count", "-1"]),
    "number-too-large": ("worker {\n  count = 100000\n}\n", 2, ["count", "100000"]),
    "number-over-64-bits": (
        "limits {\n  max_connections = 99999999999999999999\n}\n",
        2,
        ["max_connections"],
    ),
    "duration-without-unit": ("drain {\n  drain_time = 5\n}\n", 2, ["drain_time", "5"]),
    "duration-with-odd-unit": ("drain {\n  drain_time = 5y\n}\n", 2, ["drain_time", "5y"]),
    "size-with-odd-unit": ("limits {\n  max_head_bytes = 5tb\n}\n", 2, ["max_head_bytes", "5tb"]),
    "size-of-zero": ("limits {\n  max_head_bytes = 0\n}\n", 2, ["max_head_bytes"]),
    "ports-not-a-range": ("kernel {\n  source_ports = 20000\n}\n", 2, ["source_ports", "20000"]),
    "ports-in-disorder": (
        'kernel {\n  source_ports = "30000-20000"\n}\n',
        2,
        ["source_ports", "FIRST-LAST, ports from 1024 to 65535"],
    ),
    "boolean-neither": (
        'route r {\n  match { path = "/" }\n  echo = perhaps\n}\n',
        3,
        ["echo", "perhaps"],
    ),
    "choice-unknown": (
        CLUSTER.replace("{ ", "{\n  balance = fairest\n  ", 1),
        2,
        ["balance", "fairest", "round_robin", "least_conn", "hash"],
    ),
    "log-level-unknown": ("log {\n  level = loud\n}\n", 2, ["level", "loud"]),
    # addresses
    "listen-without-port": ('listener a {\n  listen = {"127.0.0.1"}\n}\n', 2, ["127.0.0.1"]),
    "listen-port-too-high": (
        'listener a {\n  listen = {"127.0.0.1:65536"}\n}\n',
        2,
        ["127.0.0.1:65536"],
    ),
    "listen-on-a-name": ('listener a {\n  listen = {"localhost:80"}\n}\n', 2, ["localhost:80"]),
    "listen-second-of-list": (
        'listener a {\n  listen = {"127.0.0.1:80", "nonsense"}\n}\n',
        2,
        ["nonsense"],
    ),
    "listen-v6-without-brackets": ('listener a {\n  listen = {"::1:80"}\n}\n', 2, ["::1:80"]),
    "listen-nowhere": ("listener a {\n  listen = {}\n}\n", 2, ["listen"]),
    "unix-path-too-long": (
        'listener a {\n  listen = {"unix:/' + "x" * 200 + '"}\n}\n',
        2,
        ["unix:/xxx"],
    ),
    "endpoint-without-address": ("cluster c {\n  endpoint a { }\n}\n", 2, ["address"]),
    "endpoint-port-zero": (
        'cluster c {\n  endpoint a { address = "127.0.0.1:0" }\n}\n',
        2,
        ["127.0.0.1:0"],
    ),
    "cluster-without-endpoint": (
        "cluster c {\n  balance = least_conn\n}\n",
        1,
        ["endpoint", '"c"'],
    ),
    # what does not fit together
    "route-without-action": ('route r {\n  match { path = "/x" }\n}\n', 1, ['"r"', "action"]),
    "route-with-two-actions": (
        CLUSTER + 'route r {\n  match { path = "/" }\n  echo = true\n  proxy = back\n}\n',
        5,
        ['"r"', "proxy", "echo"],
    ),
    "route-to-nowhere": (
        CLUSTER + 'route r {\n  match { path = "/" }\n  proxy = bakc\n}\n',
        4,
        ["proxy", "bakc"],
    ),
    "path-without-slash": (
        'route r {\n  match { path = "x" }\n  echo = true\n}\n',
        2,
        ["path", "x"],
    ),
    "star-in-the-middle": ('route r {\n  match { path = "/a*b" }\n  echo = true\n}\n', 2, ["/a*b"]),
    "same-route-twice": (ECHO + ECHO, 2, ["echo"]),
    "same-cluster-twice": (CLUSTER + CLUSTER, 2, ["back"]),
    "same-endpoint-twice": (
        'cluster c {\n  endpoint a { address = "127.0.0.1:1" }\n'
        '  endpoint a { address = "127.0.0.1:2" }\n}\n',
        3,
        ["a"],
    ),
    "same-listener-twice": (
        'listener a { listen = {"127.0.0.1:1"} }\nlistener a { listen = {"127.0.0.1:2"} }\n',
        2,
        ["a"],
    ),
    "name-too-long": (
        "cluster " + "c" * 64 + ' { endpoint a { address = "127.0.0.1:1" } }\n',
        1,
        [],
    ),
    "respond-status-odd": (
        'route r {\n  match { path = "/" }\n  respond {\n    status = 99\n  }\n}\n',
        4,
        ["status", "99"],
    ),
}


def check_config(directory, text, *, name="sluice.conf", raw=False):
    """Runs `sluiced -t`. Returns (exit code, stdout, stderr, path)."""
    path = directory / name
    path.write_text(text)
    code, out, err = sluiced(directory, "-t", "-c", path)
    return code, out, err, path


def sluiced(directory, *argv):
    code, out, err = run(
        [env.BUILD / "sluiced", *argv], directory, "sluiced", environment=SANITIZER_ENV
    )
    assert_no_sanitizer_report(err)
    return code, out, err


@pytest.mark.parametrize("name", BROKEN)
def test_broken(directory, name):
    text, line, words = BROKEN[name]
    code, out, err, path = check_config(directory, text + LISTENER)
    assert code == 1 and out == ""
    assert err.count("\n") == 1, err
    named = re.match("sluiced: " + re.escape(str(path)) + r":(\d+): ", err)
    assert named, err
    assert int(named[1]) == line, err
    for word in words:
        assert word in err, err


def test_daemon_refuses_to_start_with_what_t_refuses(directory):
    path = directory / "sluice.conf"
    path.write_text("worker {\n  count = many\n}\n")
    code, _, err = sluiced(directory, "-c", path)
    assert code == 1 and f"{path}:2:" in err


GOOD = {
    "empty": "",
    "comments": "# one\n// two\n/* three */\n",
    "echo": ECHO,
    "everything": """
        worker { count = 2 }
        admin { control = "/run/sluice/control.sock" }
        log { level = debug  format = json  rate = 1000  access = "-" }
        limits {
          max_connections = 1000  max_head_bytes = 16kb  max_target_bytes = 8kb  max_headers = 100
          message_memory = 64mb  handshake_timeout = 10s  close_timeout = 5s
        }
        drain { drain_time = 10s  conn_evict_rate = 500  hard_stop_after = 1m }
        listener public { listen = {"0.0.0.0:8080", "[::]:8080", "unix:/run/s.sock"}  backlog = 99 }
        cluster game {
          balance = least_conn
          connect_timeout = 1s
          upgrade_timeout = 1500ms
          endpoint a { address = "10.0.0.5:9000" }
          endpoint b { address = "[fd00::6]:9000" }
          endpoint c { address = "unix:/run/c.sock" }
        }
        route game {
          match { host = "play.example"  path = "/game/*" }
          proxy = game
          tunnel_timeout = 1h
          max_frame = 1mb
          max_message = 16mb
        }
        route health {
          match { path = "/health" }
          respond { status = 200  content_type = "text/plain"  body = "ok" }
        }
        route echo { match { path = "/echo" } echo = true }
        """,
}


@pytest.mark.parametrize("name", GOOD)
def test_good(directory, name):
    code, out, err, path = check_config(directory, GOOD[name] + LISTENER)
    assert (code, err) == (0, "")
    assert "ok" in out and str(path) in out


def test_examples_are_valid(directory):
    paths = sorted((env.ROOT / "examples").glob("**/*.conf"))
    assert paths
    for path in paths:
        code, out, err = sluiced(directory, "-t", "-c", path)
        assert (code, err) == (0, "") and "ok" in out


def test_dumped_defaults_are_valid(directory):
    code, defaults, err = sluiced(directory, "--dump-defaults")
    assert (code, err) == (0, "")
    assert check_config(directory, defaults)[0] == 0
    for key in ("worker", "handshake_timeout", "tunnel_timeout", "balance", "max_connections"):
        assert re.search(rf"\b{key}\b", defaults)


@pytest.mark.parametrize("what", ["missing", "directory", "unreadable"])
def test_file_that_cannot_be_read(directory, what):
    path = directory / "nowhere.conf"
    if what == "directory":
        path.mkdir()
    elif what == "unreadable":
        if os.geteuid() == 0:
            # Root reads what nobody may: a dangling link stands in for it.
            path.symlink_to(directory / "gone")
        else:
            path.write_text(ECHO)
            path.chmod(0)
    code, out, err = sluiced(directory, "-t", "-c", path)
    assert code == 1 and out == "" and str(path) in err and err.count("\n") == 1


@pytest.mark.parametrize("argv", [["-x"], ["--no-such"], ["surplus"], ["-c"]], ids=" ".join)
def test_usage_is_2(directory, argv):
    code, out, err = sluiced(directory, *argv)
    assert code == 2 and out == "" and err


def test_embedded_configuration_is_valid(directory):
    code, out, err = sluiced(directory, "-t")
    assert (code, err) == (0, "") and "ok" in out
