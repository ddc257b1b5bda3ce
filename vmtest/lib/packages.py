# SPDX-License-Identifier: Apache-2.0
"""Installed Debian packages as a source of files: what a package needs, and what it contains."""

import os
import re

from errors import Failure

DPKG = "/var/lib/dpkg"
# Read by people, or by programs that no test runs.
UNWANTED = re.compile(
    r"/usr/share/(doc|man|info|locale|lintian|bug|i18n|bash-completion|zoneinfo)(/|$)"
    r"|/usr/include/|/usr/lib/[^/]*/gconv/|/usr/share/perl"
)


class Installed:
    """The packages that dpkg calls installed on this machine."""

    def __init__(self, root=DPKG):
        self.root = root
        self.fields = {}
        self.providers = {}
        with open(os.path.join(root, "status"), encoding="utf-8") as file:
            for paragraph in file.read().split("\n\n"):
                self._add(dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", paragraph, re.M)))

    def closure(self, wanted):
        """The names `wanted` and all that they depend on, as installed here, sorted."""
        seen = set()
        todo = list(wanted)
        absent = sorted(name for name in todo if name not in self.fields)
        if absent:
            raise Failure(f"not installed, but for the guest: {' '.join(absent)}; run tools/deps")
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += self._dependencies(name)
        return sorted(seen)

    def version(self, name):
        return self.fields[name]["Version"]

    def files(self, name):
        """Absolute paths of the package's files that a guest may want; directories are left out."""
        for suffix in ("", ":" + self.fields[name]["Architecture"]):
            path = os.path.join(self.root, "info", name + suffix + ".list")
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    for line in file.read().splitlines():
                        if not UNWANTED.match(line) and not _is_real_directory(line):
                            yield line
                return

    def _add(self, field):
        if not field.get("Status", "").endswith(" installed"):
            return
        self.fields[field["Package"]] = field
        for provided in _alternatives(field.get("Provides", "")):
            self.providers.setdefault(provided[0], field["Package"])

    def _dependencies(self, name):
        field = self.fields[name]
        for key in ("Pre-Depends", "Depends"):
            for choice in _alternatives(field.get(key, "")):
                found = (n if n in self.fields else self.providers.get(n) for n in choice)
                yield from [n for n in found if n][:1]


def _alternatives(text):
    """Each comma-separated relation as its list of names: `a (>= 1), b:any | c` -> [a], [b, c]."""
    for relation in text.split(","):
        names = re.findall(r"(?:^|\|)\s*([a-z0-9][a-z0-9+.-]*)", relation)
        if names:
            yield names


def _is_real_directory(path):
    return os.path.isdir(path) and not os.path.islink(path)
