# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all end-to-end tests: the daemon, its peers, a hard limit on every test's time."""

import contextlib
import os
import shutil
import signal
import tempfile
import zlib
from pathlib import Path

import pytest

from lib import box as boxes
from lib import env, pins, process
from lib.daemon import Daemons
from lib.endpoint import RawEndpoint
from lib.peers import Peers
from lib.splice_network import Network
from lib.tunnels import Tunnels

# Whoever runs us with nohup ignores it, and what we start would, too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A hanging test fails here, with a traceback of where it hung; nothing asserts on time.
_LIMIT_S = 300 * (2 if env.IN_VM else 3 if env.SANITIZED else 4 if env.FULL else 1)


def _fail_hanging(_signal, _frame):
    raise TimeoutError(f"test did not end within {_LIMIT_S} s")


# What tells the many cases of one test apart is seldom the kernel: a VM runs a sample of them, the
# same ones each time, chosen without regard to the order, in which parameters follow a pattern.
_CASES_IN_VM = 10


def pytest_collection_modifyitems(config, items):
    if not env.IN_VM:
        return
    cases = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out = set()
    for same in cases.values():
        same.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))
        left_out.update(same[_CASES_IN_VM:])
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _time_limit():
    previous = signal.signal(signal.SIGALRM, _fail_hanging)
    signal.alarm(_LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture(scope="session", autouse=True)
def _no_leaks():
    """All processes, and all of our own descriptors, are gone at the end."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    left = process.live()
    for one in left:
        one.kill()
    assert not left, f"left running: {[p.argv for p in left]}"
    after = len(os.listdir("/proc/self/fd"))
    assert after <= before, f"the tests leaked descriptors: {before} -> {after}"


@contextlib.contextmanager
def _temporary_directory():
    """Short, as it holds unix sockets. KEEP=1 in the environment keeps it."""
    path = Path(tempfile.mkdtemp(prefix="sluice-e2e-"))
    try:
        yield path
    finally:
        if not os.environ.get("KEEP"):
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def directory():
    with _temporary_directory() as path:
        yield path


@pytest.fixture
def sluiced(directory):
    """start(config_text, **options) -> lib.daemon.Sluiced, stopped at the end of the test."""
    with Daemons(directory) as start:
        yield start


@pytest.fixture
def endpoint():
    """A backend inside the test that does exactly what the test says."""
    with RawEndpoint() as one:
        yield one


@pytest.fixture
def peers(directory):
    """Starts real WebSocket programs as peers."""
    with Peers(directory) as one:
        yield one


@pytest.fixture
def box(directory):
    """Namespaces and a BPF file system that nobody else sees."""
    why_not = boxes.missing()
    if why_not:
        pytest.skip(why_not)
    with boxes.Box(directory) as one:
        yield one


@pytest.fixture
def loaded(box):
    """Such a box, with everything loaded, attached to nothing."""
    box.loader("load", "--flows", "64", *pins.GROUPS)
    return box


@pytest.fixture(params=["tcx", "clsact"])
def kind(request, box):
    """Of hook."""
    if request.param == "tcx" and not pins.has_tcx(box):
        pytest.skip("no tcx in this kernel")
    return request.param


@pytest.fixture(scope="session")
def _splice_is_possible():
    why_not = boxes.missing()
    if why_not:
        pytest.skip(why_not)
    with _temporary_directory() as directory, boxes.Box(directory) as box:
        said = box.loader("load", check=False)
        if said.returncode != 0:
            pytest.skip(f"nothing can be loaded here: {said.stderr.strip()}")


@pytest.fixture
def splice_network(_splice_is_possible, directory):
    """start(version=4, **options) -> lib.splice_network.Network, running until the test ends."""
    made = []

    def start(version=4, **options):
        made.append(Network(box, version))
        made[-1].begin(**options)
        return made[-1]

    with boxes.Box(directory) as box:
        yield start
        for network in made:
            network.end()


@pytest.fixture
def make_tunnels(splice_network):
    made = []

    def make(version=4, **options):
        made.append(Tunnels(splice_network(version, server=None, **options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


# The same for a whole file, where many small cases use one daemon.


@pytest.fixture(scope="module")
def module_directory():
    with _temporary_directory() as path:
        yield path


@pytest.fixture(scope="module")
def module_sluiced(module_directory):
    with Daemons(module_directory) as start:
        yield start


@pytest.fixture(scope="module")
def module_peers(module_directory):
    with Peers(module_directory) as one:
        yield one
