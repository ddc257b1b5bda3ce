# SPDX-License-Identifier: Apache-2.0
"""A run of vmtest/run, and what must not be left of it."""

import contextlib
import os
import subprocess
import time
import uuid
from pathlib import Path

VMTEST = Path(__file__).resolve().parents[2] / "vmtest"
CACHE = Path(os.environ.get("VMTEST_CACHE") or Path.home() / ".cache/sluice-vmtest")
LIMIT_S = 240  # of a run that goes well or ill, on a busy machine


class Run:
    """One vmtest/run; its processes are told by a variable in their environment."""

    def __init__(self, *arguments, tmp_path, **environment):
        self.mark = f"VMTEST_MARK={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        self.temporary = tmp_path / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [VMTEST / "run", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, name: value, "TMPDIR": str(self.temporary), **environment})

    def processes(self):
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "comm").read_text().strip())
        return found

    def wait_for_output(self, expected):
        seen = b""
        while expected not in seen:
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"ended after {seen!r}: {self.process.stderr.read().decode()}"
            seen += data

    def end(self):
        """(status, standard output, standard error); and nothing may be left."""
        out, err = self.process.communicate(timeout=LIMIT_S)
        self.check_nothing_left()
        return self.process.returncode, out, err.decode()

    def check_nothing_left(self):
        deadline = time.monotonic() + 20
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.processes() == []
        assert list(self.temporary.iterdir()) == []
        kept = {"images", "kernels", "kvm", "lock", "names"}
        # Files of a run beside this one bear its process's number: what it makes of KVM.
        assert [path for path in CACHE.iterdir() if path.name not in kept
                and not Path("/proc", path.name.removeprefix("kvm.")).exists()
                and path.exists()] == []
        left = [path for path in (CACHE / "images").iterdir() if not path.name.startswith("base-")]
        assert left == []


def last_line(said):
    line = said.rstrip("\n").split("\n")[-1]
    assert line.startswith("vmtest: "), said
    return line
