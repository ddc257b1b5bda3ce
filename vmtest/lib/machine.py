# SPDX-License-Identifier: Apache-2.0
"""The machine: start QEMU, stream the command's output, return its exit status."""

import contextlib
import io
import math
import os
import re
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import termios
import time

import image
from errors import Failure, say
from process import dependent_child
from protocol import Stream

QEMU = "qemu-system-x86_64"
BOOT_SECONDS = 90  # until the guest says "ready"; it takes 3 to 8 s, much more on a busy host
DUMP_SECONDS = 5  # for a hung guest to tell the console what it is doing
COMPLAINED = 1  # status of a command that succeeded while the kernel complained, with --strict
HUNG = 124
FAILED = 125
CONSOLE_BYTES = 1 << 20  # of the console's end are kept
CONSOLE_LINES = 60  # of them are shown

# Under TCG without cx16: the cmpxchg16b of QEMU 7.2 leaves garbage in the flags register (the
# helper computes them from a condition-code state that was not written back), sometimes the trap
# flag. The kernel's allocator uses the instruction where it can; then one boot in ten dies.
TCG_CPU = "max,-cx16"
ACCELERATORS = {
    "kvm": ["-accel", "kvm", "-cpu", "max"],
    "tcg": ["-accel", "tcg,thread=multi", "-cpu", TCG_CPU],
    # Guest time follows instructions. TCG counts a string move once for each byte: without erms
    # and fsrm the kernel uses plain loops, which are counted as on a real CPU.
    "icount": ["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off"]
    + ["-cpu", TCG_CPU + ",-erms,-fsrm"],
}
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=-1 oops=panic random.trust_cpu=on loglevel="
PANIC = re.compile(rb"Kernel panic - not syncing: ([^\r\n]*)")
# What the kernel prints when something is wrong with it, whatever the command's exit status says.
COMPLAINT = re.compile(
    rb"(?:BUG|WARNING|UBSAN|KASAN|Oops): [^\r\n]*"
    rb"|INFO: (?:task|rcu)[^\r\n]*(?:blocked|stall)[^\r\n]*"
)


class MachineFailed(Exception):
    """The machine failed, not the command."""


def qemu_version():
    """Of the QEMU on PATH, as (major, minor)."""
    try:
        text = subprocess.run([QEMU, "--version"], capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise Failure(f"{QEMU} is not installed; run tools/deps") from None
    found = re.search(rb"version (\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


def run(options):
    """The command's exit status, HUNG or FAILED; one more attempt where the machine failed."""
    for attempts_left in (1, 0):
        machine = Machine(options)
        try:
            status = machine.run()
        except MachineFailed as failure:
            console = machine.show_console()
            if attempts_left:
                say(f"{failure}; trying once more")
                continue
            say(f"{failure}, twice; {console}")
            return FAILED
        if status is None:
            console = machine.show_console()
            say(f"the command did not end within {options.seconds:g} s (-t); {console}")
            return HUNG
        if options.out:
            unpack(machine.stream.archive, options.out)
        complaint = COMPLAINT.search(machine.console)
        if complaint:
            console = machine.show_console()
            say(f"the kernel complained: {complaint.group().decode(errors='replace')}; {console}")
            if options.strict and status == 0:
                return COMPLAINED
        return status


class Machine:
    """One boot of one machine."""

    def __init__(self, options):
        self.options = options
        self.nonce = secrets.token_hex(16)
        self.stream = Stream(self.nonce)
        self.console = bytearray()
        self.errors = bytearray()
        self.process = None

    def run(self):
        """The exit status of the command, or None if it did not end in time."""
        with contextlib.ExitStack() as stack:
            initrd = stack.enter_context(self._initrd())
            port, port_peer = (stack.enter_context(end) for end in socket.socketpair())
            # Pipes: a socket counts each character of the console as a packet, is soon full of
            # them, and QEMU drops the next.
            console, console_peer = (stack.enter_context(end) for end in pipe())
            errors, errors_peer = (stack.enter_context(end) for end in pipe())
            if self.options.interactive:
                stack.enter_context(terminal_restored())
            stack.callback(self._kill)
            self._start(initrd, port_peer, console_peer, errors_peer)
            for peer in (port_peer, console_peer, errors_peer):
                peer.close()
            sinks = {port: self._from_port, console: self._from_console, errors: self._from_qemu}
            return self._watch(port, sinks)

    def _initrd(self):
        """The guest's whole file system, in a memory file: nothing to tidy up, however we end."""
        options = self.options
        initrd = open(os.memfd_create("vmtest-initrd"), "w+b")
        base, present = image.open_base(options.cache)
        with base, open(os.path.join(options.kernel, "modules.cpio"), "rb") as modules:
            shutil.copyfileobj(base, initrd, 1 << 20)
            shutil.copyfileobj(modules, initrd, 1 << 20)
        image.write_project(initrd, options.project, options.extra, present)
        terminal = os.get_terminal_size(0) if options.interactive else None
        image.write_command(
            initrd,
            command=options.command,
            environment=dict(setting.split("=", 1) for setting in options.env),
            folder=options.project,
            nonce=self.nonce,
            terminal=terminal,
        )
        initrd.flush()
        mib = initrd.tell() >> 20
        # In memory packed and unpacked at once; and a root of tmpfs takes half of it at most.
        if mib * 4 > options.mib:
            raise Failure(f"the guest's image has {mib} MiB: give the machine more, -m {mib * 4}")
        return initrd

    def _start(self, initrd, port, console, errors):
        options = self.options
        terminal = "stdio,signal=off"
        if not options.interactive:
            terminal = f"file,path=/proc/self/fd/{console.fileno()}"
        level = "4" if options.interactive else "5"  # errors; warnings too
        command = [QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-nic", "none"]
        command += ["-display", "none", "-monitor", "none", *ACCELERATORS[options.accel]]
        command += ["-smp", str(options.cpus), "-m", str(options.mib)]
        command += ["-kernel", os.path.join(options.kernel, "image")]
        command += ["-initrd", f"/proc/self/fd/{initrd.fileno()}"]
        command += ["-append", KERNEL_ARGUMENTS + level]
        command += ["-chardev", f"{terminal},id=console", "-serial", "chardev:console"]
        command += ["-device", "virtio-serial-pci"]
        command += ["-chardev", f"socket,fd={port.fileno()},id=port"]
        command += ["-device", "virtserialport,chardev=port,name=vmtest"]
        self.process = subprocess.Popen(
            command,
            stdin=None if options.interactive else subprocess.DEVNULL,
            stdout=None if options.interactive else subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[each.fileno() for each in (initrd, port, console)],
            # A terminal's signals reach us; we end QEMU. Where a person types, they are bytes.
            start_new_session=not options.interactive,
            preexec_fn=dependent_child(),
        )

    def _watch(self, port, sinks):
        """Read what QEMU sends until the command's end, the machine's end, or the deadline."""
        until = time.monotonic() + self.options.boot_seconds
        booted = hung = False
        with selectors.DefaultSelector() as selector:
            for source in sinks:
                selector.register(source, selectors.EVENT_READ)
            while not self.stream.complete:
                # epoll takes no longer timeout than a few weeks, and "for ever" is not one.
                left = until - time.monotonic()
                for key, _ in selector.select(min(max(left, 0), 3600)):
                    if not self._receive(key.fileobj, sinks):
                        selector.unregister(key.fileobj)
                if self.stream.ready and not booted:
                    booted = True
                    limit = math.inf if self.options.interactive else self.options.seconds
                    until = time.monotonic() + limit
                if port not in selector.get_map():
                    if hung:
                        return None
                    self._fail("ended while the command ran" if booted else "did not boot")
                if time.monotonic() >= until:
                    if not booted:
                        self._fail(f"did not boot within {self.options.boot_seconds:g} s")
                    if hung:
                        return None
                    hung = True
                    until += DUMP_SECONDS
                    port.sendall(b"dump\n")
        return None if hung else self.stream.status

    def _receive(self, source, sinks):
        """Take what there is; False at the end of that source."""
        try:
            data = os.read(source.fileno(), 1 << 16)
        except ConnectionResetError:
            data = b""
        sinks[source](data)
        return bool(data)

    def _from_port(self, data):
        emit(self.stream.feed(data) if data else self.stream.finish())

    def _from_console(self, data):
        self.console += data
        del self.console[:-CONSOLE_BYTES]

    def _from_qemu(self, data):
        self.errors += data[: CONSOLE_BYTES - len(self.errors)]

    def _fail(self, what):
        panic = PANIC.search(self.console)
        said = panic.group(1) if panic else self.errors.strip().partition(b"\n")[0]
        reason = f" ({said.decode(errors='replace')})" if said else ""
        raise MachineFailed(f"the machine {what}{reason}")

    def _kill(self):
        if not self.process:
            return
        if self.options.interactive:
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def show_console(self):
        """Keep the console in out/ and show its end; returns where it is."""
        if not self.console:
            return "nothing came from its console"
        folder = os.path.join(self.options.project, "out", "vmtest")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"console-{os.getpid()}.log")
        with open(path, "wb") as file:
            file.write(self.console)
        text = self.console.decode(errors="replace").replace("\r", "")
        for line in text.splitlines()[-CONSOLE_LINES:]:
            print(f"  | {line}", file=sys.stderr)
        return f"its console: {path}"


def pipe():
    """Its two ends, as files."""
    source, sink = os.pipe()
    return open(source, "rb", buffering=0), open(sink, "wb", buffering=0)


def emit(data):
    """Write the command's output as it comes; a slow reader slows the guest down."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


@contextlib.contextmanager
def terminal_restored():
    """QEMU puts the terminal into raw mode, and is not asked before it is killed."""
    settings = termios.tcgetattr(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, settings)


def unpack(archive, folder):
    """Regular files only, and only below `folder`, whatever the guest has put into the archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in filter(tarfile.TarInfo.isreg, tar):
            path = os.path.join(folder, os.path.normpath("/" + member.name).lstrip("/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                shutil.copyfileobj(tar.extractfile(member), file)
