# SPDX-License-Identifier: Apache-2.0
"""What goes into the guest's file system."""

import io
import os
import shutil
import subprocess
import time

import image
import pytest
from errors import Failure
from packages import Installed

STATUS = """\
Package: tool
Status: install ok installed
Architecture: amd64
Version: 1.2-3
Pre-Depends: base
Depends: libone (>= 2), absent | choice:any | other,
 continued-line-is-ignored

Package: base
Status: install ok installed
Architecture: amd64
Version: 1

Package: libone
Status: install ok installed
Architecture: amd64
Version: 2
Depends: virtual, tool

Package: choice
Status: hold ok installed
Architecture: all
Version: 3

Package: provider
Status: install ok installed
Architecture: amd64
Version: 4
Provides: virtual (= 4), more

Package: other
Status: install ok installed
Architecture: amd64
Version: 5

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 5
"""


@pytest.fixture
def installed(tmp_path):
    (tmp_path / "dpkg/info").mkdir(parents=True)
    (tmp_path / "dpkg/status").write_text(STATUS)
    return Installed(str(tmp_path / "dpkg"))


def test_closure_follows_dependencies_choices_and_provisions(installed):
    assert installed.closure(["tool"]) == ["base", "choice", "libone", "provider", "tool"]


def test_absent_packages_are_named(installed):
    with pytest.raises(Failure, match="absent removed; run tools/deps"):
        installed.closure(["tool", "removed", "absent"])


def test_files_of_a_package_without_what_nobody_reads(installed, tmp_path):
    (tmp_path / "dpkg/info/tool:amd64.list").write_text(
        "/.\n/usr/bin\n/usr/bin/tool\n/usr/share/doc/tool/README\n/usr/include/tool.h\n"
        "/usr/share/docs/kept\n/usr/lib/x86_64-linux-gnu/gconv/X.so\n"
    )
    assert list(installed.files("tool")) == ["/usr/bin/tool", "/usr/share/docs/kept"]


def names_in(archive):
    listing = subprocess.run(["busybox", "cpio", "-t"], input=archive, capture_output=True)
    return set(listing.stdout.decode().splitlines())


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    for path in ("tests/a.py", ".git/config", "build/obj/x.o", "build/tests/unit/obj/y",
                 "build/lib/z.a", "tests/node_modules/m", "tests/__pycache__/a.pyc", "out/r"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    shutil.copy("/usr/bin/openssl", folder / "build/program")
    (folder / "build/link").symlink_to("program")
    return folder


def test_project_without_what_the_guest_does_not_want(project):
    out = io.BytesIO()
    image.write_project(out, str(project), [], set())
    prefix = str(project).lstrip("/") + "/"
    found = {name.removeprefix(prefix) for name in names_in(out.getvalue()) if prefix in name}
    assert {"tests/a.py", "build/program", "build/link", "build/tests/unit/obj/y"} <= found
    assert not {name for name in found if name.startswith((".git", "out", "build/obj", "build/lib"))}
    assert not {name for name in found if "node_modules" in name or "__pycache__" in name}


def test_libraries_come_along_unless_they_are_there(project):
    out = io.BytesIO()
    image.write_project(out, str(project), [], {"usr/lib/x86_64-linux-gnu/libc.so.6"})
    names = names_in(out.getvalue())
    assert "usr/lib/x86_64-linux-gnu/libcrypto.so.3" in names
    assert "usr/lib64/ld-linux-x86-64.so.2" in names
    assert "usr/lib/x86_64-linux-gnu/libc.so.6" not in names


def test_extra_paths_keep_their_names(project, tmp_path):
    extra = tmp_path / "extra"
    (extra / "sub").mkdir(parents=True)
    (extra / "sub/file").write_text("x")
    out = io.BytesIO()
    image.write_project(out, str(project), [str(extra)], set())
    assert f"{extra}/sub/file".lstrip("/") in names_in(out.getvalue())


def test_base_is_built_once_and_dropped_when_unused(tmp_path):
    cache = str(tmp_path)
    first, names = image.open_base(cache)
    again, same = image.open_base(cache)
    with first, again:
        assert os.path.sameopenfile(first.fileno(), again.fileno())
        wanted = {"init", "usr/bin/busybox", "usr/bin/python3", "usr/sbin/modprobe"}
        assert names == same and wanted <= names
        assert wanted <= names_in(first.read())
        built = os.path.basename(first.name)
    stale = tmp_path / "images/base-0123456789abcdef.cpio"
    fresh = tmp_path / "images/base-fedcba9876543210.cpio"
    for other in (stale, fresh):
        other.write_bytes(b"")
        (tmp_path / "images" / (other.name + ".names")).write_bytes(b"")
    long_ago = time.time() - (image.UNUSED_DAYS + 1) * 86400
    os.utime(stale, (long_ago, long_ago))
    image.open_base(cache)[0].close()
    left = {path.name for path in (tmp_path / "images").iterdir()}
    assert left == {built, built + ".names", fresh.name, fresh.name + ".names"}
