# SPDX-License-Identifier: Apache-2.0
"""Archives, read back by somebody else's cpio."""

import io
import os
import stat
import subprocess

import pytest
from cpio import BLOCK, Archive, guest_path


def unpacked(data, folder):
    subprocess.run(["busybox", "cpio", "-idm"], input=data, cwd=folder, check=True,
                   stderr=subprocess.DEVNULL)
    return folder


def test_files_links_and_directories(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    program = source / "program"
    program.write_bytes(b"\x7fELF\0\1")
    program.chmod(0o4755)
    os.utime(program, (0, 1234567890))
    (source / "link").symlink_to("program")
    out = io.BytesIO()
    with Archive(out) as archive:
        archive.copy(str(program), "deep/er/program")
        archive.copy(str(source / "link"), "deep/link")
        archive.directory("tmp", 0o1777)
        archive.data("odd\nname", b"x")
        assert not archive.copy(str(source / "gone"))
    assert out.tell() % BLOCK == 0 and archive.size == out.tell()
    result = unpacked(out.getvalue(), tmp_path / "source")
    copy = result / "deep/er/program"
    assert copy.read_bytes() == b"\x7fELF\0\1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o4755
    assert copy.stat().st_mtime == 1234567890
    assert os.readlink(result / "deep/link") == "program"
    assert stat.S_IMODE((result / "tmp").stat().st_mode) == 0o1777
    assert (result / "odd\nname").read_bytes() == b"x"


def test_a_name_is_written_once(tmp_path):
    out = io.BytesIO()
    with Archive(out) as archive:
        archive.data("name", b"first")
        archive.data("name", b"second")
    assert (unpacked(out.getvalue(), tmp_path) / "name").read_bytes() == b"first"


def test_what_is_neither_file_nor_link_nor_directory_is_left_out(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with Archive(io.BytesIO()) as archive:
        assert not archive.copy(str(tmp_path / "fifo"))


@pytest.mark.parametrize(
    "path, name",
    [
        ("/bin/ip", "usr/bin/ip"),
        ("/usr/bin/ip", "usr/bin/ip"),
        ("/lib64/ld.so", "usr/lib64/ld.so"),
        ("/lib/x/../y", "usr/lib/y"),
        ("/binary/x", "binary/x"),
        ("/bin", "bin"),
    ],
)
def test_merged_usr(path, name):
    assert guest_path(path) == name
