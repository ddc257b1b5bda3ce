# SPDX-License-Identifier: Apache-2.0
"""Kernel images small enough to be written by hand: enough of BTF, ELF and bzImage to be read."""

import gzip
import lzma
import struct
import subprocess

SHT_PROGBITS, SHT_STRTAB, SHT_NOTE = 1, 3, 7
BTF_INT, BTF_PTR, BTF_STRUCT, BTF_CONST, BTF_FUNC, BTF_FUNC_PROTO = 1, 2, 4, 10, 12, 13
INT_ID, AUX_POINTER_ID = 1, 4


def btf(functions):
    """BTF of functions given as {name: [(parameter, type id), ...]}."""
    strings = bytearray(b"\0")

    def string(text):
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text) - 1

    def entry(name, kind, members, reference):
        return struct.pack("<III", string(name) if name else 0, kind << 24 | members, reference)

    types = entry("int", BTF_INT, 0, 4) + struct.pack("<I", 32)  # 1
    types += entry("bpf_prog_aux", BTF_STRUCT, 0, 0)  # 2
    types += entry("", BTF_CONST, 0, 2)  # 3
    types += entry("", BTF_PTR, 0, 3)  # 4
    for number, (name, parameters) in enumerate(functions.items()):
        types += entry("", BTF_FUNC_PROTO, len(parameters), INT_ID)
        for parameter, type_id in parameters:
            types += struct.pack("<II", string(parameter), type_id)
        types += entry(name, BTF_FUNC, 0, 5 + 2 * number)
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return head + types + bytes(strings)


GOOD_BTF = btf(
    {
        "scx_bpf_create_dsq": [("dsq_id", INT_ID), ("node", INT_ID)],
        "scx_bpf_create_dsq_impl": [("dsq_id", INT_ID), ("aux", AUX_POINTER_ID)],
    }
)
BAD_BTF = btf({"scx_bpf_create_dsq": [("dsq_id", INT_ID), ("aux", AUX_POINTER_ID)]})


def pvh_note():
    return struct.pack("<III", 4, 8, 18) + b"Xen\0" + bytes(8)


def vmlinux(release="6.18.1-fake", btf_data=GOOD_BTF, pvh=True):
    """A 64-bit ELF file with the given sections and the version string of a kernel."""
    parts = [("", 0, b""), (".rodata", SHT_PROGBITS, f"Linux version {release} (me)".encode())]
    if btf_data is not None:
        parts.append((".BTF", SHT_PROGBITS, btf_data))
    if pvh:
        # Another note comes first, with a name and a size that need padding.
        other = struct.pack("<III", 6, 3, 1) + b"Linux\0".ljust(8, b"\0") + b"abc\0"
        parts.append((".notes", SHT_NOTE, other + pvh_note()))
    names = b"".join(name.encode() + b"\0" for name, _, _ in parts) + b".shstrtab\0"
    parts.append((".shstrtab", SHT_STRTAB, names))
    body, headers, at = b"", b"", 0
    for name, kind, content in parts:
        fields = (at, kind, 0, 0, 64 + len(body), len(content), 0, 0, 1, 0)
        headers += struct.pack("<IIQQQQIIQQ", *fields)
        body += content
        at += len(name) + 1
    head = b"\x7fELF\x02\x01\x01".ljust(0x28, b"\0") + struct.pack("<Q", 64 + len(body))
    head = head.ljust(0x3A, b"\0") + struct.pack("<HHH", 64, len(parts), len(parts) - 1)
    return head + body + headers


def compressed(how, content):
    size = struct.pack("<I", len(content))
    if how == "gzip":
        return gzip.compress(content)
    if how == "xz":
        return lzma.compress(content, check=lzma.CHECK_CRC32) + size
    if how == "zstd":
        command = ["zstd", "-qc"]
    else:
        command = ["lz4", "-lqc"]
    return subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True).stdout + size


def bzimage(payload):
    """A bzImage of three set-up sectors, with `payload` at some offset in what follows."""
    setup = bytearray(4 * 512)
    setup[0x1F1] = 3
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", setup, 0x248, 100, len(payload))
    return bytes(setup) + bytes(100) + payload + bytes(64)
