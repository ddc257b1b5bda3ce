# SPDX-License-Identifier: Apache-2.0
"""Signals and children: whatever ends this process, its children end and its files are tidied."""

import ctypes
import os
import resource
import signal

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PR_SET_PDEATHSIG = 1


class Interrupted(Exception):
    """One of ENDING came; it unwinds the stack, so that all context managers do their work."""

    def __init__(self, number):
        super().__init__(number)
        self.status = 128 + number


def catch_signals():
    for number in ENDING:
        signal.signal(number, _interrupt)


def _interrupt(number, _frame):
    # Once is enough: a second signal must not interrupt the tidying up that the first one began.
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(number)


def dependent_child():
    """A preexec_fn: the child is killed when we are, be it by SIGKILL, and leaves no core file."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl  # looked up here: the child of a fork should do little

    def child():
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Ignored signals stay so over exec, and a handler must not run in between.
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)

    return child
