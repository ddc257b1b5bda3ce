# SPDX-License-Identifier: Apache-2.0
"""Reading BTF, and what is wrong with the sched_ext functions of some kernels."""

import glob

import pytest
from btf import Btf, Malformed, uncallable_scx_kfuncs
from fake_kernel import AUX_POINTER_ID, BAD_BTF, GOOD_BTF, INT_ID, btf


def test_functions_and_their_parameters():
    assert dict(Btf(GOOD_BTF).functions()) == {
        "scx_bpf_create_dsq": [("dsq_id", INT_ID), ("node", INT_ID)],
        "scx_bpf_create_dsq_impl": [("dsq_id", INT_ID), ("aux", AUX_POINTER_ID)],
    }


def test_implicit_argument_belongs_to_the_twin_only():
    assert uncallable_scx_kfuncs(Btf(GOOD_BTF)) == []
    assert uncallable_scx_kfuncs(Btf(BAD_BTF)) == ["scx_bpf_create_dsq"]


@pytest.mark.parametrize(
    "functions",
    [
        {"scx_bpf_now": []},
        {"scx_bpf_kick_cpu": [("aux", INT_ID)]},  # the name alone says nothing
        {"scx_bpf_reenqueue_local": [("prog", AUX_POINTER_ID)]},
        {"bpf_wq_set_callback": [("aux", AUX_POINTER_ID)]},  # not of sched_ext
        {"scx_bpf_x": [("aux", AUX_POINTER_ID), ("last", INT_ID)]},
    ],
)
def test_callable(functions):
    assert uncallable_scx_kfuncs(Btf(btf(functions))) == []


def test_cut_off_anywhere_is_malformed():
    for length in range(len(GOOD_BTF)):
        with pytest.raises(Malformed):
            Btf(GOOD_BTF[:length])


def test_other_magic_and_unknown_kinds_are_malformed():
    with pytest.raises(Malformed):
        Btf(b"\xeb\x9f" + GOOD_BTF[2:])
    wild = bytearray(GOOD_BTF)
    wild[24 + 7] = 31  # the kind of the first type
    with pytest.raises(Malformed):
        Btf(bytes(wild))


@pytest.mark.skipif(not glob.glob("/sys/kernel/btf/vmlinux"), reason="this kernel has no BTF")
def test_reads_the_running_kernels_own():
    with open("/sys/kernel/btf/vmlinux", "rb") as file:
        names = {name for name, _ in Btf(file.read()).functions()}
    assert "tcp_v4_rcv" in names
