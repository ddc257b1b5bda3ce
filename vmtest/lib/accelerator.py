# SPDX-License-Identifier: Apache-2.0
"""KVM or TCG. A /dev/kvm proves nothing: nested or filtered, it may start QEMU and no kernel. So it
is tried once on each boot of this machine, by booting, and the verdict is kept."""

import argparse
import os

import machine
from errors import Failure, say

TRIAL_SECONDS = 20  # with KVM a boot takes one or two


def choose(cache, kernel):
    """The name of the accelerator to use; VMTEST_ACCEL overrules."""
    forced = os.environ.get("VMTEST_ACCEL")
    if forced in ("kvm", "tcg"):
        return forced
    if forced:
        raise Failure(f"VMTEST_ACCEL is '{forced}': it may be kvm or tcg")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    path = os.path.join(cache, "kvm")
    identity = _identity()
    try:
        with open(path, encoding="utf-8") as file:
            known, verdict = file.read().splitlines()
        if known == identity:
            return verdict
    except (FileNotFoundError, ValueError):
        pass
    verdict = _try_kvm(cache, kernel)
    with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
        file.write(f"{identity}\n{verdict}\n")
    os.rename(file.name, path)
    return verdict


def _identity():
    """What the verdict depends on: this boot of this machine, and QEMU."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    return f"{boot} {machine.qemu_version()}"


def _try_kvm(cache, kernel):
    options = argparse.Namespace(
        accel="kvm",
        boot_seconds=TRIAL_SECONDS,
        cache=cache,
        command=["true"],
        cpus=1,
        env=[],
        extra=[],
        interactive=False,
        kernel=kernel,
        mib=1024,
        project=os.path.dirname(os.path.abspath(__file__)),
        seconds=TRIAL_SECONDS,
        strict=False,
    )
    try:
        if machine.Machine(options).run() == 0:
            return "kvm"
        reason = "the command in it failed"
    except machine.MachineFailed as failure:
        reason = str(failure)
    say(f"/dev/kvm is there but of no use ({reason}); using TCG until the next boot")
    return "tcg"
