# SPDX-License-Identifier: Apache-2.0
"""Judging what came back from a guest, and the table over several."""

import argparse
import json
from pathlib import Path

import pytest
import suite
from errors import Failure

ROOT = Path(__file__).resolve().parents[2]
DENYLIST = [("e2e/test_browser.py:*", "*", "no browser"), ("f.py:test_tcx", "6.1.*", "too old")]


def program(name, passed=1, failures=(), skips=()):
    return {
        "program": name,
        "passed": passed,
        "failures": [[test, "broken"] for test in failures],
        "skips": [[test, "not here"] for test in skips],
    }


def outcome(*programs, release="6.18.1-x", status=0):
    result = {"kernel": "k", "release": release, "status": status, "programs": list(programs)}
    suite.judge(result, DENYLIST)
    return result


def test_all_is_well():
    result = outcome(program("a", 3), program("b", 2))
    assert (result["passed"], result["skips"], result["failures"]) == (5, [], [])


def test_a_skip_is_a_failure():
    result = outcome(program("a", skips=["a:test_x"]))
    assert [test for test, _ in result["failures"]] == ["a:test_x"]
    assert result["skips"] == []
    assert "not in vmtest/denylist: not here" in result["failures"][0][1]


@pytest.mark.parametrize(
    "release, test, allowed",
    [
        ("6.1.0-x", "f.py:test_tcx", True),
        ("6.12.1-x", "f.py:test_tcx", False),
        ("6.1.0-x", "f.py:test_tcx_too", False),
        ("7.0.0-x", "e2e/test_browser.py:test_any", True),
        ("7.0.0-x", "e2e/test_browser2.py:test_any", False),
    ],
)
def test_the_denylist_allows_a_skip_where_it_says_so(release, test, allowed):
    result = outcome(program("f.py", skips=[test]), release=release)
    assert (result["failures"] == []) == allowed
    assert (result["skips"] == [(test, "not here")]) == allowed


def test_the_denylist_allows_no_failure():
    assert outcome(program("a", failures=["e2e/test_browser.py:x"]), status=1)["failures"]


def test_a_status_that_no_test_explains_is_a_failure():
    assert outcome(program("a"), status=1)["failures"] == [("vmtest/run", "exit status 1")]
    lost = outcome(release=None, status=124)
    assert ("vmtest/run", "exit status 124") in lost["failures"]
    assert ("vmtest/run", "no results came back") in lost["failures"]
    assert outcome(status=0)["failures"] == [("vmtest/run", "no results came back")]


def test_table_tells_apart_what_differs():
    old = outcome(program("same", 2), program("f.py", 1, skips=["f.py:test_tcx"]), release="6.1.0-x")
    broken = program("f.py", 1, failures=["f.py:test_y"])
    new = outcome(program("same", 2), broken, program("more"))
    assert suite.table([old, new]) == [
        "| test       | 6.1.0-x         | 6.18.1-x       |",
        "|------------|-----------------|----------------|",
        "| same       | 2 ok            | 2 ok           |",
        "| f.py       | 1 ok, 1 skipped | 1 ok, 1 FAILED |",
        "| - test_tcx | -               | yes            |",
        "| - test_y   | yes             | FAILED         |",
        "| more       | did not run     | 1 ok           |",
    ]


def test_denylist_entries_have_reasons(tmp_path, monkeypatch):
    path = tmp_path / "denylist"
    monkeypatch.setattr(suite, "DENYLIST", str(path))
    path.write_text("# comment\n\na.py:test_x 6.1.* too old, and # more\n")
    assert suite.read_denylist() == [("a.py:test_x", "6.1.*", "too old, and")]
    path.write_text("a.py:test_x 6.1.*\n")
    with pytest.raises(Failure, match="denylist:1: wants TEST KERNEL REASON"):
        suite.read_denylist()


def test_the_denylist_of_the_tree_is_readable():
    assert suite.read_denylist()


def test_host_only_names_are_those_of_programs():
    """Nothing is left out by a name that has become another's, or nobody's."""
    for pattern, _ in suite.read_host_only():
        source = pattern.removeprefix("build/") + ("" if pattern.endswith(".py") else ".c")
        assert list(ROOT.glob(source)), pattern


def test_what_is_host_only_is_left_out(tmp_path, monkeypatch):
    path = tmp_path / "host-only"
    path.write_text("# comment\nbuild/proto/* pure\ne2e/test_a.py texts and tables\n")
    monkeypatch.setattr(suite, "HOST_ONLY", str(path))
    programs = ["e2e/test_a.py", "e2e/test_ab.py", "build/proto/test_x", "build/base/test_x"]
    assert suite.without_host_only(programs) == ["e2e/test_ab.py", "build/base/test_x"]
    path.write_text("e2e/test_a.py\n")
    with pytest.raises(Failure, match="host-only:1: wants PROGRAM REASON"):
        suite.read_host_only()


@pytest.fixture
def harness(tmp_path, monkeypatch):
    """A vmtest/run that is the given script; $OUT is where results go."""

    def harness(script):
        run = tmp_path / "run"
        run.write_text('#!/bin/sh\nwhile [ "$1" != --out ]; do shift; done\nOUT=$2\n' + script)
        run.chmod(0o755)
        monkeypatch.setattr(suite, "VMTEST", str(tmp_path))
        return suite.run("6.18", ["a.py"], argparse.Namespace(seconds=5))

    return harness


def test_results_come_back(harness):
    results = json.dumps({"programs": [program("a.py", 4)]})
    result = harness(f"echo 6.18.9-x >$OUT/release; echo '{results}' >$OUT/results.json\n")
    assert (result["release"], result["passed"], result["failures"]) == ("6.18.9-x", 4, [])


def test_a_machine_that_dies_has_failed(harness):
    result = harness("exit 125\n")
    assert result["release"] is None
    assert ("vmtest/run", "exit status 125") in result["failures"]
