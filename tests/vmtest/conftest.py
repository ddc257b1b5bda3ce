# SPDX-License-Identifier: Apache-2.0
"""Tests of the VM harness itself: its parts, its behaviour when something is wrong, its guest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vmtest/lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
