# SPDX-License-Identifier: Apache-2.0
"""A daemon that is nobody: what it keeps, what it can still do, and what it cannot."""

import json
import os

import pytest

from lib import box as boxes
from lib import env
from lib.splice_network import BENCH, ended, result_of

WHY_NOT = boxes.missing()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

SLUICED = env.BUILD / "sluiced"
USER, GROUP = 65534, 4242
NET_ADMIN, NET_BIND_SERVICE = 1 << 12, 1 << 10
BECOME = "--user", USER, "--group", GROUP
RIGHTS = env.ROOT / "tests/e2e/lib/bpf_rights.py"
PINS = f"{boxes.BPFFS}/sluice"


def as_user(*capabilities):
    """The way of a service manager: the user from the start, with ambient capabilities."""
    these = ",".join(["-all", *(f"+{one}" for one in capabilities)])
    return ("setpriv", f"--reuid={USER}", f"--regid={GROUP}", "--clear-groups",
            f"--inh-caps={these}", f"--ambient-caps={these}", f"--bounding-set={these}")


# ProtectKernelTunables, which mounts what is below /sys read-only.
PROTECTED = "unshare", "-m", "sh", "-c", f'mount -o remount,bind,ro {boxes.BPFFS} && exec "$@"', "sh"
WAYS = {
    "dropped": {"options": BECOME},
    "given": {"starter": PROTECTED + as_user("net_admin", "net_bind_service")},
}


@pytest.fixture
def start(splice_network, directory):
    os.chmod(directory, 0o755)
    os.chown(directory, USER, GROUP)

    def begin(**options):
        return splice_network(**{"group": GROUP, **options})

    return begin


@pytest.fixture(params=WAYS)
def network(request, start):
    """With a listener on a port that only root, or a capability, may take."""
    return start(more='listener low { listen = {"10.1.0.1:80"} }', **WAYS[request.param])


def status_of(task):
    with open(f"{task}/status", encoding="ascii") as file:
        rows = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    return {key: value.split() for key, value in rows.items()}


def tasks_of(pid):
    return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def test_what_is_left(network):
    """Of every thread: user, group, two capabilities, and no way to more."""
    tasks = tasks_of(network.pid)
    assert len(tasks) > 1
    for task in tasks:
        status = status_of(task)
        assert set(status["Uid"]) == {str(USER)} and set(status["Gid"]) == {str(GROUP)}
        assert set(status["Groups"]) <= {str(GROUP)}
        caps = {key: int(status[key][0], 16)
                for key in ("CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd")}
        kept = NET_ADMIN | NET_BIND_SERVICE
        assert caps == {"CapPrm": kept, "CapEff": kept, "CapInh": 0, "CapAmb": 0, "CapBnd": kept}
        assert status["NoNewPrivs"] == ["1"]
        assert status["Seccomp"] == ["2"]  # a filter


def test_such_a_process_can_load_nothing(network):
    """Another program, as the daemon is but for its filter: the kernel itself refuses."""
    status = status_of(f"/proc/{network.pid}")
    names = {NET_ADMIN: "net_admin", NET_BIND_SERVICE: "net_bind_service"}
    caps = [name for bit, name in names.items() if int(status["CapEff"][0], 16) & bit]
    assert (int(status["Uid"][0]), int(status["Gid"][0])) == (USER, GROUP)
    done = network.box.run(*as_user(*caps), "--no-new-privs", "/usr/bin/python3", RIGHTS, PINS,
                           "flows4", "sl_hold", "sl_splice",
                           environment={"CONTEXT_BYTES": "1024"})
    found = json.loads(done.stdout)
    for refused in ("load_socket_filter", "load_classifier", "create_map"):
        assert found[refused] == "EPERM", refused
    for refused in ("open_private", "remove_pin", "make_pin_directory"):
        assert found[refused] == "EACCES", refused
    assert found["run_program"] == found["write_read_delete"] == "ok"


def test_it_splices(network):
    client = network.client("-c", 4, "-d", 60, "-s", "64-3000", "--verify")
    network.wait_spliced(4)
    network.wait_moving(100000)
    assert ended(client)["opened"] == 4
    network.wait_none()
    assert {row["path"] for row in network.lines(4)} == {"splice"}


def test_it_opens_again_what_it_had_opened(network):
    """Listeners with a port below 1024, access log, configuration, control socket, pins."""
    listeners = {row["listener"] for row in network.ctl("show", "listeners")}
    assert listeners == {"l", "low"}
    network.log.rename(network.log.with_suffix(".1"))
    network.ctl("reload")
    result_of(network.client("-c", 1, "-n", 1))
    assert network.lines(1)[0]["route"] == "r"
    network.kill_daemon()
    network.start_daemon()
    assert network.splice_offload()["available"]


def test_without_the_capability_it_relays(start):
    network = start(starter=as_user("net_bind_service"))
    row = network.splice_offload()
    assert (row["available"], row["reason"]) == (False, "kernel")
    assert row["detail"] == "TCP_REPAIR is refused: CAP_NET_ADMIN is missing"
    assert result_of(network.client("-c", 2, "-n", 10))["messages_total"] == 10
    assert {row["path"] for row in network.lines(2)} == {"relay"}


def test_outside_of_the_group_it_relays(start):
    network = start(options=("--user", USER, "--group", GROUP + 1))
    row = network.splice_offload()
    assert (row["available"], row["reason"]) == (False, "not_loaded")
    assert "is this user in the group of sluice-loader?" in row["detail"]


# ---- without networks --------------------------------------------------------------------------


@pytest.fixture
def box(directory):
    os.chmod(directory, 0o755)
    os.chown(directory, USER, GROUP)
    with boxes.Box(directory) as one:
        yield one


def write_config(directory, text=""):
    path = directory / "sluice.conf"
    path.write_text(f"""
worker {{ count = 1 }}
listener l {{ listen = {{"127.0.0.1:8080"}} }}
route echo {{ match {{ path = "/echo" }} echo = true }}
{text}
""")
    return path


def wait_ready(box, daemon):
    def is_ready():
        assert daemon.is_running(), daemon.stderr()
        return box.run(env.BUILD / "sluicectl", "status", check=False).returncode == 0

    env.until(is_ready, "an answer at the default control socket")


def test_the_default_control_socket_after_a_daemon_of_root(box, directory):
    """Which has left a directory of root's, and a socket in it."""
    config = write_config(directory)
    with box.start(SLUICED, "-c", config) as first:
        wait_ready(box, first)
        assert "running as root: set process.user, or start with --user" in first.stderr()
    assert box.exists("/run/sluice/control.sock")
    config = write_config(directory, f'process {{ user = "{USER}"  group = "{GROUP}" }}')
    with box.start(SLUICED, "-c", config) as second:
        wait_ready(box, second)
        assert "running as root" not in second.stderr()
    assert box.access("/run/sluice") == ("755", GROUP)


def test_a_pipe_of_roots(box, directory):
    """The access log opens it anew, so as not to wait for who reads it."""
    config = write_config(directory, 'log { access = "-" }')
    pid_file, lines = directory / "pid", directory / "lines"
    script = f"{{ echo $$ >{pid_file}; exec {SLUICED} -c {config} --user {USER} --group {GROUP}; }}"
    with box.start("sh", "-c", f"{script} | cat >{lines}") as daemon:
        wait_ready(box, daemon)
        box.run(BENCH, "client", "ws://127.0.0.1:8080/echo", "-n", 1)
        env.until(lambda: "echo" in lines.read_text(), "a line of the access log")
        (child,) = [pid for pid in children_of(daemon.pid) if "sluiced" in command_of(pid)]
        pipe = os.readlink(f"/proc/{child}/fd/1")
        again = [fd for fd in os.listdir(f"/proc/{child}/fd")
                 if fd != "1" and os.readlink(f"/proc/{child}/fd/{fd}") == pipe]
        assert again
        for fd in again:
            assert flags_of(child, fd) & os.O_NONBLOCK


def children_of(pid):
    found = []
    for task in tasks_of(pid):
        with open(f"{task}/children", encoding="ascii") as file:
            found += file.read().split()
    return found + [below for child in found for below in children_of(child)]


def command_of(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read().split("\0")[0]


def flags_of(pid, fd):
    with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
        rows = dict(line.split(":", 1) for line in file)
    return int(rows["flags"], 8)


@pytest.mark.parametrize("starter, options, said", [
    ((), ("--user", "nobody-here"), 'user "nobody-here": there is none'),
    ((), ("--user", USER, "--group", "none-here"), 'group "none-here": there is none'),
    (as_user(), ("--user", "root"), 'cannot become user "root": Operation not permitted'),
])
def test_it_does_not_start_as_somebody_else(box, directory, starter, options, said):
    done = box.run(*starter, SLUICED, "-c", write_config(directory), *options, check=False)
    assert done.returncode == 1
    assert said in done.stderr


def test_who_it_is_already_it_may_become(box, directory):
    config = write_config(directory, f'admin {{ control = "{directory}/s" }}')
    with box.start(*as_user(), SLUICED, "-c", config, *BECOME) as daemon:
        env.until((directory / "s").exists, "the control socket")
        assert daemon.is_running()
