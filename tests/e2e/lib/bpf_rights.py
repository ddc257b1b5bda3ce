# SPDX-License-Identifier: Apache-2.0
"""
What the process that runs this may do with pins and with bpf(2), by trying: a JSON object on
standard output, of each trial "ok" or the name of its error.

usage: bpf_rights.py DIRECTORY MAP RUNNABLE-PROGRAM PRIVATE-PROGRAM
"""

import ctypes
import errno
import json
import os
import struct
import sys

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY, PROG_LOAD = 0, 1, 2, 3, 4, 5
OBJ_GET, PROG_TEST_RUN, OBJ_GET_INFO = 7, 10, 15
MAP_ARRAY, PROG_SOCKET_FILTER, PROG_SCHED_CLS = 2, 1, 3
F_RDONLY = 1 << 3
SYS_BPF = 321  # x86-64
ATTR_BYTES = 128
MAP_INFO_BYTES = 80
RETURN_ZERO = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, ATTR_BYTES)
    result = _libc.syscall(SYS_BPF, command, buffer, ATTR_BYTES)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def obj_get(path, flags=0):
    name = ctypes.create_string_buffer(str(path).encode())
    return bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(name), 0, flags))


def map_shape(descriptor):
    """(type, key bytes, value bytes, entries) of a map."""
    info = ctypes.create_string_buffer(MAP_INFO_BYTES)
    bpf(OBJ_GET_INFO, struct.pack("<IIQ", descriptor, MAP_INFO_BYTES, ctypes.addressof(info)))
    kind, _, key, value, entries = struct.unpack_from("<IIIII", info.raw)
    return kind, key, value, entries


def map_call(command, descriptor, key, value=None):
    """With buffers for key and, if there is one, value; returns the latter's."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    value_buffer = value and ctypes.create_string_buffer(value, len(value))
    address = ctypes.addressof(value_buffer) if value else 0
    bpf(command, struct.pack("<IIQQQ", descriptor, 0, ctypes.addressof(key_buffer), address, 0))
    return value_buffer and value_buffer.raw


def prog_load(kind):
    code = ctypes.create_string_buffer(RETURN_ZERO, len(RETURN_ZERO))
    licence = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack("<IIQQIIQII16sII", kind, 2, ctypes.addressof(code),
                                      ctypes.addressof(licence), 0, 0, 0, 0, 0, b"trial", 0, 0))


def run(program, context_bytes):
    context = ctypes.create_string_buffer(max(1, context_bytes))
    address = ctypes.addressof(context) if context_bytes else 0
    # prog_fd, retval, data sizes, data, repeat, duration, ctx sizes, ctx
    bpf(PROG_TEST_RUN, struct.pack("<IIIIQQIIIIQQ", program, 0, 0, 0, 0, 0, 0, 0, context_bytes, 0,
                                   address, 0))


def attempt(trial):
    try:
        trial()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"


class Trials:
    def __init__(self, directory, map_name, runnable, private):
        self.map_path = f"{directory}/{map_name}"
        self.readonly_path = f"{directory}/ro/{map_name}"
        self.runnable_path = f"{directory}/{runnable}"
        self.private_path = f"{directory}/{private}"

    def open_map(self):
        os.close(obj_get(self.map_path))

    def open_readonly_map_for_writing(self):
        os.close(obj_get(self.readonly_path))

    def open_readonly_map(self):
        os.close(obj_get(self.readonly_path, F_RDONLY))

    def _write_read_delete(self, descriptor):
        _, key_bytes, value_bytes, _ = map_shape(descriptor)
        key, value = b"\x7f" * key_bytes, bytes(range(1, 9)).ljust(value_bytes, b"\0")
        map_call(MAP_UPDATE, descriptor, key, value)
        assert map_call(MAP_LOOKUP, descriptor, key, bytes(value_bytes)) == value
        map_call(MAP_DELETE, descriptor, key)

    def write_read_delete(self):
        descriptor = obj_get(self.map_path)
        try:
            self._write_read_delete(descriptor)
        finally:
            os.close(descriptor)

    def write_through_readonly(self):
        descriptor = obj_get(self.readonly_path, F_RDONLY)
        try:
            self._write_read_delete(descriptor)
        finally:
            os.close(descriptor)

    def read_through_readonly(self):
        """A key that is not there: ENOENT is the map's answer, EPERM would be a refusal."""
        descriptor = obj_get(self.readonly_path, F_RDONLY)
        _, key_bytes, value_bytes, _ = map_shape(descriptor)
        try:
            map_call(MAP_LOOKUP, descriptor, b"\x7e" * key_bytes, bytes(value_bytes))
        except FileNotFoundError:
            pass
        finally:
            os.close(descriptor)

    def open_runnable(self):
        os.close(obj_get(self.runnable_path))

    def run_program(self):
        """Whatever it says to a context of zeros: that it ran is the point."""
        descriptor = obj_get(self.runnable_path)
        try:
            run(descriptor, CONTEXT_BYTES)
        finally:
            os.close(descriptor)

    def open_private(self):
        os.close(obj_get(self.private_path))

    def load_socket_filter(self):
        os.close(prog_load(PROG_SOCKET_FILTER))

    def load_classifier(self):
        os.close(prog_load(PROG_SCHED_CLS))

    def create_map(self):
        os.close(bpf(MAP_CREATE, struct.pack("<IIII", MAP_ARRAY, 4, 4, 1)))

    def remove_pin(self):
        os.unlink(self.map_path)

    def make_pin_directory(self):
        os.mkdir(f"{os.path.dirname(self.map_path)}/mine")


CONTEXT_BYTES = int(os.environ.get("CONTEXT_BYTES", "0"))


def main():
    trials = Trials(*sys.argv[1:5])
    names = [name for name in vars(Trials) if not name.startswith("_")]
    print(json.dumps({name: attempt(getattr(trials, name)) for name in names}))


if __name__ == "__main__":
    main()
