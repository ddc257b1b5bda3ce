# SPDX-License-Identifier: Apache-2.0
"""Running tests in the guest, and judging what came of them."""

import fnmatch
import json
import os
import subprocess
import tempfile
import time

from errors import Failure
from process import dependent_child

HERE = os.path.dirname(os.path.abspath(__file__))
VMTEST = os.path.dirname(HERE)
DENYLIST = os.path.join(VMTEST, "denylist")
HOST_ONLY = os.path.join(VMTEST, "host-only")
PROGRAM_SECONDS = 1200  # for each test program; the machine's own limit is for all
# One program more than there are CPUs: now and then one waits for a time to be over.
IN_GUEST = """uname -r >"$VMTEST_OUT/release"
exec tools/run-tests --json "$VMTEST_OUT/results.json" --jobs "$(($(nproc) + 1))" "$@"
"""


def read_denylist():
    """[(test pattern, kernel pattern, reason), ...]; every entry has a reason."""
    return _read_table(DENYLIST, "TEST KERNEL REASON")


def without_host_only(programs):
    """Those of `programs` that depend on the kernel, see vmtest/host-only."""
    patterns = [pattern for pattern, _ in read_host_only()]
    return [p for p in programs if not any(fnmatch.fnmatchcase(p, pattern) for pattern in patterns)]


def read_host_only():
    """[(pattern of a program, reason), ...]"""
    return _read_table(HOST_ONLY, "PROGRAM REASON")


def _read_table(path, columns):
    """Rows of words, of which the last column has the rest of the line."""
    count = len(columns.split())
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.partition("#")[0].split(None, count - 1)
            if words and len(words) < count:
                raise Failure(f"{path}:{number}: wants {columns}")
            if words:
                rows.append((*words[:-1], words[-1].strip()))
    return rows


def run(kernel, tests, options):
    """Run `tests` (paths in the tree) on the kernel named `kernel`; the outcome as a dictionary."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vmtest-") as folder:
        command = [os.path.join(VMTEST, "run"), "-k", kernel, "-t", str(options.seconds)]
        command += ["--strict", "--env", "SCALE=vm", "--out", folder, "--"]
        command += ["sh", "-c", IN_GUEST, "sh", "--timeout", str(PROGRAM_SECONDS), *tests]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, preexec_fn=dependent_child())
        outcome = {"kernel": kernel, "release": None, "programs": []}
        outcome["status"] = ended.returncode
        try:
            with open(os.path.join(folder, "release"), encoding="utf-8") as file:
                outcome["release"] = file.read().strip()
            with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
                outcome["programs"] = json.load(file)["programs"]
        except FileNotFoundError:
            pass  # the machine did not live to tell; the status says so
    outcome["seconds"] = round(time.monotonic() - began, 1)
    judge(outcome, read_denylist())
    return outcome


def judge(outcome, denylist):
    """Add what it amounts to: passed, failures [(test, reason)] and skips that are allowed."""
    release = outcome["release"] or ""
    allowed = [test for test, on, _ in denylist if fnmatch.fnmatchcase(release, on)]
    failures, skips = [], []
    for program in outcome["programs"]:
        failures += program["failures"]
        for test, reason in program["skips"]:
            if any(fnmatch.fnmatchcase(test, pattern) for pattern in allowed):
                skips.append((test, reason))
            else:
                failures.append((test, f"skipped, and not in vmtest/denylist: {reason}"))
    if outcome["status"] != 0 and not any(program["failures"] for program in outcome["programs"]):
        failures.append(("vmtest/run", f"exit status {outcome['status']}"))
    if not outcome["programs"]:
        failures.append(("vmtest/run", "no results came back"))
    passed = sum(program["passed"] for program in outcome["programs"])
    outcome.update(passed=passed, failures=failures, skips=skips)


def table(outcomes):
    """Lines of a Markdown table, tests x kernels. A program that fares the same on every kernel has
    one row; of others the tests that differ follow, one by one."""
    names = []
    for outcome in outcomes:
        names += [p["program"] for p in outcome["programs"] if p["program"] not in names]
    rows = [["test", *(o["release"] or o["kernel"] for o in outcomes)]]
    for name in names:
        found = [_program(outcome, name) for outcome in outcomes]
        rows.append([name, *map(_summary, found)])
        for test in _differing(found):
            cells = [_one(program, test) for program in found]
            rows.append([f"- {test.rpartition(':')[2]}", *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _program(outcome, name):
    return next((p for p in outcome["programs"] if p["program"] == name), None)


def _summary(program):
    if program is None:
        return "did not run"
    counts = (
        (program["passed"], "ok"),
        (len(program["skips"]), "skipped"),
        (len(program["failures"]), "FAILED"),
    )
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def _differing(found):
    """Tests that were not run, or failed, on some of the kernels only."""
    marked = [{test for test, _ in p["skips"] + p["failures"]} if p else set() for p in found]
    return sorted(set().union(*marked) - set.intersection(*marked))


def _one(program, test):
    if program is None:
        return "did not run"
    if any(test == name for name, _ in program["failures"]):
        return "FAILED"
    return "-" if any(test == name for name, _ in program["skips"]) else "yes"
