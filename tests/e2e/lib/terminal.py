# SPDX-License-Identifier: Apache-2.0
"""A terminal of a given size that a program runs in, and what it has written there."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from lib import env, screen


class Terminal:
    def __init__(self, argv, columns=80, rows=24, environment=None, has_screen=False):
        self.screen = screen.Screen(columns, rows) if has_screen else None
        self.controller, inside = pty.openpty()
        self._set_size(columns, rows)
        self.before = termios.tcgetattr(inside)
        self.written = b""
        self.process = subprocess.Popen(
            [str(word) for word in argv],
            stdin=inside,
            stdout=inside,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": screen.TERM, "LC_ALL": "C.UTF-8",
                 **(environment or {})},
        )
        self.inside = inside

    def resize(self, columns, rows):
        """
        As a window manager would; the kernel tells the program. Until it has begun to draw anew: it
        writes for one size at a time.
        """
        while self.read():
            pass
        self.screen.resize(columns, rows)
        self._set_size(columns, rows)
        self.until_shown(lambda _: not self.screen.is_stale)

    def _set_size(self, columns, rows):
        fcntl.ioctl(self.controller, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def read(self, wait_s=0):
        """Takes what there is to be read. Returns whether there was anything."""
        if not select.select([self.controller], [], [], wait_s)[0]:
            return False
        try:
            got = os.read(self.controller, 65536)
        except OSError:  # nobody holds the other side any more
            return False
        self.written += got
        if self.screen:
            self.screen.feed(got)
        return bool(got)

    def until_shown(self, what):
        """Reads until @what(rows of the screen) holds, or one of them contains it."""
        def holds():
            while self.read(0.05):
                pass
            rows = self.screen.rows()
            return what(rows) if callable(what) else any(what in row for row in rows)

        try:
            env.until(holds, f"{what} on the screen")
        except AssertionError:
            print("\n".join(self.screen.rows()))
            raise

    def type(self, keys):
        os.write(self.controller, keys)

    def wait(self):
        """The exit status, and standard error."""
        deadline = time.monotonic() + env.PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        code = self.process.wait(1)
        while self.read():
            pass
        return code, self.process.stderr.read().decode()

    def is_restored(self):
        """Line by line with echo, as it was before."""
        return termios.tcgetattr(self.inside) == self.before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process.stderr.close()
        os.close(self.controller)
        os.close(self.inside)
