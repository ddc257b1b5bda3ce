# SPDX-License-Identifier: Apache-2.0
"""Sockets of another process, looked at as if they were ours (pidfd_getfd(2))."""

import contextlib
import ctypes
import os
import socket

_SYS_PIDFD_GETFD = 438
_libc = ctypes.CDLL(None, use_errno=True)


def _copy(pidfd, fd):
    copied = _libc.syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0)
    if copied < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return socket.socket(fileno=copied)


def _is_connected_to(sock, port):
    try:
        return sock.type == socket.SOCK_STREAM and sock.getpeername()[1] == port
    except (OSError, IndexError):
        return False


@contextlib.contextmanager
def connected_to(pid, port):
    """The socket of process @pid whose far end has this port; the one that there is."""
    pidfd = os.pidfd_open(pid)
    found = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
                    continue
            sock = _copy(pidfd, int(fd))
            if _is_connected_to(sock, port):
                found.append(sock)
            else:
                sock.close()
        assert len(found) == 1, found
        yield found[0]
    finally:
        os.close(pidfd)
        for sock in found:
            sock.close()
