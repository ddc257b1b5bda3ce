# SPDX-License-Identifier: Apache-2.0
"""Random messages of 0 to 1 MiB come back byte for byte, through the proxy and from /echo."""

import pytest

from lib import bench, env
from lib.daemon import ECHO_CONFIG, proxy_config

COUNT = env.scale(10_000, sanitized=10)
# Each form of the length field, and everything up to 1 MiB.
MIX = "0-125:20,126-65535:55,65536-256k:20,0-1m:5"

SHAPES = {
    "binary": ["--binary"],
    "text": ["--text"],
    "fragments": ["--fragment", "7"],
    "text-fragments": ["--text", "--fragment", "3"],
}


def expect_frames(daemon, messages, fragments):
    """The gateway counted what the clients sent, and a Close from each connection."""
    rows = daemon.access_log(4)
    assert len(rows) == 4
    assert sum(row["frames_in"] for row in rows) == messages * fragments + 4
    assert {(row["reason"], row["close_code"]) for row in rows} == {("close_frame", 1000)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("through", ["proxy", "echo"])
def test_byte_exact(sluiced, directory, shape, through):
    options = SHAPES[shape]
    # Uniform sizes once, which is 5 GB each way; fewer and smaller messages in the other shapes.
    is_large = (shape, through) == ("binary", "proxy")
    count = COUNT if is_large else max(40, COUNT // 10)
    sizes = ["--size", "0-1m"] if is_large else ["--mix", MIX]
    load = ["-c", "4", "-n", str(count), *sizes, "--verify", *options]
    with bench.BenchServer(directory) as server:
        daemon = sluiced(ECHO_CONFIG + proxy_config(server.address))
        result = bench.clean_client(
            directory, daemon.url("/echo" if through == "echo" else "/x"), *load
        )
    assert result["messages"] == count
    fragments = int(options[-1]) if "--fragment" in options else 1
    if fragments == 1:
        expect_frames(daemon, count, fragments)


@pytest.mark.parametrize("through", ["proxy", "echo"])
def test_pipelined(sluiced, directory, through):
    """Many small messages under way at once, in both directions."""
    count = env.scale(100_000, sanitized=10)
    with bench.BenchServer(directory) as server:
        daemon = sluiced(ECHO_CONFIG + proxy_config(server.address))
        result = bench.clean_client(
            directory,
            daemon.url("/echo" if through == "echo" else "/x"),
            *["-c", "4", "--mode", "pipeline", "--depth", "256", "-n", str(count)],
            *["--size", "0-600", "--verify"],
        )
    assert result["messages"] == count
    expect_frames(daemon, count, 1)
