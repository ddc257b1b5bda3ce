# SPDX-License-Identifier: Apache-2.0
"""Getting a kernel: what a mirror may offer, and what may be wrong with it."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import kernels
import pytest
from errors import Failure
from fake_kernel import BAD_BTF, GOOD_BTF, bzimage, compressed, vmlinux
from fake_mirror import Mirror

VMTEST = Path(__file__).resolve().parents[2] / "vmtest"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    folder = tmp_path / "mirror"
    folder.mkdir()
    mirror = Mirror(folder)
    monkeypatch.setenv("APT_CONFIG", str(mirror.apt_config()))
    return mirror


@pytest.fixture
def cache(tmp_path):
    """A cache, of which nothing but kernels, their names and the lock may be left."""
    folder = tmp_path / "cache"
    yield folder
    left = {path.name for path in folder.iterdir()} if folder.exists() else set()
    assert left <= {"kernels", "names", "lock"}


@pytest.fixture
def fetch(cache, monkeypatch):
    """fetch(candidate, ...) -> directory of the kernel that a table row with them leads to."""

    def fetch(*candidates):
        monkeypatch.setattr(kernels, "read_table", lambda: {"it": list(candidates)})
        return Path(kernels.ready(str(cache), "it"))

    return fetch


def files_of_modules(kernel):
    listing = subprocess.run(["busybox", "cpio", "-t"], input=(kernel / "modules.cpio").read_bytes(),
                             capture_output=True, check=True).stdout.decode()
    return {Path(line).name for line in listing.splitlines()}


def test_newest_of_a_pattern_by_number(mirror, fetch):
    mirror.add_suite("trixie")
    for release in ("6.18.9-x", "6.18.15-x", "6.18.12-x", "6.1.99-x", "6.18.16-x-dbg"):
        mirror.add_kernel("trixie", release)
    found = fetch("trixie/6.18.*-x")
    assert (found / "release").read_text() == "6.18.15-x"
    assert (found / "btf").read_bytes() == GOOD_BTF
    assert (found / "image").read_bytes() == vmlinux("6.18.15-x")
    assert "modules.dep" in files_of_modules(found)


@pytest.mark.parametrize("signed", [True, False])
def test_kernel_in_several_packages(mirror, fetch, signed):
    mirror.add_suite("sid")
    mirror.add_split_kernel("sid", "7.3.4-x", signed)
    found = fetch("sid/7.*-x")
    assert (found / "release").read_text() == "7.3.4-x"
    assert {"modules.order", "modules.builtin", "modules.dep"} <= files_of_modules(found)


def test_kernel_of_which_a_half_is_gone(mirror, fetch, capfd):
    mirror.add_suite("sid")
    mirror.add_split_kernel("sid", "7.0.2-x", unsigned=False)
    mirror.add_split_kernel("sid", "7.0.1-x")
    assert (fetch("sid/7.*-x") / "release").read_text() == "7.0.1-x"
    assert "passed over: 7.0.2-x: its modules are not on the mirror" in capfd.readouterr().err


def test_packages_without_what_their_names_say(mirror, fetch):
    mirror.add_suite("sid")
    image = bzimage(compressed("xz", vmlinux("6.18.2-x")))
    mirror.add_package("sid", "linux-image-6.18.2-x", {"boot/vmlinuz-6.18.2-x": image})
    mirror.add_package("sid", "linux-image-6.18.1-x", {"boot/config": b""})
    with pytest.raises(Failure) as caught:
        fetch("sid/6.18.*-x")
    assert "linux-image-6.18.2-x has no modules" in str(caught.value)
    assert "linux-image-6.18.1-x has no kernel image" in str(caught.value)


def test_candidates_in_their_order(mirror, fetch):
    mirror.add_suite("one")
    mirror.add_suite("two")
    mirror.add_kernel("two", "7.0.1-x")
    mirror.add_kernel("one", "6.19.1-x")
    found = fetch("absent/6.18.*-x", "one/6.18.*-x", "one/6.19.*-x", "two/*")
    assert (found / "release").read_text() == "6.19.1-x"


def test_malformed_kernel_is_refused_by_name(mirror, fetch, capfd):
    mirror.add_suite("sid")
    mirror.add_kernel("sid", "7.1.3-x", btf_data=BAD_BTF)
    mirror.add_kernel("sid", "7.1.4-x", btf_data=None)
    mirror.add_kernel("sid", "7.1.2-x")
    assert (fetch("sid/7.1.*-x") / "release").read_text() == "7.1.2-x"
    said = capfd.readouterr().err
    assert "passed over: 7.1.4-x: it has no BTF" in said
    assert "passed over: 7.1.3-x: its BTF is wrong for 1 sched_ext kfuncs, scx_bpf_create" in said


def test_no_usable_kernel_says_why_for_each(mirror, fetch):
    mirror.add_suite("sid")
    mirror.add_kernel("sid", "7.1.3-x", btf_data=BAD_BTF)
    with pytest.raises(Failure) as caught:
        fetch("absent/*", "sid/6.*", "sid/7.*-x")
    said = str(caught.value)
    assert "the mirror has no absent" in said
    assert "sid has no 6.*" in said
    assert "7.1.3-x: its BTF is wrong" in said
    assert "\n" not in said


def test_from_the_cache_without_the_mirror(mirror, fetch):
    mirror.add_suite("sid")
    mirror.add_kernel("sid", "7.0.1-x")
    found = fetch("sid/7.*")
    shutil.rmtree(mirror.folder)
    assert fetch("sid/7.*") == found
    with pytest.raises(Failure):  # another row: the name means something else now
        fetch("sid/7.0.*")


@pytest.mark.parametrize(
    "damage",
    [lambda deb: deb[: len(deb) // 2], lambda deb: deb[:-200] + bytes(200), lambda deb: b""],
    ids=["truncated", "altered", "empty"],
)
def test_damaged_package(mirror, fetch, damage):
    mirror.add_suite("sid")
    mirror.add_kernel("sid", "7.0.1-x", damage=damage)
    with pytest.raises(Failure, match="linux-image-7.0.1-x did not come whole .*: run this again"):
        fetch("sid/7.*")


def test_package_with_a_cut_off_image(mirror, fetch):
    mirror.add_suite("sid")
    image = bzimage(compressed("xz", vmlinux("7.0.1-x")))[:-500]
    mirror.add_package("sid", "linux-image-7.0.1-x", {"boot/vmlinuz-7.0.1-x": image})
    with pytest.raises(Failure, match="vmlinuz-7.0.1-x is cut off"):
        fetch("sid/7.*")


def run_vmtest(*arguments, prefix=(), **environment):
    """vmtest/run as a person starts it: (status, standard error)."""
    ended = subprocess.run(
        [*prefix, VMTEST / "run", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=120, env={**os.environ, **environment})
    return ended.returncode, ended.stderr


def one_line(said):
    assert said.startswith("vmtest: ") and said.count("\n") == 1, said
    return said


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9/debian", "http://mirror.invalid/debian"])
def test_no_network_and_an_empty_cache(mirror, cache, uri):
    config = mirror.apt_config(uri)
    status, said = run_vmtest("--", "true", prefix=["unshare", "--net"], APT_CONFIG=str(config),
                              VMTEST_CACHE=str(cache))
    assert status == 125
    assert "out of reach" in one_line(said)
    assert "-k PATH" in said


def test_apt_without_a_mirror(mirror, cache):
    config = mirror.apt_config()
    (mirror.folder / "sources.list").write_text("")
    status, said = run_vmtest("--", "true", APT_CONFIG=str(config), VMTEST_CACHE=str(cache))
    assert status == 125
    assert "it names none for this Debian release" in one_line(said)


def test_unknown_kernel_names_the_known_ones(cache):
    status, said = run_vmtest("-k", "5.15", "--", "true", VMTEST_CACHE=str(cache))
    assert status == 125
    assert "unknown kernel '5.15'; known: default 5.10 6.1 6.12" in one_line(said)


def test_cache_that_cannot_be_written():
    status, said = run_vmtest("--", "true", VMTEST_CACHE="/proc/cache")
    assert status == 125
    assert "/proc/cache" in one_line(said)


def test_by_path(cache, tmp_path):
    path = tmp_path / "bzImage"
    path.write_bytes(bzimage(compressed("gzip", vmlinux("6.19.0-mine"))))
    found = Path(kernels.ready(str(cache), str(path)))
    assert (found / "release").read_text() == "6.19.0-mine"
    assert kernels.ready(str(cache), str(path)) == str(found)
    path.write_bytes(bzimage(compressed("gzip", vmlinux("6.19.0-next"))))
    found = Path(kernels.ready(str(cache), str(path)))
    assert (found / "release").read_text() == "6.19.0-next"


def test_by_path_without_the_pvh_entry(cache, tmp_path):
    plain = vmlinux("6.19.0-mine", pvh=False)
    (tmp_path / "vmlinux").write_bytes(plain)
    (tmp_path / "bzImage").write_bytes(bzimage(compressed("gzip", plain)))
    with pytest.raises(Failure, match="no PVH entry"):
        kernels.ready(str(cache), str(tmp_path / "vmlinux"))
    found = Path(kernels.ready(str(cache), str(tmp_path / "bzImage")))
    assert (found / "image").read_bytes() == (tmp_path / "bzImage").read_bytes()


def test_by_path_with_a_module_tree_of_another_kernel(cache, tmp_path):
    (tmp_path / "vmlinux").write_bytes(vmlinux("6.19.0-mine"))
    (tmp_path / "modules").write_text("a file, not a tree")
    for modules in ("modules", "absent"):
        with pytest.raises(Failure, match=modules):
            kernels.ready(str(cache), str(tmp_path / "vmlinux"), str(tmp_path / modules))


def test_two_at_once_fetch_once(mirror, cache):
    mirror.add_suite("sid")
    mirror.add_kernel("sid", "7.0.1-x")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import kernels;"
        "kernels.read_table = lambda: {'it': ['sid/7.*']};"
        "print(kernels.ready(sys.argv[2], 'it'))"
    )
    command = [sys.executable, "-c", script, VMTEST / "lib", cache]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert said == {f"{cache}/kernels/7.0.1-x.{kernels.LAYOUT}\n"}


def test_a_killed_fetch_leaves_nothing_that_hinders_the_next(mirror, cache, fetch):
    mirror.add_suite("sid")
    mirror.add_kernel("sid", "7.0.1-x")
    stale = cache / "work-dead/sid/state"
    stale.mkdir(parents=True)
    assert (fetch("sid/7.*") / "release").read_text() == "7.0.1-x"
    assert not stale.exists()


def test_lock_held_for_too_long(mirror, cache, fetch, monkeypatch, capfd):
    monkeypatch.setattr(kernels, "LOCK_SECONDS", 0.5)
    (cache / "kernels").mkdir(parents=True)
    with open(cache / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Failure, match="another run has held"):
            fetch("sid/7.*")
    assert "waiting for another run" in capfd.readouterr().err


def test_table():
    table = kernels.read_table()
    assert list(table)[0] == "default"
    assert {"6.1", "6.12", "6.18", "newest"} <= set(table)
    assert "matrix" not in table
    for name, candidates in table.items():
        assert candidates, name
        for candidate in candidates:
            suite, _, pattern = candidate.partition("/")
            assert suite and pattern, candidate
    assert set(kernels.matrix_names()) <= set(table)
