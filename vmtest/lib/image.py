# SPDX-License-Identifier: Apache-2.0
"""What the guest's root file system is made of, layer by layer (each a cpio archive):

base     the programs of vmtest/guest-packages and all they depend on, from this machine; cached
         under a hash of the packages' versions and of the code that packs them
modules  the kernel's modules; cached with the kernel (lib/prepare-kernel)
project  the working tree with its built binaries and the libraries that those need
command  what to run, with its environment
"""

import contextlib
import hashlib
import os
import shlex
import stat
import subprocess
import time

import packages
from cpio import Archive, guest_path

HERE = os.path.dirname(os.path.abspath(__file__))
VMTEST = os.path.dirname(HERE)
LOADER = "/lib64/ld-linux-x86-64.so.2"
UNUSED_DAYS = 14  # a base image not used for so long is dropped
BUSYBOX = "/usr/bin/busybox"

# Never wanted in the guest, wherever they are, or below the project's root.
SKIPPED_NAMES = {".git", "node_modules", "__pycache__", ".pytest_cache"}
SKIPPED_PATHS = {"out"} | {
    f"build/{name}" for name in ("fuzz", "lib", "lint", "node", "obj", "san", "test-logs", "tsan")
}

# Hosts are files only: who has name servers of its own asks them all the same.
ETC = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"
    "sluice:x:998:998:sluice:/nonexistent:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\nsluice:x:998:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost vm\n::1 localhost\n",
    "etc/hostname": "vm\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\n",
}


def wanted_packages():
    with open(os.path.join(VMTEST, "guest-packages"), encoding="utf-8") as file:
        lines = (line.partition("#")[0].split() for line in file)
        return [name for line in lines for name in line]


def open_base(cache):
    """(open file of the base layer, names in it), built first where it is not in the cache."""
    installed = packages.Installed()
    names = installed.closure(wanted_packages())
    key = _base_key(installed, names)
    folder = os.path.join(cache, "images")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"base-{key}.cpio")
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        _build_base(installed, names, path)
        file = open(path, "rb")
    os.utime(path)
    _drop_unused(folder)
    with open(path + ".names", encoding="utf-8", errors="surrogateescape") as listing:
        return file, set(listing.read().split("\n"))


def _base_key(installed, names):
    digest = hashlib.sha256()
    for source in ("lib/image.py", "lib/cpio.py", "lib/packages.py", "guest/init"):
        with open(os.path.join(VMTEST, source), "rb") as file:
            digest.update(file.read())
    digest.update(" ".join(f"{n}={installed.version(n)}" for n in names).encode())
    return digest.hexdigest()[:16]


def _build_base(installed, names, path):
    with _published(path + ".names") as listing, _published(path) as out:
        with Archive(out) as archive:
            for top in ("bin", "sbin", "lib", "lib64"):
                archive.symlink(top, "usr/" + top)
            for top in ("dev", "proc", "sys", "run", "root", "mnt", "var/tmp", "usr/lib64"):
                archive.directory(top)
            archive.directory("tmp", 0o1777)
            archive.copy(os.path.join(VMTEST, "guest/init"), "init")
            for name, content in ETC.items():
                archive.data(name, content.encode())
            for package in names:
                for source in installed.files(package):
                    archive.copy(source)
                    if source.endswith(".py"):
                        _copy_compiled(archive, source)
            applets = subprocess.run([BUSYBOX, "--list"], stdout=subprocess.PIPE, check=True)
            for applet in applets.stdout.decode().split():
                if not archive.names & {f"usr/bin/{applet}", f"usr/sbin/{applet}"}:
                    archive.symlink(f"usr/bin/{applet}", BUSYBOX)
        listing.write("\n".join(sorted(archive.names)).encode(errors="surrogateescape"))


def _copy_compiled(archive, source):
    """Python's cache of a module: compiling the standard library anew takes seconds in a guest."""
    folder, name = os.path.split(source)
    cache = os.path.join(folder, "__pycache__")
    if not os.path.isdir(cache):
        return
    for entry in os.listdir(cache):
        if entry.startswith(name[:-2] + "cpython-") and entry.endswith(".pyc"):
            archive.copy(os.path.join(cache, entry))


@contextlib.contextmanager
def _published(path):
    """A file that appears under its name when it is complete, and never otherwise: without a name
    until then, it leaves nothing behind whenever this process dies."""
    folder = os.path.dirname(path)
    descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        with contextlib.suppress(FileExistsError):  # another run was faster with the same
            # Naming any directory makes Python call linkat() with AT_SYMLINK_FOLLOW, see open(2).
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)


def _drop_unused(folder):
    limit = time.time() - UNUSED_DAYS * 86400
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            if entry.name.endswith(".cpio") and entry.stat().st_mtime < limit:
                os.unlink(entry.path)
                os.unlink(entry.path + ".names")


def write_project(out, project, extra, present):
    """The working tree at `project` and the paths `extra`, under the names that they have here;
    libraries that are not among the names `present` come along. Returns the size in bytes."""
    binaries = []
    with Archive(out) as archive:
        for path in _project_files(project):
            archive.copy(path)
            if _is_dynamic(path):
                binaries.append(path)
        for root in extra:
            for path in _all_files(root):
                archive.copy(path)
                if _is_dynamic(path):
                    binaries.append(path)
        for library in _libraries(binaries):
            if guest_path(library) not in present:
                archive.copy(os.path.realpath(library), guest_path(library))
    return archive.size


def _project_files(project):
    for folder, subfolders, files in os.walk(project):
        below = os.path.relpath(folder, project)
        subfolders[:] = [
            name
            for name in sorted(subfolders)
            if name not in SKIPPED_NAMES
            and os.path.normpath(os.path.join(below, name)) not in SKIPPED_PATHS
        ]
        yield folder
        for name in sorted(set(files) - SKIPPED_NAMES):
            yield os.path.join(folder, name)


def _all_files(root):
    yield root
    if os.path.isdir(root):
        for folder, subfolders, files in os.walk(root):
            for name in sorted(subfolders + files):
                yield os.path.join(folder, name)


def _is_dynamic(path):
    """Whether the loader can be asked about it: an executable ELF file."""
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode) or not info.st_mode & 0o111:
            return False
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _libraries(binaries):
    """Absolute paths of the shared libraries that `binaries` load, by the loader itself (as ldd
    does, without its shell). The loader refuses statically linked programs: they need none."""
    found = set()
    for binary in binaries:
        listing = subprocess.run(
            [LOADER, "--list", binary], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ).stdout.decode(errors="surrogateescape")
        for line in listing.splitlines():
            word = line.partition("=>")[2].split() or line.split()
            if word and word[0].startswith("/"):
                found.add(word[0])
    return sorted(found)


def write_command(out, *, command, environment, folder, nonce, terminal):
    """What the guest's init runs: a shell script, and what init itself wants to know."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    lines += [f"cd {shlex.quote(folder)} || exit 125", "exec " + shlex.join(command)]
    with Archive(out) as archive:
        archive.data("vmtest/command", ("\n".join(lines) + "\n").encode(errors="surrogateescape"))
        archive.data("vmtest/nonce", nonce.encode())
        if terminal:
            size = f"rows {terminal.lines} cols {terminal.columns}"
            archive.data("vmtest/terminal", size.encode())
