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
                tell(reasons)
                return release, None
            target, unpacked = os.path.join(work, "ready"), os.path.join(work, "unpacked")
            reason = get(suites[name], release, target, unpacked)
            shutil.rmtree(unpacked, ignore_errors=True)
            if not reason:
                tell(reasons)
                return release, target
            reasons.append(f"{release}: {reason}")
    raise NothingUsable("; ".join(reasons))


def tell(reasons):
    """Why it is not the kernel that one would expect."""
    for reason in reasons:
        say(f"passed over: {reason}")


def matching(names, pattern):
    """Kernel releases among the package `names` that match, newest first."""
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
    not usable.

    Up to 6.18 all is in linux-image-RELEASE. Then that became empty, and the image is in
    linux-binary-, the modules in linux-modules-, the list of what is built in in linux-base-. The
    signed half of these may come later than the other, and stay longer on the mirror.
    """
    offered = suite.names("linux-")

    def first_of(*kinds):
        return next((n for kind in kinds if (n := f"linux-{kind}-{release}") in offered), None)

    image = first_of("binary", "binary-unsigned", "image")
    modules, base = first_of("modules"), first_of("base")
    if not modules and image != f"linux-image-{release}":
        return "its modules are not on the mirror"
    suite.unpack(image, work)
    images = glob.glob(f"{work}/boot/vmlinuz-*") + glob.glob(f"{work}/usr/lib/modules/*/vmlinuz*")
    if not images:
        return f"{image} has no kernel image"
    reason = prepare.image(images[0], target)
    if reason:
        return reason
    for name in filter(None, (modules, base)):
        suite.unpack(name, work)
    trees = [f"{work}/{usr}lib/modules/{release}" for usr in ("usr/", "")]
    tree = next((tree for tree in trees if os.path.isdir(f"{tree}/kernel")), None)
    if not tree:
        return f"{modules or image} has no modules"
    prepare.modules(tree, target, work)
    return None
