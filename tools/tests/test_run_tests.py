# SPDX-License-Identifier: Apache-2.0
"""tools/run-tests counts what it must: programs that fail, crash, hang, skip or lie."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

RUN_TESTS = Path(__file__).resolve().parents[1] / "run-tests"

CMOCKA = """
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
static void passes(void **state) { (void)state; printf("a line without its end"); }
static void fails(void **state) { (void)state; assert_int_equal(1, 2); }
static void skips(void **state) { (void)state; fprintf(stderr, "no such device\\n"); skip(); }
static void aborts(void **state) { (void)state; abort(); }
static void leaves(void **state) { (void)state; exit(0); }
static void hangs(void **state) { (void)state; if (fork() == 0) execlp("sleep", "sleep", "4242", NULL); pause(); }
static void overruns(void **state) { volatile char *p = malloc(4); (void)state; p[4] = 1; free((void *)p); }
int main(void)
{
	const struct CMUnitTest tests[] = { TESTS };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
"""


def cmocka_program(folder, *tests, flags=()):
    source, program = folder / "test_it.c", folder / "test_it"
    source.write_text(CMOCKA.replace("TESTS", ", ".join(f"cmocka_unit_test({t})" for t in tests)))
    subprocess.run(["gcc", "-g", *flags, "-o", program, source, "-lcmocka"], check=True,
                   stderr=subprocess.DEVNULL)
    return program


def script(folder, name, text):
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def run_tests(*arguments):
    """Returns (exit status, last line, all of the output)."""
    done = subprocess.run([RUN_TESTS, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.returncode, done.stdout.rstrip("\n").split("\n")[-1], done.stdout


def alive(command):
    return subprocess.run(["pgrep", "-f", command], stdout=subprocess.DEVNULL).returncode == 0


def test_passing_program(tmp_path):
    status, last, _ = run_tests(cmocka_program(tmp_path, "passes", "passes"))
    assert (status, last) == (0, "2 passed, 0 failed")


def test_failed_assertion_is_counted_and_shown(tmp_path):
    status, last, output = run_tests(cmocka_program(tmp_path, "passes", "fails", "passes"))
    assert (status, last) == (1, "2 passed, 1 failed")
    assert "FAILED: " in output and "0x1 != 0x2" in output
    assert "    | not ok 2 - fails" in output


def test_skip_names_its_reason(tmp_path):
    status, last, output = run_tests(cmocka_program(tmp_path, "passes", "skips"))
    assert (status, last) == (0, "1 passed, 0 failed, 1 skipped")
    assert ":skips: no such device" in output


def test_only_skips_is_not_success(tmp_path):
    status, last, output = run_tests(cmocka_program(tmp_path, "skips"))
    assert (status, last) == (1, "0 passed, 0 failed, 1 skipped")
    assert "no test ran" in output


def test_crash_is_a_failure(tmp_path):
    status, last, output = run_tests(cmocka_program(tmp_path, "passes", "aborts", "passes"))
    assert (status, last) == (1, "1 passed, 1 failed")
    assert "died of SIGABRT, 1 of 3 announced tests had ended" in output


def test_sanitizer_abort_is_a_failure(tmp_path):
    program = cmocka_program(tmp_path, "passes", "overruns", flags=["-fsanitize=address"])
    status, last, output = run_tests(program)
    assert (status, last) == (1, "1 passed, 1 failed")
    assert "heap-buffer-overflow" in output


def test_early_success_is_a_failure(tmp_path):
    status, last, _ = run_tests(cmocka_program(tmp_path, "passes", "leaves", "fails"))
    assert (status, last) == (1, "1 passed, 1 failed")


def test_hang_is_ended_with_its_children(tmp_path):
    program = cmocka_program(tmp_path, "passes", "hangs")
    status, last, output = run_tests("--timeout", 1, program)
    assert (status, last) == (1, "1 passed, 1 failed")
    assert "did not end within 1 s" in output
    assert not alive("sleep 4242")


def test_silent_program_ran_nothing(tmp_path):
    status, last, _ = run_tests(script(tmp_path, "test_it", "#!/bin/sh\nexit 0\n"))
    assert (status, last) == (1, "0 passed, 1 failed")


@pytest.mark.parametrize("text, status, last", [
    ("true", 0, "1 passed, 0 failed"),
    ("false", 1, "0 passed, 1 failed"),
    ("kill -SEGV $$", 1, "0 passed, 1 failed"),
])
def test_shell_test(tmp_path, text, status, last):
    assert run_tests(script(tmp_path, "test_it.sh", text))[:2] == (status, last)


def test_shell_skip(tmp_path):
    good = script(tmp_path, "test_good.sh", "true")
    skip = script(tmp_path, "test_skip.sh", "echo 'not here' >&2; exit 77")
    status, last, output = run_tests(good, skip)
    assert (status, last) == (0, "1 passed, 0 failed, 1 skipped")
    assert "test_skip.sh: not here" in output


def test_pytest_file(tmp_path):
    path = script(tmp_path, "test_it.py", (
        "import pytest\n"
        "def test_passes(): pass\n"
        "def test_fails(): assert 1 == 2\n"
        "@pytest.fixture\n"
        "def broken(): yield; raise OSError('teardown')\n"
        "def test_teardown(broken): pass\n"
        "def test_skips(): pytest.skip('not here')\n"))
    status, last, output = run_tests(path)
    assert status == 1
    assert last.endswith("2 failed, 1 skipped")
    assert "test_skips: not here" in output


@pytest.mark.parametrize("text", [
    "",  # no tests
    "import nothing_of_this_name\n",
    "import os\ndef test_dies(): os.abort()\n",
    "import os\ndef test_leaves(): os._exit(0)\n",
])
def test_broken_pytest_file(tmp_path, text):
    assert run_tests(script(tmp_path, "test_it.py", text))[:2] == (1, "0 passed, 1 failed")


def test_fuzz_target(tmp_path):
    good = script(tmp_path, "fuzz_a", "#!/bin/sh\necho stat::number_of_executed_units: 1234\n")
    bad = script(tmp_path, "fuzz_b", "#!/bin/sh\nexit 77\n")  # libFuzzer's status for a crash
    status, last, output = run_tests(good, bad)
    assert (status, last) == (1, "1 passed, 1 failed")
    assert "1,234 runs" in output


def test_daemon_left_behind_is_named_and_ended(tmp_path):
    path = script(tmp_path, "test_it.sh", "setsid sleep 4343 &\nsleep 0.2\n")
    status, _, output = run_tests(path)
    assert status == 0
    assert "left processes behind, killed now: sleep" in output
    assert not alive("sleep 4343")


def test_interrupted_run_ends_its_programs(tmp_path):
    mark = tmp_path / "started"
    path = script(tmp_path, "test_it.sh", f"touch {mark}; exec sleep 4444")
    child = subprocess.Popen([RUN_TESTS, path], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    while not mark.exists() and child.poll() is None:
        time.sleep(0.01)
    child.terminate()
    assert child.wait(30) == 1
    assert not alive("sleep 4444")


def test_json(tmp_path):
    results = tmp_path / "results.json"
    run_tests("--json", results, cmocka_program(tmp_path, "passes", "fails", "skips"))
    data = json.loads(results.read_text())
    assert (data["passed"], data["failed"], data["skipped"]) == (1, 1, 1)
    assert data["programs"][0]["failures"][0][0].endswith(":fails")


def test_unknown_group_is_refused():
    assert run_tests("no-such-group")[0] == 2


def test_test_sees_no_terminal_and_no_jobserver(tmp_path):
    path = script(tmp_path, "test_it.sh",
                  "[ -z \"$MAKELEVEL\" ] && ! read -r line && ! tty -s && "
                  "case $MAKEFLAGS in *jobserver*) exit 1;; *FOO=1*) ;; *) exit 2;; esac")
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"all:\n\t+{RUN_TESTS} {path}\n")
    done = subprocess.run(["make", "-j2", "-f", makefile, "FOO=1"], cwd=tmp_path,
                          env={k: v for k, v in os.environ.items() if "MAKE" not in k})
    assert done.returncode == 0
