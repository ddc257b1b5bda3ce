# SPDX-License-Identifier: Apache-2.0
"""Writing initramfs archives (cpio "newc", Documentation/driver-api/early-userspace/buffer-format).

An archive is written straight from the files of this machine: no staging tree, no root rights, and
every entry belongs to root. The kernel unpacks archives that follow each other in one file, so an
image is the concatenation of layers; of two entries with one name the later wins.
"""

import os
import stat

BLOCK = 512  # archives are padded to this, so that the next one starts aligned
MERGED = ("bin", "sbin", "lib", "lib32", "lib64")


def guest_path(path):
    """The name in the archive of an absolute path: without the leading slash, and under usr/ where
    Debian's merged /usr has it (package lists still say /bin/ip)."""
    path = os.path.normpath(path).lstrip("/")
    top = path.partition("/")[0]
    return "usr/" + path if top in MERGED and path != top else path


class Archive:
    """One archive, written to the binary file `out`; use as a context manager."""

    def __init__(self, out):
        self.out = out
        self.size = 0
        self.inode = 0
        self.names = set()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._entry("TRAILER!!!", 0, b"")
            self._write(bytes(-self.size % BLOCK))

    def directory(self, name, mode=0o755):
        if name and name not in self.names:
            self.names.add(name)
            self._parents(name)
            self._entry(name, stat.S_IFDIR | mode, b"")

    def symlink(self, name, target):
        self._once(name, stat.S_IFLNK | 0o777, os.fsencode(target))

    def data(self, name, content, mode=0o644, mtime=0):
        self._once(name, stat.S_IFREG | mode, content, mtime)

    def copy(self, source, name=None):
        """Copy one file, symlink or (empty) directory of this machine; False if it is something
        else, e.g. a socket, or gone."""
        name = guest_path(source) if name is None else name
        try:
            info = os.lstat(source)
            if stat.S_ISLNK(info.st_mode):
                self.symlink(name, os.readlink(source))
            elif stat.S_ISDIR(info.st_mode):
                self.directory(name, stat.S_IMODE(info.st_mode))
            elif stat.S_ISREG(info.st_mode):
                with open(source, "rb") as file:
                    content = file.read()
                self.data(name, content, stat.S_IMODE(info.st_mode), int(info.st_mtime))
            else:
                return False
        except FileNotFoundError:
            return False  # listed, then removed: a build may run beside us
        return True

    def _once(self, name, mode, content, mtime=0):
        if name in self.names:
            return
        self.names.add(name)
        self._parents(name)
        self._entry(name, mode, content, mtime)

    def _parents(self, name):
        parent = os.path.dirname(name)
        if parent:
            self.directory(parent)

    def _entry(self, name, mode, content, mtime=0):
        self.inode += 1
        encoded = os.fsencode(name) + b"\0"
        fields = (self.inode, mode, 0, 0, 1, mtime, len(content), 0, 0, 0, 0, len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._write(head + bytes(-len(head) % 4))
        self._write(content)
        self._write(bytes(-len(content) % 4))

    def _write(self, content):
        self.out.write(content)
        self.size += len(content)
