# SPDX-License-Identifier: Apache-2.0
"""What bash offers behind each word of our commands."""

import os
import subprocess

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, SANITIZER_ENV, proxy_config

SCRIPTS = env.ROOT / "packaging/bash-completion"

# As readline would call it: the words so far, the last one being completed.
DRIVER = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
"$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\) .*/\\1/')"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(command, *words):
    done = subprocess.run(
        ["bash", "--norc", "-c", DRIVER, "bash", SCRIPTS / command, command, *words],
        env={**os.environ, **SANITIZER_ENV, "PATH": f"{env.BUILD}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=env.PATIENCE_S,
        check=False,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_verbs_are_those_of_help():
    assert {"status", "show", "set", "drain", "close", "events"} <= complete("sluicectl", "")
    assert complete("sluicectl", "sh") == {"show"}
    assert {"connections", "routes", "listeners"} <= complete("sluicectl", "show", "")
    assert complete("sluicectl", "show", "co") == {"connections"}
    assert complete("sluicectl", "rel") == {"reload"}
    assert complete("sluicectl", "-j", "show", "of") == {"offload"}
    assert complete("sluicectl", "nonsense", "") == set()


def test_options_belong_to_their_verb():
    assert "--help" in complete("sluicectl", "-")
    assert "--idle" in complete("sluicectl", "show", "connections", "--")
    assert "--code" not in complete("sluicectl", "show", "connections", "--")
    assert {"--code", "--route"} <= complete("sluicectl", "close", "--")
    assert complete("sluicectl", "drain", "--no") == {"--no-wait"}
    assert complete("sluicectl", "events", "--l") == {"--last"}
    assert complete("sluicectl", "top", "--by", "c") == {"connection", "class"}
    assert {"rate", "idle"} <= complete("sluicectl", "top", "--by", "route", "--sort", "")
    assert "--once" not in complete("sluicectl", "show", "connections", "--")


@pytest.mark.parametrize("verb", ["show connections", "top", "close", "demote", "drain", "undrain",
                                  "events"])
def test_every_option_is_one(verb):
    """sluicectl does not know an option that is offered only if it says so (exit 2)."""
    for option in complete("sluicectl", *verb.split(), "--") - {"--socket", "--json"}:
        done = subprocess.run(
            [env.BUILD / "sluicectl", option, "--version"],
            capture_output=True, text=True, timeout=env.PATIENCE_S, check=False,
        )
        assert "unrecognized option" not in done.stderr, option


def test_names_are_asked_from_the_daemon(sluiced):
    daemon = sluiced(ECHO_CONFIG + proxy_config("127.0.0.1:9", "127.0.0.1:10", name="x"))
    with ws_raw.connect(daemon.address()):
        ctl = "sluicectl", "-s", str(daemon.control_path)
        assert complete(*ctl, "show", "connections", "--route", "") == {"echo", "x"}
        assert complete(*ctl, "show", "connections", "--route", "=", "e") == {"echo"}
        assert complete(*ctl, "show", "connections", "--route", "=") == {"echo", "x"}
        assert complete(*ctl, "drain", "--cluster", "") == {"back-x"}
        assert complete(*ctl, "drain", "--cluster", "back-x", "--endpoint", "") == {"e0", "e1"}
        assert complete(*ctl, "close", "--listener", "p") == {"public"}
        assert complete(*ctl, "set", "endpoint", "b") == {"back-x/e0", "back-x/e1"}
        assert complete(*ctl, "set", "endpoint", "back-x/e0", "") == {"state", "weight"}
        states = {"ready", "drain", "maint"}
        assert complete(*ctl, "set", "endpoint", "back-x/e0", "state", "") == states
        assert "10" in complete(*ctl, "set", "endpoint", "back-x/e0", "weight", "")
        (conn,) = [row["conn"] for row in daemon.connections()]
        assert complete(*ctl, "close", "") == {conn}


def test_without_a_daemon_there_are_no_names(directory):
    nowhere = str(directory / "nowhere.sock")
    assert complete("sluicectl", "-s", nowhere, "drain", "--cluster", "") == set()
    assert "status" in complete("sluicectl", "-s", nowhere, "")


def test_sluiced():
    assert {"-c", "-t", "--dump-defaults"} <= complete("sluiced", "-")
    (env.ROOT / "examples").resolve(strict=True)
    found = complete("sluiced", "-c", f"{env.ROOT}/examples/")
    assert f"{env.ROOT}/examples/echo.conf" in found


def test_sluice_bench():
    assert {"client", "server"} <= complete("sluice-bench", "")
    assert {"--connections", "--verify", "--size"} <= complete("sluice-bench", "client", "-")
    assert "--listen" in complete("sluice-bench", "server", "--l")
    assert complete("sluice-bench", "client", "--mode", "pi") >= {"pipeline"}


def test_sluice_loader():
    verbs = {"check", "load", "attach", "detach", "status", "replace", "unload"}
    assert complete("sluice-loader", "") == verbs
    assert complete("sluice-loader", "-j", "st") == {"status"}
    assert "lo" in complete("sluice-loader", "attach", "")
    assert complete("sluice-loader", "attach", "--hook", "t") == {"tcx"}
    assert "--flows" in complete("sluice-loader", "load", "--")
    assert "--flows" not in complete("sluice-loader", "status", "--")
    assert complete("sluice-loader", "status", "") == set()


@pytest.mark.parametrize("verb", ["check", "load", "attach", "detach", "status", "replace",
                                  "unload"])
def test_every_option_belongs_to_its_verb(verb):
    """Nothing is done, for there is no such namespace; that is looked at behind the options."""
    values = {"--netns": "/", "--instance": "x", "--group": "0", "--operator-group": "0",
              "--flows": "64", "--events": "4096", "--hook": "xdp", "--timeout": "1s",
              "--control": "/nonexistent", "--source-ports": "16384-32767"}
    options = complete("sluice-loader", verb, "--") - {"--help", "--version"}
    assert {"--json", "--netns"} <= options
    for option in options:
        words = [verb, option, *([values[option]] if option in values else [])]
        if verb in ("attach", "detach") and option != "--all":
            words.append("lo")
        done = subprocess.run(
            [env.BUILD / "sluice-loader", *words, "--netns", "/nonexistent/namespace"],
            capture_output=True, text=True, timeout=env.PATIENCE_S, check=False,
        )
        assert done.returncode == 1, (option, done.stderr)
