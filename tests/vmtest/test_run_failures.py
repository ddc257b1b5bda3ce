# SPDX-License-Identifier: Apache-2.0
"""vmtest/run where something is wrong: what it says, and that nothing is left."""

import os
import shutil
from pathlib import Path

import pytest
from vm_run import CACHE, last_line

QEMU = shutil.which("qemu-system-x86_64")


def test_a_command_that_never_ends(run):
    one = run("-t", "2", "--", "sh", "-c", "trap '' TERM; sleep 987654 & yes")
    while one.process.stdout.read(1 << 20):
        pass
    status, _, said = one.end()
    assert status == 124
    assert "the command did not end within 2 s (-t)" in last_line(said)
    assert "sleep 987654" in said  # what it was doing


def test_guest_panic(run):
    status, _, said = run("--", "sh", "-c", "echo c >/proc/sysrq-trigger").end()
    assert status == 125
    assert said.count("the machine ended while the command ran (sysrq triggered crash)") == 2
    assert "twice; its console: " in last_line(said)
    console = Path(last_line(said).split("console: ")[1])
    assert "sysrq triggered crash" in console.read_text()


def test_kernel_complaint_fails_a_strict_run(run):
    script = "echo '<4>WARNING: CPU: 0 at here' >/dev/kmsg"
    status, _, said = run("--strict", "--", "sh", "-c", script).end()
    assert status == 1
    assert "the kernel complained: WARNING: CPU: 0 at here; its console" in last_line(said)


def test_no_qemu(run, tmp_path):
    (tmp_path / "bin").mkdir()
    status, _, said = run("--", "true", PATH=str(tmp_path / "bin")).end()
    assert status == 125
    assert said == "vmtest: qemu-system-x86_64 is not installed; run tools/deps\n"


def fake_qemu(folder, script):
    """A PATH on which QEMU is `script`, which may go on to the real one: exec "$QEMU" "$@"."""
    folder.mkdir()
    path = folder / "qemu-system-x86_64"
    path.write_text(f"#!/bin/sh\nQEMU={QEMU}\n[ $1 = --version ] && exec $QEMU --version\n{script}")
    path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_qemu_that_fails(run, tmp_path):
    path = fake_qemu(tmp_path / "bin", "echo 'qemu: no memory' >&2; exit 1\n")
    status, _, said = run("--", "true", PATH=path, VMTEST_ACCEL="tcg").end()
    assert status == 125
    assert "the machine did not boot (qemu: no memory), twice" in last_line(said)


def test_one_retry_where_the_machine_failed(run, tmp_path):
    flag = tmp_path / "tried"
    path = fake_qemu(tmp_path / "bin", f'[ -e {flag} ] && exec $QEMU "$@"\n: >{flag}; exit 1\n')
    for _ in range(3):  # a kernel that TCG kills at boot (vmtest/README.md) has had its second try
        flag.unlink(missing_ok=True)
        status, out, said = run("--", "echo", "up", PATH=path, VMTEST_ACCEL="tcg").end()
        if status == 0:
            break
    assert (status, out) == (0, b"up\n")
    assert said == "vmtest: the machine did not boot; trying once more\n"


@pytest.fixture
def cache_of_its_own(tmp_path):
    """With the default kernel, but without a verdict on KVM."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for name in ("kernels", "names", "images"):
        (folder / name).symlink_to(CACHE / name)
    return folder


@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm to try")
@pytest.mark.parametrize("way", ["exit 1", "sleep 1000"], ids=["fails", "hangs"])
def test_unusable_kvm(run, tmp_path, cache_of_its_own, way):
    script = f'case "$*" in *"-accel kvm"*) echo bad kvm >&2; {way};; esac\nexec $QEMU "$@"\n'
    path = fake_qemu(tmp_path / "bin", script)
    environment = {"PATH": path, "VMTEST_CACHE": str(cache_of_its_own), "VMTEST_ACCEL": ""}
    status, out, said = run("--", "echo", "up", **environment).end()
    assert (status, out) == (0, b"up\n")
    assert "vmtest: /dev/kvm is there but of no use (the machine did not boot" in said
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (cache_of_its_own / "kvm").read_text().startswith(boot)
    if way == "exit 1":  # the verdict is kept: another run does not try
        # A kernel that TCG has killed at boot (vmtest/README.md) is started once more, and shown.
        status, out, said = run("--", "echo", "up", **environment).end()
        assert (status, out) == (0, b"up\n") and "/dev/kvm" not in said


def test_unknown_accelerator(run):
    status, _, said = run("--", "true", VMTEST_ACCEL="hvf").end()
    assert status == 125
    assert said == "vmtest: VMTEST_ACCEL is 'hvf': it may be kvm or tcg\n"


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "no command"),
        (["--nonsense", "--", "true"], "--nonsense"),
        (["-c", "many", "--", "true"], "invalid int value"),
        (["--env", "NOVALUE", "--", "true"], "NAME=VALUE"),
        (["--with", "/nonexistent", "--", "true"], "no such file"),
        (["-m", "64", "--", "true"], "give the machine more, -m"),
        (["--modules", "/lib/modules", "--", "true"], "--modules is for a kernel given by path"),
        (["-k", "/nonexistent", "--", "true"], "no kernel at /nonexistent"),
        (["--interactive", "--", "sh"], "wants a terminal"),
    ],
)
def test_wrong_use_is_one_line(run, arguments, words):
    status, out, said = run(*arguments).end()
    assert (status, out) == (125, b"")
    assert words in last_line(said) and said.count("\n") == 1
