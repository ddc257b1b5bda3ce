# SPDX-License-Identifier: Apache-2.0
"""vmtest/run as a whole: what it gives back, and that nothing is left, however it is ended."""

import contextlib
import os
import pty
import select
import signal
import time
from pathlib import Path

import pytest
from vm_run import LIMIT_S, VMTEST, last_line


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
