# SPDX-License-Identifier: Apache-2.0
"""tools/check-tour passes a true tour and fails on each name that does not exist."""

import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[1] / "check-tour"

CODE = """/* worker_comment() is only spoken of. */
#define worker_macro(x) (x)
static struct worker *worker_find(int id)
{
	return worker_called(id);
}
int worker_run(struct worker *worker);
static const struct worker *
worker_long(void)
{
}
SEC("tc") int worker_hook(struct __sk_buff *skb)
"""


def check(root, tour):
    for name, text in {"user/core/worker.c": CODE, "tools/do": "#!/bin/sh\nstep()\n{\n}\n",
                       "tools/run": "def main():\n    pass\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "ARCHITECTURE.md").write_text(tour)
    done = subprocess.run([CHECK, "--root", root], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("tour", [
    "`user/core/worker.c:worker_run()` and `user/core/worker.c:worker_find()`",
    "user/core/worker.c:worker_macro(), user/core/worker.c:worker_long()",
    "user/core/worker.c:worker_hook() tools/run:main()",
    "`user/core/worker.c`, `user/core/`, `user/*/worker.c`, `/sys/fs/bpf/sluice`, `build/sluiced`",
    "```\nuser/core/worker.c -> application/json, kernel 6.1/6.2\n```",
    "Not in backticks: user/core/gone.c",
])
def test_true_tour(tmp_path, tour):
    assert check(tmp_path, tour) == (0, "")


@pytest.mark.parametrize("tour, says", [
    ("one\n`user/core/worker.c:worker_gone()`", "ARCHITECTURE.md:2: user/core/worker.c: no fun"),
    ("user/core/worker.c:worker_called()", "no function worker_called()"),
    ("user/core/worker.c:worker_comment()", "no function worker_comment()"),
    ("user/core/worker.c:worker_ru()", "no function worker_ru()"),
    ("user/core/gone.c:worker_run()", "user/core/gone.c: no such file"),
    ("`user/core/gone.c`", "user/core/gone.c: no such file"),
    ("```\nuser/core/gone.c -> x\n```", "ARCHITECTURE.md:2: user/core/gone.c"),
    ("`core/worker.c`", "core/worker.c: no such file"),
    ("`user/*/gone.c`", "user/*/gone.c: no such file"),
])
def test_seeded_violation(tmp_path, tour, says):
    status, output = check(tmp_path, tour)
    assert status == 1
    assert says in output and output.count("\n") == 1


def test_no_tour_is_a_violation(tmp_path):
    done = subprocess.run([CHECK, "--root", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1 and "no such file" in done.stdout
