# SPDX-License-Identifier: Apache-2.0
"""tools/deps finds the mirror of this machine in either format, and stops where it must."""

import os
import subprocess
from pathlib import Path

import pytest

DEPS = Path(__file__).resolve().parents[1] / "deps"
MIRROR = "http://mirror.example/debian"


def deps(folder, *arguments, release="ID=debian\nVERSION_CODENAME=bookworm\n", path=None):
    (folder / "os-release").write_text(release)
    env = os.environ | {"DEPS_APT_DIR": str(folder), "DEPS_OS_RELEASE": str(folder / "os-release")}
    return subprocess.run([DEPS, *arguments], env=env | ({"PATH": path} if path else {}),
                          capture_output=True, text=True)


def backports(folder):
    done = deps(folder, "--backports")
    assert done.returncode == 0
    return done.stdout


ENTRY = f"Types: deb\nURIs: {MIRROR}\nSuites: bookworm-backports\nComponents: main\n"


def test_deb822(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(f"""\
# a comment
Types: deb deb-src
# URIs: http://snapshot.example/debian
URIs: {MIRROR}
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/a.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
""")
    assert backports(tmp_path) == ENTRY + "Signed-By: /usr/share/keyrings/a.gpg\n"


def test_deb822_key_within_the_entry(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY865UxYJ\n"
    (tmp_path / "sources.list.d/a.sources").write_text(
        f"Types: deb\nSuites: bookworm\nComponents: main\n{key}URIs: {MIRROR}\n")
    assert backports(tmp_path) == ENTRY + key


@pytest.mark.parametrize("change", [
    ("Types: deb", "Types: deb-src"), ("Suites: bookworm", "Suites: bookworm-updates"),
    ("Components: main", "Components: contrib"), ("Types: deb", "Enabled: no\nTypes: deb"),
])
def test_deb822_other_entries_do_not_count(tmp_path, change):
    (tmp_path / "sources.list.d").mkdir()
    text = f"Types: deb\nURIs: {MIRROR}\nSuites: bookworm\nComponents: main\n"
    (tmp_path / "sources.list.d/a.sources").write_text(text.replace(*change))
    assert backports(tmp_path) == ""


@pytest.mark.parametrize("line, key", [
    (f"deb {MIRROR} bookworm main contrib", ""),
    (f"deb [arch=amd64 signed-by=/k/a.gpg] {MIRROR} bookworm main", "Signed-By: /k/a.gpg\n"),
    (f"deb [ signed-by=/k/a.gpg,/k/b.gpg ] {MIRROR} bookworm main",
     "Signed-By: /k/a.gpg /k/b.gpg\n"),
])
def test_one_line(tmp_path, line, key):
    (tmp_path / "sources.list").write_text(
        f"# deb http://old.example bookworm main\ndeb-src {MIRROR} bookworm main\n"
        f"deb http://mirror.example/s bookworm-security main\n{line}\n{line}\n")
    assert backports(tmp_path) == ENTRY + key


def without_packages(folder):
    """A PATH on which dpkg-query knows no package and node is absent."""
    tools = folder / "bin"
    tools.mkdir()
    for name in ("bash", "env", "awk", "tr", "xargs", "id"):
        for place in ("/usr/bin", "/bin"):
            if Path(place, name).exists():
                (tools / name).symlink_to(Path(place, name))
                break
    (tools / "dpkg-query").write_text("#!/bin/bash\nexit 1\n")
    (tools / "dpkg-query").chmod(0o755)
    return str(tools)


def test_check_names_what_is_missing(tmp_path):
    done = deps(tmp_path, "--check", path=without_packages(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("deps: missing: gcc ")
    assert "nodejs" in done.stderr and "libbpf-dev" in done.stderr


def test_other_distribution_prints_the_list_and_stops(tmp_path):
    done = deps(tmp_path, release="ID=fedora\n", path=without_packages(tmp_path))
    assert done.returncode == 1
    assert "libbpf-dev" in done.stdout.split("\n")
    assert done.stderr.count("\n") == 1 and "not Debian" in done.stderr


def test_usage(tmp_path):
    assert deps(tmp_path, "--nonsense").returncode == 1
