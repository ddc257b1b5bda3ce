# SPDX-License-Identifier: Apache-2.0
"""A Debian mirror in a directory, and an apt configuration by which a machine would use it."""

import hashlib
import re
import subprocess
from pathlib import Path

import fake_kernel


def codename():
    return re.search(r"^VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text(), re.M)[1]


def modules(tree):
    """A module tree without a module."""
    names = ("modules.order", "modules.builtin", "kernel/fs/README")
    return {f"{tree}/{name}": b"" for name in names}


class Mirror:
    def __init__(self, folder):
        self.folder = folder
        self.packages = {}  # suite -> index entries
        self.add_suite(codename())

    def add_suite(self, suite):
        self.packages[suite] = []
        self._index(suite)

    def add_package(self, suite, name, files, damage=None):
        """A package with `files` {path: content}; `damage` changes its bytes after the index was
        made, as a broken transfer does."""
        tree = self.folder / "build" / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: me\nDescription: x\n"
        )
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content)
        deb = self.folder / f"{name}.deb"
        subprocess.run(["dpkg-deb", "-b", tree, deb], check=True, stdout=subprocess.DEVNULL)
        content = deb.read_bytes()
        self.packages[suite].append(
            f"Package: {name}\nVersion: 1\nArchitecture: amd64\nFilename: {deb.name}\n"
            f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
        if damage:
            deb.write_bytes(damage(content))
        self._index(suite)

    def add_kernel(self, suite, release, damage=None, **image):
        """A kernel in one package, as up to 6.18; `image` goes to fake_kernel.vmlinux()."""
        boot = {f"boot/vmlinuz-{release}": self._bzimage(release, **image)}
        files = boot | modules(f"lib/modules/{release}")
        self.add_package(suite, f"linux-image-{release}", files, damage)

    def add_split_kernel(self, suite, release, signed=True, unsigned=True):
        """A kernel as from 6.19 on: its halves come and go at different times."""
        tree = f"usr/lib/modules/{release}"
        image = self._bzimage(release)
        if signed:
            self.add_package(suite, f"linux-binary-{release}", {f"{tree}/vmlinuz": image})
            self.add_package(suite, f"linux-image-{release}", {})
        if unsigned:
            files = modules(tree)
            base = {path: files.pop(path) for path in list(files) if "builtin" in path}
            raw = {f"{tree}/vmlinuz.unsigned": image}
            self.add_package(suite, f"linux-binary-unsigned-{release}", raw)
            self.add_package(suite, f"linux-modules-{release}", files)
            self.add_package(suite, f"linux-base-{release}", base)

    @staticmethod
    def _bzimage(release, **image):
        payload = fake_kernel.compressed("xz", fake_kernel.vmlinux(release, **image))
        return fake_kernel.bzimage(payload)

    def _index(self, suite):
        folder = self.folder / "dists" / suite
        index = folder / "main/binary-amd64/Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text("\n".join(self.packages[suite]))
        content = index.read_bytes()
        (folder / "Release").write_text(
            f"Codename: {suite}\nComponents: main\nArchitectures: amd64\nSHA256:\n"
            f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages\n"
        )

    def apt_config(self, uri=None):
        """Path of an apt configuration for the variable APT_CONFIG: this mirror, which nobody
        signed, and nothing else."""
        (self.folder / "sources.list").write_text(
            f"deb {uri or f'file:{self.folder}'} {codename()} main\n"
        )
        path = self.folder / "apt.conf"
        path.write_text(
            f'Dir::Etc::sourcelist "{self.folder}/sources.list";\n'
            'Dir::Etc::sourceparts "-";\n'
            'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
        )
        return path
