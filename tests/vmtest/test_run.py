# SPDX-License-Identifier: Apache-2.0
"""vmtest/run as a whole: what it gives back, and that nothing is left when it fails."""

import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

VMTEST = Path(__file__).resolve().parents[2] / "vmtest"
CACHE = Path(os.environ.get("VMTEST_CACHE") or Path.home() / ".cache/sluice-vmtest")
LIMIT_S = 240  # of a run that goes well or ill, on a busy machine
QEMU = shutil.which("qemu-system-x86_64")


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
        assert {path.name for path in CACHE.iterdir()} <= kept
        left = [path for path in (CACHE / "images").iterdir() if not path.name.startswith("base-")]
        assert left == []


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


def last_line(said):
    line = said.rstrip("\n").split("\n")[-1]
    assert line.startswith("vmtest: "), said
    return line


def test_command_arrives_unchanged_and_its_status_comes_back(run):
    odd = ["", " a  b ", "'", '"$HOME"', "line\nbreak", "\\", "-x", "*", "ü"]
    script = (
        "import os, subprocess, sys\n"
        "print(sys.argv[1:], os.environ['ODD'], os.getcwd(), file=sys.stderr)\n"
        "subprocess.Popen(['sleep', '1000'])\n"  # keeps the output open, and not the machine
        "sys.exit(7)"
    )
    status, out, said = run("--env", "ODD=a 'b' $c", "--", "python3", "-c", script, *odd).end()
    assert status == 7
    # TCG may kill a kernel while it patches itself; that the machine is tried again is said.
    assert said == "" or last_line(said).endswith("; trying once more")
    assert out.decode() == f"{odd} a 'b' $c {VMTEST.parent}\n"


def test_output_comes_while_the_command_runs(run):
    one = run("--", "sh", "-c", "echo now; sleep 1000")
    one.wait_for_output(b"now\n")
    assert one.process.poll() is None
    one.process.terminate()
    assert one.end()[0] == 128 + signal.SIGTERM


def test_files_go_in_and_come_back(run, tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given/file").write_text("content")
    (tmp_path / "given/program").write_bytes(Path("/usr/bin/socat").read_bytes())
    (tmp_path / "given/program").chmod(0o755)
    script = f"cp {tmp_path}/given/file $VMTEST_OUT/back; {tmp_path}/given/program -V | head -1"
    status, out, _ = run("--with", tmp_path / "given", "--out", tmp_path / "out", "--",
                         "sh", "-c", script).end()
    assert status == 0
    assert out.startswith(b"socat by")
    assert (tmp_path / "out/back").read_text() == "content"


def test_much_output(run):
    """Far more than all buffers on its way hold."""
    size = 20_000_000
    one = run("--", "sh", "-c", f"yes 0123456789abcde | head -c {size}; echo END >&2; exit 3")
    line = b"0123456789abcde\n"
    seen, rest = 0, b""
    while data := one.process.stdout.read(1 << 20):
        rest += data
        whole = len(rest) // len(line) * len(line)
        if seen + whole <= size:
            assert rest[:whole] == line * (whole // len(line))
            seen, rest = seen + whole, rest[whole:]
    assert rest == b"END\n" and seen == size
    assert one.end()[0] == 3


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_ended_by_a_signal(run, number):
    one = run("--", "sleep", "1000")
    while "qemu-system-x86" not in one.processes():
        assert one.process.poll() is None
        time.sleep(0.01)
    one.process.send_signal(number)
    status, _, _ = one.end()
    assert status == (-9 if number == signal.SIGKILL else 128 + number)


def test_reader_of_the_output_goes_away(run):
    one = run("--", "yes")
    one.wait_for_output(b"y\n")
    one.process.stdout.close()
    assert one.process.wait(LIMIT_S) == 128 + signal.SIGPIPE
    one.check_nothing_left()


def test_two_at_once(run, tmp_path):
    both = [run("--out", tmp_path / str(number), "--",
                "sh", "-c", f"echo {number} | tee $VMTEST_OUT/it") for number in (1, 2)]
    for number, one in enumerate(both, 1):
        assert one.process.wait(LIMIT_S) == 0
        assert one.process.stdout.read() == f"{number}\n".encode()
        assert (tmp_path / f"{number}/it").read_text() == f"{number}\n"
    both[0].check_nothing_left()


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


def test_icount_time_follows_instructions(run):
    """The same work takes the same guest time, whatever the host is doing."""
    script = (
        "import time\n"
        "def work():\n"
        "    began = time.monotonic_ns()\n"
        "    for i in range(300000): pass\n"
        "    return time.monotonic_ns() - began\n"
        "work(); times = sorted(work() for _ in range(9))\n"
        "print(times[7] - times[1], times[4])\n"
    )
    status, out, said = run("--icount", "--", "python3", "-c", script).end()
    assert status == 0, said
    spread, median = map(int, out.split())
    assert spread * 20 < median


def test_shell_is_a_terminal(tmp_path):
    child, terminal = pty.fork()
    if child == 0:
        os.execv(VMTEST / "shell", ["shell"])
    seen = b""

    def until(expected):
        nonlocal seen
        deadline = time.monotonic() + LIMIT_S
        while expected not in seen:
            assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], seen
            try:
                data = os.read(terminal, 4096)
            except OSError:  # its other end is closed
                data = b""
            assert data, f"{seen!r}, then the end"
            seen += data
        seen = seen.partition(expected)[2]

    # What is typed comes back as echo; what programs say is distinct from that.
    foreground = "import os, time; print(os.ttyname(0), 'in the', 'foreground'); time.sleep(1000)"
    try:
        until(b"# ")
        os.write(terminal, f'python3 -uc "{foreground}"\n'.encode())
        until(b"/dev/ttyS0 in the foreground")
        os.write(terminal, b"\x03")
        until(b"KeyboardInterrupt")
        until(b"# ")
        os.write(terminal, b"exit 5\n")
        with contextlib.suppress(OSError):
            while select.select([terminal], [], [], LIMIT_S)[0] and os.read(terminal, 4096):
                pass
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        child = None
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(terminal)
