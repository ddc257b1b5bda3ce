# SPDX-License-Identifier: Apache-2.0
"""tools/bench/compare runs and says what it promises to; what it measures here means nothing."""

import json
import os
import shutil
import subprocess

import pytest

from lib import box as boxes
from lib import env

COMPARE = env.ROOT / "tools/bench/compare"
PEERS = {"loopback": ["direct", "nginx", "haproxy", "sluice-relay"],
         "netns": ["direct", "routing", "nginx", "haproxy", "sluice-relay", "sluice-splice"]}

pytestmark = [
    pytest.mark.skipif(env.SANITIZED, reason="slower, and no other in what it runs"),
    pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("haproxy")),
                       reason="needs nginx and haproxy")]


def compare(topology, out, *options):
    return subprocess.run(
        [COMPARE, "--topology", topology, "--build", env.BUILD, "--points", "4x64,2x2000",
         "--pairs", "1", "--seconds", "0.2", "--idle", "20", "--out", out, *options],
        capture_output=True, text=True, timeout=18 * env.PATIENCE_S, check=False)


def leftovers(directory):
    """Command lines with @directory: of what was started from there."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(directory) in word for word in words):
            found.append(words)
    return found


@pytest.fixture(name="run", scope="module", params=sorted(PEERS))
def run_fixture(request, tmp_path_factory):
    """(topology, result, what was printed)"""
    if request.param == "netns" and boxes.missing():
        pytest.skip(boxes.missing())
    out = tmp_path_factory.mktemp("compare") / "out" / "compare.json"
    done = compare(request.param, out)
    assert done.returncode == 0, done.stderr
    assert out.with_suffix(".png").exists() or "no chart" in done.stdout
    return request.param, json.loads(out.read_text()), done.stdout


def test_every_peer_has_a_row_at_every_point(run):
    topology, result, printed = run
    assert result["meta"]["topology"] == topology and result["meta"]["pairs"] == 1
    assert [(row["connections"], row["size"], row["peer"]) for row in result["rows"]] == \
        [(*point, peer) for point in ((4, 64), (2, 2000)) for peer in PEERS[topology]]
    for row in result["rows"]:
        assert row["msgs_per_s"] > 0 and 0 < row["p50_us"] <= row["p99_us"]
        assert len(row["cpu_vs_nginx_ci"]) == 2
        assert ("cpu_vs_routing" in row) == (topology == "netns" and row["peer"] != "direct")
    assert "geometric means" in printed


def test_the_measured_connections_are_spliced_and_targets_are_judged(run):
    topology, result, printed = run
    if topology == "loopback":
        assert "targets" not in result and "splice" not in result
        assert "factor of" not in printed
        return
    for row in result["rows"]:
        if row["peer"] == "sluice-splice":
            # Each way is a packet at least, so the hook ran for every message.
            assert row["program_runs_per_msg"] >= 1.5
            assert row["program_cpu_s_per_1m"] > 0
    assert result["splice"]["descriptors_per_connection"] == 0
    assert 0 < result["splice"]["map_bytes_per_connection"] <= 512
    verdicts = {verdict["target"]: verdict for verdict in result["targets"]}
    assert verdicts["descriptors of a spliced connection"]["met"]
    assert "gateway CPU vs routing, above" in verdicts
    assert "each of these may miss it by a factor of 1.15" in printed
    assert ("missed" in printed) == any(not verdict["met"] for verdict in verdicts.values())


@pytest.mark.skipif(boxes.missing() is not None, reason=str(boxes.missing()))
def test_a_failure_says_why_and_leaves_nothing(tmp_path):
    build = tmp_path / "build"
    build.mkdir()
    for name in ("sluiced", "sluice-bench", "sluicectl"):
        (build / name).symlink_to(env.BUILD / name)
    # In place of the loader, when all proxies are running already.
    loader = build / "sluice-loader"
    loader.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    loader.chmod(0o755)
    done = compare("netns", tmp_path / "out.json", "--build", build)
    assert done.returncode == 1
    assert done.stderr.startswith("compare: ") and "no such luck" in done.stderr
    assert not (tmp_path / "out.json").exists()
    assert not leftovers(tmp_path)
