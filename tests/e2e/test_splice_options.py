# SPDX-License-Identifier: Apache-2.0
"""Packet splice: TCP options that the two legs have negotiated apart from each other."""

import itertools

import pytest

from lib import env
from lib.splice_network import RENO, result_of

# What an option is switched by, and where: each far end has its own, the gateway has both legs'.
SWITCHES = {
    "timestamps": "net.ipv4.tcp_timestamps",
    "sack": "net.ipv4.tcp_sack",
    "window scale": "net.ipv4.tcp_window_scaling",
}
FAR = {"client": "c", "endpoint": "b"}


def off(option, legs):
    return [(FAR[leg], SWITCHES[option], 0) for leg in legs]


def ecn(client, endpoint):
    """It is asked for by whoever connects: the client, and the gateway; a far end may refuse."""
    # RFC 3168 s6.1.1.1 lets a SYN that is sent again ask for it no more; here, each of them does.
    steady = [(where, "net.ipv4.tcp_ecn_fallback", 0) for where in ("c", "", "b")]
    return [*steady, ("c", "net.ipv4.tcp_ecn", int(client)), ("", "net.ipv4.tcp_ecn", 1),
            ("b", "net.ipv4.tcp_ecn", 2 * int(endpoint))]


# As ss has them from TCP_INFO (tcpi_options): what was negotiated.
WORDS = {"timestamps": "ts", "sack": "sack", "window scale": "wscale"}


def claimed(sysctls, leg):
    """The options of a leg by what is switched at its far end, and for ECN at the gateway."""
    far = {name: value for where, name, value in sysctls if where == FAR[leg]}
    options = {word for option, word in WORDS.items() if far.get(SWITCHES[option], 1)}
    return options | ({"ecn"} if far.get("net.ipv4.tcp_ecn") else set())


def negotiated(network, leg):
    """The options of each connection at the far end of a leg."""
    lines = network.inside(FAR[leg], "ss", "-HtioO", "state", "established").stdout.splitlines()
    words = ({word.partition(":")[0] for word in line.split()} for line in lines)
    return [each & {*WORDS.values(), "ecn"} for each in words]


LEGS = [("client",), ("endpoint",), ("client", "endpoint")]
CASES = [(f"no {option} {'+'.join(legs)}", off(option, legs),
          "options" if option == "timestamps" and len(legs) == 1 else "none")
         for option, legs in itertools.product(SWITCHES, LEGS)]
CASES += [(f"ecn client={c:d} endpoint={e:d}", ecn(c, e), "none")
          for c, e in itertools.product((False, True), repeat=2)]
CASES += [("nothing at all", [one for option in SWITCHES for one in off(option, LEGS[2])], "none"),
          ("no sack client, no window scale endpoint",
           off("sack", LEGS[0]) + off("window scale", LEGS[1]), "none"),
          ("small window endpoint", [("b", "net.ipv4.tcp_rmem", "4096 8192 16384")], "none")]

if not env.FULL:  # of each kind one
    CASES = [case for case in CASES if case[0] in (
        "no timestamps client", "no timestamps client+endpoint", "no sack endpoint",
        "no window scale client", "ecn client=1 endpoint=0", "ecn client=1 endpoint=1",
        "small window endpoint")]


@pytest.mark.parametrize("version", [4, 6] if env.FULL else [4])
@pytest.mark.parametrize("sysctls, reason", [case[1:] for case in CASES],
                         ids=[case[0].replace(" ", "-") for case in CASES])
def test_options_of_one_leg(splice_network, version, sysctls, reason):
    """Spliced and exact to the byte, over a network that loses some, or on the relay, and why."""
    network = splice_network(version, sysctls=[*RENO, *sysctls])
    network.impair(drop=0.5, delay=1)
    n = 6
    client = network.client("-c", n, "-m", "pipeline", "--depth", 4, "-n",
                            env.scale_full(200, 2000), "-s", "64-200k", "--verify",
                            "--hold-after-open", "3", "--timeout", "60")
    path = "splice" if reason == "none" else "relay"
    env.until(lambda: network.paths() == [(path, reason)] * n, f"{n} connections: {path}")
    for leg in FAR:
        assert negotiated(network, leg) == [claimed(sysctls, leg)] * n, leg
    result_of(client, 6 * env.PATIENCE_S)
    network.wait_none(6 * env.PATIENCE_S)
    assert {row["path"] for row in network.lines(n)} == {path}
