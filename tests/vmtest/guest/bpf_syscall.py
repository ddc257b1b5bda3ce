# SPDX-License-Identifier: Apache-2.0
"""The few bpf(2) calls by which a test asks what a kernel can do, without any library."""

import ctypes
import os
import struct

MAP_CREATE, MAP_UPDATE_ELEM, PROG_LOAD, PROG_TEST_RUN, LINK_CREATE = 0, 2, 5, 10, 28
MAP_SOCKHASH = 18
PROG_SCHED_CLS, PROG_XDP, PROG_SYSCALL = 3, 6, 31
ATTACH_TCX_INGRESS, ATTACH_XDP = 46, 37
F_SLEEPABLE = 1 << 4
SYS_BPF = 321  # x86-64
ATTR_BYTES = 128


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, ATTR_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(SYS_BPF, command, buffer, ATTR_BYTES)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def load_returning(value, kind, flags=0, attach=0):
    """Load a program that does nothing but return `value`."""
    code = struct.pack("<BBhi", 0xB7, 0, 0, value) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    code_buffer = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack("<IIQQIIQII16sII", kind, 2, ctypes.addressof(code_buffer),
                             ctypes.addressof(licence), 0, 0, 0, 0, flags, b"vmtest", 0, attach)
    return bpf(PROG_LOAD, attributes)


def link_create(program, target, attach):
    return bpf(LINK_CREATE, struct.pack("<IIII", program, target, attach, 0))


def map_create(kind, key_size, value_size, entries):
    return bpf(MAP_CREATE, struct.pack("<IIII", kind, key_size, value_size, entries))


def map_update(descriptor, key, value):
    key_buffer = ctypes.create_string_buffer(key, len(key))
    value_buffer = ctypes.create_string_buffer(value, len(value))
    bpf(MAP_UPDATE_ELEM, struct.pack("<IIQQQ", descriptor, 0, ctypes.addressof(key_buffer),
                                     ctypes.addressof(value_buffer), 0))


def test_run(program):
    """Run a program once; its return value."""
    buffer = ctypes.create_string_buffer(struct.pack("<I", program), ATTR_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(SYS_BPF, PROG_TEST_RUN, buffer, ATTR_BYTES) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return struct.unpack_from("<I", buffer, 4)[0]


test_run.__test__ = False  # not one of pytest's
