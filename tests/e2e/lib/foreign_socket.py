# SPDX-License-Identifier: Apache-2.0
"""Sockets of another process, looked at as if they were ours (pidfd_getfd(2))."""

import contextlib
import ctypes
import errno
import os
import socket
import stat

_SYS_PIDFD_GETFD = 438
_libc = ctypes.CDLL(None, use_errno=True)


def _copy(pidfd, fd):
    """None if it is not a socket, or is gone by now: others of the process come and go."""
    copied = _libc.syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0)
    if copied < 0:
        error = ctypes.get_errno()
        assert error == errno.EBADF, os.strerror(error)
        return None
    if not stat.S_ISSOCK(os.fstat(copied).st_mode):
        os.close(copied)
        return None
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
            sock = _copy(pidfd, int(fd))
            if sock and _is_connected_to(sock, port):
                found.append(sock)
            elif sock:
                sock.close()
        assert len(found) == 1, found
        yield found[0]
    finally:
        os.close(pidfd)
        for sock in found:
            sock.close()
