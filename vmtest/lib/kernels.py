# SPDX-License-Identifier: Apache-2.0
"""Kernels, by name or by path, made ready to boot in the cache.

A ready kernel is a directory: image (what QEMU boots), btf (its .BTF section), release (`uname -r`)
and modules.cpio (the layer of the guest's image with /usr/lib/modules). Downloads do not stay.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import tempfile
import time

import fetch
import prepare
from errors import Failure, say

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = os.path.join(os.path.dirname(HERE), "kernels")
MATRIX = "matrix"  # the row that is not a kernel
LAYOUT = "2"  # of a ready kernel; another one makes old caches void
LOCK_SECONDS = 900  # another run may be fetching the same
UNUSED_DAYS = 14  # a kernel given by path that was not used for so long is dropped


def read_table():
    """{name: [candidate "SUITE/PATTERN", ...]} in the order of the file."""
    return {name: words for name, words in _rows() if name != MATRIX}


def matrix_names():
    """Names of the kernels that a matrix has, unless told otherwise."""
    return dict(_rows())[MATRIX]


def _rows():
    with open(TABLE, encoding="utf-8") as file:
        text = re.sub(r"#.*", "", file.read())
    for row in re.sub(r"\n[ \t]+", " ", text).split("\n"):
        if row.strip():
            name, *words = row.split()
            yield name, words


def ready(cache, name, modules=None):
    """The directory of the ready kernel `name`, or of the one at the path `name`."""
    os.makedirs(_directory(cache, ""), exist_ok=True)
    if "/" in name:
        return _by_path(cache, name, modules)
    if modules:
        raise Failure("--modules is for a kernel given by path")
    table = read_table()
    if name not in table:
        raise Failure(f"unknown kernel '{name}'; known: {' '.join(table)}, or a path with a /")
    release = _recorded(cache, name, table[name])
    if not release:
        with _lock(cache), _workspace(cache) as work:
            release = _recorded(cache, name, table[name])  # another run may have been faster
            if not release:
                release = _fetch(cache, name, table[name], work)
    return _directory(cache, release)


def cached_release(cache, name):
    return _recorded(cache, name, read_table()[name])


def _directory(cache, release):
    return os.path.join(cache, "kernels", f"{release}.{LAYOUT}" if release else "")


def _fetch(cache, name, candidates, work):
    """Make the best candidate ready and note that it is `name`; its release."""
    try:
        release, found = fetch.best(candidates, work, lambda r: os.path.isdir(_directory(cache, r)))
    except fetch.OutOfReach as error:
        raise Failure(
            f"kernel '{name}' is not in {cache}, and the mirror of this machine's apt is out of "
            f"reach ({error}): connect to it once, or give a kernel by -k PATH"
        ) from error
    except fetch.NothingUsable as error:
        raise Failure(f"no usable kernel for '{name}': {error}; try another, or -k PATH") from error
    if found:
        os.rename(found, _directory(cache, release))
    os.makedirs(os.path.join(cache, "names"), exist_ok=True)
    path = os.path.join(work, "name")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{' '.join(candidates)}\n{release}\n")
    os.rename(path, os.path.join(cache, "names", name))
    return release


def _recorded(cache, name, candidates):
    """The release noted for `name`, if it is still there and the table's row still the same."""
    try:
        with open(os.path.join(cache, "names", name), encoding="utf-8") as file:
            row, release = file.read().splitlines()
    except (FileNotFoundError, ValueError):
        return None
    usable = row == " ".join(candidates) and os.path.isdir(_directory(cache, release))
    return release if usable else None


@contextlib.contextmanager
def _lock(cache):
    """One run at a time changes the cache."""
    with open(os.path.join(cache, "lock"), "w", encoding="utf-8") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failure(
                        f"another run has held {file.name} for {LOCK_SECONDS} s: end it"
                    ) from None
            if not told:
                say(f"waiting for another run, which is filling {cache}")
                told = True
            time.sleep(0.2)
        yield


@contextlib.contextmanager
def _workspace(cache):
    """A directory for downloads; what a killed run left is removed first (we hold the lock)."""
    for stale in glob.glob(os.path.join(cache, "work-*")):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=cache) as work:
        yield work


def _by_path(cache, path, modules):
    """A kernel that somebody built, cached under what identifies its files."""
    if modules and not os.path.isdir(modules):
        raise Failure(f"--modules {modules} is not a directory; it wants /lib/modules/RELEASE")
    identity = [LAYOUT]
    for each in filter(None, (path, modules)):
        try:
            info = os.stat(each)
        except OSError as error:
            raise Failure(f"no kernel at {each}: {error.strerror}") from error
        identity += [os.path.realpath(each), info.st_size, info.st_mtime_ns]
    key = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
    final = _directory(cache, f"path-{key}")
    if not os.path.isdir(final):
        with _lock(cache), _workspace(cache) as work:
            if not os.path.isdir(final):
                target = os.path.join(work, "ready")
                reason = prepare.image(path, target)
                if reason:
                    raise Failure(f"refusing {path}: {reason}")
                prepare.modules(modules, target, work)
                os.rename(target, final)
                _drop_unused(cache)
    os.utime(final)
    return final


def _drop_unused(cache):
    limit = time.time() - UNUSED_DAYS * 86400
    for entry in os.scandir(_directory(cache, "")):
        if entry.name.startswith("path-") and entry.stat().st_mtime < limit:
            shutil.rmtree(entry.path, ignore_errors=True)
