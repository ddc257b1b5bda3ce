# SPDX-License-Identifier: Apache-2.0
"""Getting the best of several kernels from Debian's suites."""

import fnmatch
import glob
import os
import re
import shutil

import prepare
from apt import NoSuchSuite, Suite, Unreachable
from errors import say

TRIES = 4  # releases of one candidate that are looked at, newest first
OutOfReach = Unreachable


class NothingUsable(Exception):
    """None of the candidates will do; the text says why, for each."""


def best(candidates, work, is_ready):
    """The first usable kernel of `candidates`, each a "SUITE/PATTERN", as (release, directory of
    the ready kernel in `work`); without a directory if is_ready(release) says that it has one."""
    suites = {}
    reasons = []
    for candidate in candidates:
        name, _, pattern = candidate.partition("/")
        try:
            if name not in suites:
                suites[name] = Suite(name, os.path.join(work, name))
        except NoSuchSuite as error:
            reasons.append(str(error))
            continue
        releases = matching(suites[name].names("linux-"), pattern)
        if not releases:
            reasons.append(f"{name} has no {pattern}")
        for release in releases[:TRIES]:
            if is_ready(release):
                return release, None
            target = os.path.join(work, "ready")
            reason = get(suites[name], release, target, os.path.join(work, release))
            if not reason:
                return release, target
            say(f"refusing {release}: {reason}")
            reasons.append(f"{release}: {reason}")
    raise NothingUsable("; ".join(reasons))


def matching(names, pattern):
    """Kernel releases among the package `names` that match, newest first. Up to 6.18 image and
    modules are in linux-image-RELEASE, later in linux-binary-RELEASE and linux-modules-RELEASE."""
    found = set()
    for name in names:
        match = re.fullmatch(r"linux-(?:image|binary-unsigned|binary)-(\d.*)", name)
        if match and fnmatch.fnmatchcase(match.group(1), pattern):
            found.add(match.group(1))
    return sorted(found, key=by_number, reverse=True)


def by_number(release):
    """Sorts 6.18.15 behind 6.18.9."""
    parts = re.findall(r"\d+|\D+", release)
    return [(part.isdigit(), int(part) if part.isdigit() else part) for part in parts]


def get(suite, release, target, work):
    """Make one release ready in `target`, with `work` for what is unpacked; the reason if it is
    not usable. The image is looked at before anything else is fetched."""
    choices = (
        (f"linux-binary-{release}", f"linux-binary-unsigned-{release}", f"linux-image-{release}"),
        (f"linux-modules-{release}",),
        (f"linux-base-{release}",),  # the list of what is built in, where it has its own package
    )
    names = suite.names("linux-")
    wanted = [next((name for name in choice if name in names), None) for choice in choices]
    suite.unpack(wanted[0], work)
    images = glob.glob(f"{work}/boot/vmlinuz-*") + glob.glob(f"{work}/usr/lib/modules/*/vmlinuz*")
    if not images:
        return f"package {wanted[0]} has no kernel image"
    reason = prepare.image(images[0], target)
    if not reason:
        for name in filter(None, wanted[1:]):
            suite.unpack(name, work)
        trees = [f"{work}/{usr}lib/modules/{release}" for usr in ("usr/", "")]
        prepare.modules(next(filter(os.path.isdir, trees), None), target, work)
    shutil.rmtree(work)
    return reason
