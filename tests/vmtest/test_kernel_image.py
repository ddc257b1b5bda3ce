# SPDX-License-Identifier: Apache-2.0
"""From a bzImage to the vmlinux inside."""

import kernel_image
import pytest
from errors import Failure
from fake_kernel import BAD_BTF, GOOD_BTF, bzimage, compressed, vmlinux

FORMATS = ["gzip", "xz", "zstd", "lz4"]


@pytest.mark.parametrize("how", FORMATS)
def test_every_compression(how):
    image = bzimage(compressed(how, vmlinux()))
    assert kernel_image.vmlinux_of(image, "bzImage") == vmlinux()


def test_a_vmlinux_is_taken_as_it_is():
    image = vmlinux()
    assert kernel_image.vmlinux_of(image, "vmlinux") is image


@pytest.mark.parametrize("how", FORMATS)
def test_cut_off_image_is_refused(how):
    image = bzimage(compressed(how, vmlinux()))
    for length in range(0x300, len(image) - 64, 100):
        with pytest.raises(Failure, match="bzImage is cut off"):
            kernel_image.vmlinux_of(image[:length], "bzImage")


@pytest.mark.parametrize("how", FORMATS)
def test_damaged_image_is_refused(how):
    payload = compressed(how, vmlinux())
    image = bzimage(payload[: len(payload) // 2] + bytes(len(payload) - len(payload) // 2))
    with pytest.raises(Failure, match="bzImage does not unpack"):
        kernel_image.vmlinux_of(image, "bzImage")


@pytest.mark.parametrize(
    "image, words",
    [
        (b"", "neither"),
        (b"#!/bin/sh\n" * 1000, "neither"),
        (bzimage(b"unknown"), "unknown way"),
        (bzimage(compressed("gzip", b"no kernel")), "ELF"),
    ],
)
def test_what_is_no_kernel_is_refused(image, words):
    with pytest.raises(Failure, match=words):
        kernel_image.vmlinux_of(image, "that")


def test_release_btf_and_entry_are_found():
    image = vmlinux("7.0.3+deb13-cloud-amd64")
    assert kernel_image.release_of(image) == "7.0.3+deb13-cloud-amd64"
    assert kernel_image.btf_of(image) == GOOD_BTF
    assert kernel_image.has_pvh_entry(image)
    assert not kernel_image.has_pvh_entry(vmlinux(pvh=False))


@pytest.mark.parametrize(
    "btf_data, words",
    [(None, "no BTF"), (BAD_BTF, "scx_bpf_create_dsq"), (GOOD_BTF[:50], "cut off")],
)
def test_why_a_kernel_is_of_no_use(btf_data, words):
    assert words in kernel_image.why_unusable(kernel_image.btf_of(vmlinux(btf_data=btf_data)))


def test_a_sound_kernel_is_of_use():
    assert kernel_image.why_unusable(GOOD_BTF) is None
