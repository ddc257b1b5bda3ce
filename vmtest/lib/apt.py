# SPDX-License-Identifier: Apache-2.0
"""Packages of Debian suites that this machine does not use itself, without installing them.

apt runs with state, cache and sources of its own in a directory that the caller removes; mirror,
proxy, keys and the rest come from the machine's configuration.
"""

import glob
import os
import re
import subprocess

from errors import Failure
from process import dependent_child

UPDATE_SECONDS = 180
DOWNLOAD_SECONDS = 600
KEYRINGS = "/usr/share/keyrings/debian-archive-keyring.*"
OWN_SUITES = ("stable", "testing", "unstable", "sid")  # other names that a machine may use for it
NO_SUITE = re.compile(r"404 |File not found")


class NoSuchSuite(Exception):
    """The mirror does not have the suite."""


class Unreachable(Exception):
    """The mirror cannot be asked, or the machine's apt names none."""


class Suite:
    """One suite of the mirror; its package list is fetched into the new directory `folder`."""

    def __init__(self, name, folder):
        self.folder = folder
        for below in ("state/lists/partial", "cache/archives/partial", "debs"):
            os.makedirs(os.path.join(folder, below))
        self.options = [
            f"-o=Dir::State={folder}/state",
            f"-o=Dir::Cache={folder}/cache",
            f"-o=Dir::Etc::sourcelist={folder}/sources.list",
            "-o=Dir::Etc::sourceparts=-",
            "-o=Dir::State::status=/dev/null",
            "-o=APT::Sandbox::User=root",
            "-o=APT::Update::Error-Mode=any",
            "-o=Acquire::Languages=none",
            "-o=Acquire::Retries=1",
            "-o=Acquire::http::Timeout=20",
            "-o=Acquire::https::Timeout=20",
        ]
        keyring = next((f"[signed-by={path}] " for path in sorted(glob.glob(KEYRINGS))), "")
        with open(os.path.join(folder, "sources.list"), "w", encoding="utf-8") as file:
            file.write(f"deb {keyring}{mirror()} {name} main\n")
        try:
            run("apt-get", *self.options, "update", seconds=UPDATE_SECONDS)
        except subprocess.CalledProcessError as error:
            reason = complaint(error)
            if NO_SUITE.match(reason):
                raise NoSuchSuite(f"the mirror has no {name}") from None
            raise Unreachable(reason) from None
        except subprocess.TimeoutExpired:
            raise Unreachable(f"no answer in {UPDATE_SECONDS} s") from None

    def names(self, prefix):
        """Names of the suite's packages that begin with `prefix`."""
        return set(run("apt-cache", *self.options, "pkgnames", prefix).split())

    def unpack(self, name, root):
        """Download the package `name` and unpack it into the directory `root`."""
        debs = os.path.join(self.folder, "debs")
        os.makedirs(root, exist_ok=True)
        try:
            run("apt-get", *self.options, "download", name, folder=debs, seconds=DOWNLOAD_SECONDS)
            (deb,) = glob.glob(os.path.join(debs, "*.deb"))
            run("dpkg-deb", "-x", deb, root)
        except subprocess.CalledProcessError as error:
            raise Failure(
                f"package {name} did not come whole ({complaint(error)}): run this again; if that "
                "does not help, the mirror is at fault: give a kernel by -k PATH"
            ) from None
        except subprocess.TimeoutExpired:
            raise Failure(
                f"package {name} did not come within {DOWNLOAD_SECONDS} s: try later"
            ) from None
        os.unlink(deb)


def mirror():
    """The URI from which this machine gets its own Debian release."""
    with open("/etc/os-release", encoding="utf-8") as file:
        codename = re.search(r"^VERSION_CODENAME=(\S+)", file.read(), re.M)
    try:
        # What an update would fetch; unlike `indextargets` it does not depend on an earlier one.
        listing = run("apt-get", "update", "--print-uris")
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise Unreachable("there is no apt here") from None
    found = re.findall(r"^'(\S+)/dists/(\S+)/InRelease'", listing, re.M)
    uris = {suite: uri for uri, suite in found}
    for suite in (codename and codename.group(1), *OWN_SUITES):
        if suite in uris:
            return uris[suite]
    raise Unreachable("it names none for this Debian release")


def complaint(error):
    """By what words apt or dpkg says what is wrong. apt puts the cause below the line of the file
    that it did not get, and only the consequence on standard error."""
    found = re.search(r"^Err:.*\n\s+(.*)", error.stdout, re.M) or re.search(
        r"^(?:E: |dpkg-deb: error: )(.*)", error.stderr, re.M
    )
    return " ".join(found.group(1).split()) if found else f"exit status {error.returncode}"


def run(*command, folder=None, seconds=60):
    """Its standard output; the exceptions of subprocess.run()."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=True,
        preexec_fn=dependent_child(),
    ).stdout
