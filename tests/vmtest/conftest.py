# SPDX-License-Identifier: Apache-2.0
"""Tests of the VM harness itself: its parts, its behaviour when something is wrong, its guest."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vmtest/lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from vm_run import Run

# A test that hangs fails here, with a traceback of where, whatever it was that it waited for.
_LIMIT_S = 300


def _fail_hanging(_signal, _frame):
    raise TimeoutError(f"test did not end within {_LIMIT_S} s")


@pytest.fixture(autouse=True)
def _time_limit():
    previous = signal.signal(signal.SIGALRM, _fail_hanging)
    signal.alarm(_LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def run(tmp_path):
    started = []

    def run(*arguments, **environment):
        started.append(Run(*arguments, tmp_path=tmp_path, **environment))
        return started[-1]

    yield run
    for one in started:
        one.process.kill()
        one.process.wait()
