# SPDX-License-Identifier: Apache-2.0
"""From the files of a kernel to those of a ready one (lib/kernels.py says what these are)."""

import os
import shutil
import subprocess

import kernel_image
from cpio import Archive
from errors import Failure


def image(path, target):
    """Write image, btf and release into the new directory `target`; the reason if not usable."""
    with open(path, "rb") as file:
        content = file.read()
    vmlinux = kernel_image.vmlinux_of(content, path)
    btf = kernel_image.btf_of(vmlinux)
    reason = kernel_image.why_unusable(btf)
    if reason:
        return reason
    # The uncompressed kernel boots seconds faster under TCG, where it has the entry for that.
    if kernel_image.has_pvh_entry(vmlinux):
        content = vmlinux
    elif content is vmlinux:
        return "it has no PVH entry (CONFIG_PVH), by which QEMU starts a vmlinux; try its bzImage"
    release = kernel_image.release_of(vmlinux).encode()
    os.makedirs(target)
    for name, what in (("image", content), ("btf", btf), ("release", release)):
        with open(os.path.join(target, name), "wb") as file:
            file.write(what)
    return None


def modules(tree, target, work):
    """Write modules.cpio: the module tree (of this release, or none) with what depmod(8) makes of
    it, so that modprobe works in the guest."""
    with open(os.path.join(target, "release"), encoding="utf-8") as file:
        release = file.read()
    with open(os.path.join(target, "modules.cpio"), "wb") as out, Archive(out) as archive:
        if tree:
            copy = os.path.join(work, "depmod", "lib/modules", release)
            ignore = shutil.ignore_patterns("build", "source", "vmlinuz*")
            shutil.copytree(tree, copy, ignore=ignore)
            _depmod(os.path.join(work, "depmod"), release, tree)
            for folder, _, files in os.walk(copy):
                for name in sorted(files):
                    path = os.path.join(folder, name)
                    archive.copy(path, f"usr/lib/modules/{release}/{os.path.relpath(path, copy)}")


def _depmod(base, release, tree):
    try:
        # It warns of symbols that it has no System.map for.
        command = ["/sbin/depmod", "-b", base, release]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise Failure("kmod is not installed; run tools/deps") from None
    except subprocess.CalledProcessError:
        raise Failure(f"depmod fails on {tree}: is it whole?") from None
