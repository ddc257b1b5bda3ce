# SPDX-License-Identifier: Apache-2.0
"""Where the binaries are, how large the tests may be, and how long a wait may take."""

import os
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / os.environ.get("SLUICE_BUILD", "build")
NODE_MODULES = ROOT / "build/node/node_modules"
NODE_SCRIPTS = ROOT / "tests/e2e/node"

IN_VM = os.environ.get("SCALE") == "vm"
FULL = os.environ.get("SCALE") == "full"
SANITIZED = (BUILD / "sluiced").is_file() and any(
    mark in (BUILD / "sluiced").read_bytes() for mark in (b"__asan_init", b"__tsan_init")
)

# Guards against hanging, never asserted upon: a slow machine only waits longer.
PATIENCE_S = 30 * (2 if IN_VM else 3 if SANITIZED else 1)


def scale(count, sanitized=1):
    """A count for this machine: a twentieth in the VM, 1/@sanitized of it under sanitizers."""
    divisor = 20 if IN_VM else sanitized if SANITIZED else 1
    return max(1, count // divisor)


def scale_full(count, full):
    """@count as scale() has it, or @full in a run that is meant to be long (SCALE=full)."""
    return full if FULL else scale(count, 2)


def until(condition, what, patience_s=PATIENCE_S):
    """Polls until condition() is true, and returns what it returned."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up after {patience_s} s waiting for: {what}")
        time.sleep(0.01)
