# SPDX-License-Identifier: Apache-2.0
"""Kernel files: from a bzImage to the vmlinux inside, and what that offers."""

import lzma
import re
import struct
import subprocess
import zlib

import btf
from errors import Failure

ELF = b"\x7fELF"
SHT_NOTE = 7
XEN_ELFNOTE_PHYS32_ENTRY = 18  # the PVH entry, by which QEMU starts an uncompressed kernel


def vmlinux_of(image, path):
    """The ELF file in `image`, the content of `path`: itself, or a bzImage's payload."""
    if image[:4] == ELF:
        return image
    if image[0x202:0x206] != b"HdrS":
        raise Failure(f"{path} is neither a vmlinux nor a bzImage")
    # Documentation/arch/x86/boot.rst: the payload is found from the header of the set-up code.
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if len(payload) < max(length, 1):
        raise Failure(f"{path} is cut off: get it again")
    try:
        vmlinux = decompress(payload)
    except (zlib.error, lzma.LZMAError, EOFError, subprocess.CalledProcessError) as error:
        raise Failure(f"{path} does not unpack ({error}): get it again") from error
    if vmlinux[:4] != ELF:
        raise Failure(f"{path} does not unpack to an ELF file")
    return vmlinux


def decompress(payload):
    if payload[:2] == b"\x1f\x8b":
        return zlib.decompress(payload, wbits=31)
    # The other formats have the unpacked size appended, 4 bytes.
    payload = payload[:-4]
    if payload[:6] == b"\xfd7zXZ\0":
        return lzma.decompress(payload)
    for magic, tool in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x02\x21\x4c\x18", "lz4")):
        if payload[:4] == magic:
            return run_tool(tool, payload)
    raise Failure(f"kernel compressed in an unknown way ({payload[:6].hex()})")


def run_tool(tool, payload):
    try:
        return subprocess.run(
            [tool, "-dcq"],
            input=payload,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
    except FileNotFoundError:
        raise Failure(f"{tool} is not installed; run tools/deps") from None


def release_of(vmlinux):
    found = re.search(rb"Linux version (\d+\.\S+) ", vmlinux)
    if not found:
        raise Failure("the image has no Linux version in it")
    return found.group(1).decode()


def sections(vmlinux):
    """(name, type, content) of each section of a 64-bit little-endian ELF file."""
    (table,) = struct.unpack_from("<Q", vmlinux, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", vmlinux, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", vmlinux, table + i * size) for i in range(count)]
    names = headers[names_index][4]
    for name, kind, _, _, offset, length in headers:
        end = vmlinux.index(b"\0", names + name)
        yield vmlinux[names + name : end].decode(), kind, vmlinux[offset : offset + length]


def btf_of(vmlinux):
    """The content of section .BTF; empty where the kernel was built without."""
    return next((content for name, _, content in sections(vmlinux) if name == ".BTF"), b"")


def has_pvh_entry(vmlinux):
    for _, kind, content in sections(vmlinux):
        at = 0
        while kind == SHT_NOTE and at + 12 <= len(content):
            name_size, size, note = struct.unpack_from("<III", content, at)
            name = content[at + 12 : at + 12 + name_size]
            if name == b"Xen\0" and note == XEN_ELFNOTE_PHYS32_ENTRY:
                return True
            at += 12 + (name_size + 3 & ~3) + (size + 3 & ~3)
    return False


def why_unusable(data):
    """Why a kernel with the BTF `data` is of no use to the tests; None if it is."""
    if not data:
        return "it has no BTF (CONFIG_DEBUG_INFO_BTF)"
    try:
        broken = btf.uncallable_scx_kfuncs(btf.Btf(data))
    except btf.Malformed as error:
        return str(error)
    if broken:
        return f"its BTF is wrong for {len(broken)} sched_ext kfuncs, {broken[0]} among them"
    return None
