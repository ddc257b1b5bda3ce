# SPDX-License-Identifier: Apache-2.0
"""Child processes that cannot outlive the test, with their output in files."""

import ctypes
import os
import resource
import signal
import subprocess

from lib import env

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_live = {}


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def live():
    """Processes that were started and not yet reaped."""
    return [p for p in _live.values() if p.is_running()]


class Process:
    """A child in a process group of its own, so that its own children end with it."""

    def __init__(self, argv, directory, name, environment=None, cwd=None, nofile=None):
        self.argv = [str(a) for a in argv]
        self.stdout_path = directory / f"{name}.out"
        self.stderr_path = directory / f"{name}.err"
        self._returncode = None

        def before_exec():
            _die_with_parent()
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=cwd or directory,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=before_exec,
            )
        self.pid = self._popen.pid
        _live[self.pid] = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def is_running(self):
        return self._popen.poll() is None

    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def wait_line(self):
        """The first complete line of standard output."""

        def line():
            text = self.stdout()
            if "\n" in text:
                return text.splitlines()[0]
            assert self.is_running(), f"{self.argv[0]} ended early: {self.stderr()}"
            return None

        return env.until(line, f"first line of {self.argv[0]}")

    def send_input(self, data):
        """Writes @data to standard input and closes it."""
        self._popen.stdin.write(data)
        self._popen.stdin.close()

    def send_signal(self, number):
        os.kill(self.pid, number)

    def wait(self, patience_s=env.PATIENCE_S):
        """The exit code; fails if the process does not end."""
        try:
            code = self._popen.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.argv[0]} did not end in {patience_s} s; stderr: {self.stderr()}"
            ) from None
        self._forget()
        return code

    def stop(self, number=signal.SIGTERM):
        if self.is_running():
            self.send_signal(number)
        return self.wait()

    def kill(self):
        """Ends the process and its group, whatever their state. May be repeated."""
        if self.pid not in _live:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._popen.wait()
        self._forget()

    def _forget(self):
        if self._popen.stdin and not self._popen.stdin.closed:
            try:
                self._popen.stdin.close()
            except BrokenPipeError:
                pass
        _live.pop(self.pid, None)


def run(argv, directory, name="run", environment=None, data=None, patience_s=env.PATIENCE_S):
    """Runs to the end. Returns (exit code, stdout, stderr)."""
    with Process(argv, directory, name, environment) as process:
        if data is not None:
            process.send_input(data)
        code = process.wait(patience_s)
        return code, process.stdout(), process.stderr()
