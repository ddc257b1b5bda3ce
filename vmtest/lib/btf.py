# SPDX-License-Identifier: Apache-2.0
"""Reading BTF (Documentation/bpf/btf.rst), as far as checking functions needs it."""

import struct

MAGIC = 0xEB9F
PTR, ARRAY, STRUCT, UNION, ENUM, CONST = 2, 3, 4, 5, 6, 10
FUNC, FUNC_PROTO, DATASEC, ENUM64 = 12, 13, 15, 19
# Bytes that follow a type's three words: fixed, or for each of its members.
FIXED = {1: 4, ARRAY: 12, 14: 4, 17: 4}
EACH = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}
LAST_KIND = 19


class Malformed(Exception):
    """The bytes are not BTF that we can read."""


class Btf:
    def __init__(self, data):
        try:
            self._parse(data)
        except (struct.error, IndexError) as error:
            raise Malformed(f"BTF is cut off: {error}") from error

    def _parse(self, data):
        magic, version, _, header, types, types_size, strings, strings_size = struct.unpack_from(
            "<HBBIIIII", data
        )
        if magic != MAGIC or version != 1:
            raise Malformed(f"BTF of magic {magic:#x}, version {version}")
        start = header + types
        end = start + types_size
        if header + strings + strings_size > len(data) or end > len(data):
            raise Malformed("BTF is cut off")
        self.strings = data[header + strings : header + strings + strings_size]
        self.data = data
        self.types = [(0, 0, 0, 0, 0)]  # void
        while start < end:
            name, info, reference = struct.unpack_from("<III", data, start)
            start += 12
            kind, members = info >> 24 & 0x1F, info & 0xFFFF
            if not 0 < kind <= LAST_KIND:
                raise Malformed(f"BTF kind {kind}")
            self.types.append((kind, name, reference, members, start))
            start += FIXED.get(kind, 0) + EACH.get(kind, 0) * members

    def name(self, offset):
        return self.strings[offset : self.strings.index(b"\0", offset)].decode()

    def functions(self):
        """(name, [(name, type id) of each parameter]) of every function."""
        for kind, name, prototype, _, _ in self.types:
            if kind == FUNC:
                _, _, _, members, start = self.types[prototype]
                pairs = struct.iter_unpack("<II", self.data[start : start + 8 * members])
                yield self.name(name), [(self.name(n), type_id) for n, type_id in pairs]

    def points_to_struct(self, type_id, name):
        """Whether the type is `struct NAME *`, const or not."""
        kind, _, target, _, _ = self.types[type_id]
        if kind != PTR:
            return False
        kind, offset, reference, _, _ = self.types[target]
        if kind == CONST:
            kind, offset, _, _, _ = self.types[reference]
        return kind == STRUCT and self.name(offset) == name


def uncallable_scx_kfuncs(btf):
    """sched_ext kfuncs that no program can call.

    Since 7.0 a kfunc's implicit last argument, `struct bpf_prog_aux *`, is the verifier's to pass:
    resolve_btfids removes it from the prototype in BTF and gives the full one to a twin, NAME_impl.
    In some builds of 7.1 and 7.2 that step was lost, and programs, which pass one argument less,
    are refused.
    """
    return sorted(
        name
        for name, parameters in btf.functions()
        if name.startswith("scx_bpf_")
        and not name.endswith("_impl")
        and parameters
        and parameters[-1][0] == "aux"
        and btf.points_to_struct(parameters[-1][1], "bpf_prog_aux")
    )
