# SPDX-License-Identifier: Apache-2.0
"""`make install` into a directory, what it puts there, and `make uninstall`."""

import os
import shutil
import subprocess

import pytest

from lib import env

BINARIES = {"sbin/sluiced", "sbin/sluice-loader", "bin/sluicectl", "bin/sluice-bench"}
UNITS = {"sluice.service", "sluice-loader.service"}
MAN_PAGES = {"man8/sluiced.8", "man8/sluice-loader.8", "man5/sluice.conf.5", "man1/sluicectl.1",
             "man1/sluice-bench.1"}


def make(*argv):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    # Not the variables of a make that runs us.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--no-print-directory", "-C", env.ROOT, f"SAN={int(env.SANITIZED)}", *argv],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def files_below(top):
    return {str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("prefix", ["/usr", "/opt/sluice"])
def test_install_and_uninstall(directory, prefix):
    where = f"DESTDIR={directory / 'root'}", f"PREFIX={prefix}"
    make("install", *where)
    top = directory / "root" / prefix.lstrip("/")
    found = files_below(directory / "root")
    assert all(name.startswith(prefix.lstrip("/") + "/") for name in found)
    found = files_below(top)
    examples = {
        f"share/doc/sluice/examples/{path.name}" for path in (env.ROOT / "examples").iterdir()
    }
    completions = {
        f"share/bash-completion/completions/{name.split('/')[1]}" for name in BINARIES
    }
    man_pages = {f"share/man/{name}" for name in MAN_PAGES}
    system = {"lib/sysusers.d/sluice.conf"} | {f"lib/systemd/system/{name}" for name in UNITS}
    assert found == BINARIES | man_pages | examples | completions | system
    for name in found:
        mode = (top / name).stat().st_mode & 0o777
        assert mode == (0o755 if name in BINARIES else 0o644), name
    for name in BINARIES:
        version = subprocess.run(
            [top / name, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
        assert version.stdout.startswith(name.split("/")[1] + " ")
    unit = (top / "lib/systemd/system/sluice.service").read_text()
    assert f"ExecStart={prefix}/sbin/sluiced " in unit
    assert "max_connections" in (top / "share/man/man5/sluice.conf.5").read_text()

    make("uninstall", *where)
    assert files_below(directory / "root") == set()


def test_units_are_right(directory):
    """By systemd's own judgement, with the programs where they say."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    make("install", "DESTDIR=", f"PREFIX={directory}")
    units = [directory / "lib/systemd/system" / name for name in sorted(UNITS)]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
