# SPDX-License-Identifier: Apache-2.0
"""
A mount and a network namespace of their own, with a BPF file system, /run and interfaces that
nobody else sees. When the process that holds them ends, whatever was pinned, attached or mounted
in there ends with it; so a test that fails leaves nothing behind either.
"""

import contextlib
import ctypes
import json
import os
import subprocess

from lib import env, process
from lib.daemon import SANITIZER_ENV

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

BPFFS = "/sys/fs/bpf"
LOADER = env.BUILD / "sluice-loader"

_HOLD = """
mount -t tmpfs tmpfs /run && mkdir /run/netns &&
while umount /sys/fs/bpf 2>/dev/null; do :; done
ip link set lo up && echo ready && exec sleep infinity
"""


def missing():
    """Why there can be no box here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    trial = subprocess.run(["unshare", "-mn", "true"], capture_output=True, check=False)
    return None if trial.returncode == 0 else "no new namespaces here"


def _set_network(namespace):
    if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Box:
    def __init__(self, directory):
        self.directory = directory
        self._holder = process.Process(["unshare", "-mn", "sh", "-c", _HOLD], directory, "box")
        self._holder.wait_line()
        self._n = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._holder.kill()

    def argv(self, *argv):
        return ["nsenter", "-t", str(self._holder.pid), "-m", "-n", "--", *map(str, argv)]

    def run(self, *argv, check=True, environment=None):
        done = subprocess.run(
            self.argv(*argv),
            env={**os.environ, **SANITIZER_ENV, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=6 * env.PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def start(self, *argv, nofile=None):
        self._n += 1
        name = f"in-box-{self._n}"
        return process.Process(self.argv(*argv), self.directory, name, nofile=nofile)

    @contextlib.contextmanager
    def thread_in(self, name):
        """Meanwhile this thread is in the network namespace @name: its new sockets stay there."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(
            f"/proc/{self._holder.pid}/root/run/netns/{name}", "rb"
        ) as there:
            _set_network(there)
            try:
                yield
            finally:
                _set_network(home)

    def loader(self, *argv, check=True):
        """sluice-loader, in here."""
        return self.run(LOADER, *argv, check=check)

    def refused(self, *argv):
        """What sluice-loader says when it refuses; fails if it does not."""
        done = self.loader(*argv, check=False)
        assert done.returncode == 1, (argv, done)
        assert done.stdout == ""
        return done.stderr

    def loader_json(self, *argv, check=True):
        return json.loads(self.loader("-j", *argv, check=check).stdout)

    def add_veth(self, name, peer):
        self.run("ip", "link", "add", name, "type", "veth", "peer", "name", peer)
        for one in (name, peer):
            self.run("ip", "link", "set", one, "up")

    def exists(self, path):
        return self.run("test", "-e", path, check=False).returncode == 0

    def list(self, path):
        return set(self.run("ls", "-A", path).stdout.split())

    def access(self, path):
        """(mode in octal, group id)"""
        mode, group = self.run("stat", "-c", "%a %g", path).stdout.split()
        return mode, int(group)
