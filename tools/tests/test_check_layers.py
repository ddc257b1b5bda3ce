# SPDX-License-Identifier: Apache-2.0
"""tools/check-layers passes a good tree and fails on each seeded violation."""

import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[1] / "check-layers"
APACHE = "/* SPDX-License-Identifier: Apache-2.0 */\n"
DUAL = "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n"
HOST = "registry." + "npmjs.org"

GOOD = {
    "include/sluice/abi.h": DUAL + "#include <linux/types.h>\n",
    "bpf/one.bpf.c": DUAL + '#include <bpf/bpf_helpers.h>\n#include "sluice/abi.h"\n',
    "user/base/std.h": APACHE + "#include <stdlib.h>\n",
    "user/proto/frame.c": APACHE + '#include "base/std.h"\n#include <sluice/abi.h>\n',
    "user/app/one/main.c": APACHE + '#include "app/one/own.h"\n#include "app/shared.h"\n',
    "tests/unit/base/test_std.c": APACHE + '#include "lib/x.h"\n#include "app/shared.h"\n',
    "tools/script": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n",
    "README.md": "No licence line needed; repository.example.org is no registry.\n",
}


def check(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run([CHECK, "--root", root], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_good_tree(tmp_path):
    assert check(tmp_path, GOOD) == (0, "")


@pytest.mark.parametrize("name, text, says", [
    ("user/base/a.c", APACHE + '#include "proto/frame.h"\n', "a.c:2: "),
    ("user/base/a.c", APACHE + '# include "app/shared.h"\n', "higher layer"),
    ("user/core/a.c", APACHE + '#include "route/rules.h"\n', "higher layer"),
    ("user/base/a.c", APACHE + '#include "std.h"\n', "not qualified"),
    ("user/base/a.c", APACHE + '#include "../proto/frame.h"\n', "climbs out"),
    ("user/base/a.c", APACHE + '#include <base/std.h>\n', "is ours"),
    ("user/base/a.c", APACHE + '#include "lib/x.h"\n', "does not begin with a layer"),
    ("user/base/a.c", APACHE + '#include "bpf/splice.bpf.h"\n', "does not begin with a layer"),
    ("user/app/one/a.c", APACHE + '#include "app/two/own.h"\n', "another program"),
    ("include/sluice/b.h", DUAL + "#include <stdint.h>\n", "ABI"),
    ("bpf/b.bpf.h", DUAL + '#include "base/std.h"\n', "BPF code"),
    ("bpf/b.bpf.h", APACHE, "licence is Apache-2.0"),
    ("user/base/a.c", DUAL, "licence is GPL"),
    ("user/base/a.c", "int a;\n", "no SPDX"),
    ("tools/other", "#!/usr/bin/env bash\ntrue\n", "no SPDX"),
    ("Makefile", "all:\n", "no SPDX"),
    ("README.md", f"one\nget it from https://{HOST}/ws\n", "README.md:2: names the package"),
    ("tests/e2e/node/package-lock.json", "{}\n", "lock files"),
])
def test_seeded_violation(tmp_path, name, text, says):
    status, output = check(tmp_path, GOOD | {name: text})
    assert status == 1
    assert output.count("\n") == 1
    assert says in output


def test_long_file_is_only_named(tmp_path):
    status, output = check(tmp_path, GOOD | {"user/base/a.c": APACHE + "int a;\n" * 700})
    assert status == 0
    assert "user/base/a.c has 701 lines" in output


def test_ignored_files_are_not_looked_at(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    bad = {"user/base/a.c": "int a;\n", "kept/b.c": "int b;\n", ".gitignore": "user\n"}
    status, output = check(tmp_path, bad)
    assert status == 1
    assert output.startswith("kept/b.c:1:") and output.count("\n") == 1
