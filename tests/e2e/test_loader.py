# SPDX-License-Identifier: Apache-2.0
"""sluice-loader: what it puts into the kernel, who may use it, and what is left of it."""

import json
import random
import re
import time

import pytest

from lib import box as boxes
from lib import env
from lib.pins import (ACTIVE, CLOSED, DAEMON, GROUPS, HOLD, KINDS, LEARN, OPERATOR, OTHER, PINS,
                      by_name, drop_record, flow, has_tcx, hooked, hooks, map_names, poke,
                      put_record, set_abi, status)

RUNNABLE = {"sl_activate", "sl_hold"}
PRIVATE = {"sl_splice", "sl_splice_xdp"}
RIGHTS = env.ROOT / "tests/e2e/lib/bpf_rights.py"


# ---- load --------------------------------------------------------------------------------------


def test_load_mounts_and_pins(box):
    done = box.loader("load", "--flows", "64", *GROUPS)
    assert "mounted the BPF file system" in done.stderr
    assert done.stdout.startswith(f"{PINS}: loaded, ABI version ")
    state = status(box)
    assert state["loaded"] and state["missing"] == "" and state["hooks"] == []
    assert state["abi"]["pinned"] == state["abi"]["loader"] > 0
    assert RUNNABLE | PRIVATE <= set(by_name(state["programs"]))
    assert {"flows4", "flows6", "conns", "names", "ids", "abi", "events", "stats",
            "ways", "icmp", "policies", "hooked", "xdp_ports"} == set(by_name(state["maps"]))
    assert box.list(boxes.BPFFS) - {"maps.debug", "progs.debug"} == {"sluice"}


def test_access(loaded):
    maps = map_names(loaded)
    assert loaded.access(PINS) == ("755", 0)
    assert loaded.access(f"{PINS}/ro") == ("750", OPERATOR)
    assert loaded.list(f"{PINS}/ro") == maps
    for name in maps:
        assert loaded.access(f"{PINS}/{name}") == ("660", DAEMON), name
        assert loaded.access(f"{PINS}/ro/{name}") == ("440", OPERATOR), name
    for name in RUNNABLE:
        assert loaded.access(f"{PINS}/{name}") == ("660", DAEMON), name
    for name in PRIVATE:
        assert loaded.access(f"{PINS}/{name}") == ("600", 0), name


def test_first_values(loaded):
    """No id is 0; and the sizes beside the version are those of the maps."""
    def first(name):
        rows = json.loads(loaded.run("bpftool", "-j", "map", "dump", "pinned",
                                     f"{PINS}/{name}").stdout)
        return rows[0]["formatted"]["value"]

    maps = by_name(status(loaded)["maps"])
    abi = first("abi")
    assert abi["version"] == status(loaded)["abi"]["loader"]
    assert abi["flow_size"] == maps["flows4"]["value_bytes"] == maps["flows6"]["value_bytes"]
    assert abi["conn_size"] == maps["conns"]["value_bytes"]
    assert first("ids") == {"next_conn_id": 1, "next_name_id": 1, "epoch": 0}
    poke(loaded, "ids", [0, 0, 0, 0], [7] * maps["ids"]["value_bytes"])
    loaded.loader("load")
    loaded.loader("replace")
    assert first("ids")["epoch"] == 0x07070707  # not handed out again


def rights(box, group, capabilities=()):
    """What a process of this group may do, with these capabilities and no others."""
    these = ",".join(["-all", *(f"+{one}" for one in capabilities)])
    done = box.run("setpriv", "--reuid=65534", f"--regid={group}", "--clear-groups",
                   f"--inh-caps={these}", f"--ambient-caps={these}", f"--bounding-set={these}",
                   "/usr/bin/python3", RIGHTS, PINS, "flows4", "sl_hold", "sl_splice",
                   environment={"CONTEXT_BYTES": "1024"})
    return json.loads(done.stdout)


NOT_FOR_ANYBODY = {
    "load_socket_filter": "EPERM",
    "load_classifier": "EPERM",
    "create_map": "EPERM",
    "open_private": "EACCES",
    "remove_pin": "EACCES",
    "make_pin_directory": "EACCES",
}


@pytest.mark.parametrize("capabilities", [(), ("net_admin", "net_bind_service")])
def test_daemon_may_use_pins_and_nothing_else(loaded, capabilities):
    """With kernel.unprivileged_bpf_disabled as everybody has it: not 0."""
    assert loaded.run("cat", "/proc/sys/kernel/unprivileged_bpf_disabled").stdout.strip() != "0"
    assert rights(loaded, DAEMON, capabilities) == NOT_FOR_ANYBODY | {
        "open_map": "ok",
        "write_read_delete": "ok",
        "open_runnable": "ok",
        "run_program": "ok",
        "open_readonly_map": "EACCES",
        "open_readonly_map_for_writing": "EACCES",
        "write_through_readonly": "EACCES",
        "read_through_readonly": "EACCES",
    }


def test_operator_may_read_maps(loaded):
    assert rights(loaded, OPERATOR) == NOT_FOR_ANYBODY | {
        "open_map": "EACCES",
        "write_read_delete": "EACCES",
        "open_runnable": "EACCES",
        "run_program": "EACCES",
        "open_readonly_map": "ok",
        "open_readonly_map_for_writing": "EACCES",
        "write_through_readonly": "EPERM",
        "read_through_readonly": "ok",
    }


def test_others_may_nothing(loaded):
    found = rights(loaded, OTHER)
    assert "ok" not in found.values(), found


def test_groups_pass_through_a_closed_mount(box):
    """As systemd mounts it."""
    box.run("mount", "-t", "bpf", "-o", "mode=700", "bpf", boxes.BPFFS)
    assert "groups may now pass" in box.loader("load", "--flows", "64", *GROUPS).stderr
    assert box.access(boxes.BPFFS)[0] in ("711", "1711")
    assert rights(box, DAEMON)["open_map"] == "ok"


def test_without_groups_the_pins_stay_with_root(box):
    done = box.loader("load", "--group", "no-such-group", "--operator-group", "nor-this")
    assert 'no group "no-such-group"' in done.stderr and 'no group "nor-this"' in done.stderr
    assert box.access(f"{PINS}/flows4") == ("600", 0)
    assert box.access(f"{PINS}/ro/flows4") == ("400", 0)
    assert "ok" not in rights(box, DAEMON).values()


def test_load_again_says_so(loaded):
    before = status(loaded)
    done = loaded.loader("load")
    assert f"already loaded, ABI version {before['abi']['pinned']}" in done.stdout
    assert status(loaded) == before  # the same programs, and the groups that were given before


def test_load_again_gives_access_to_other_groups(loaded):
    loaded.loader("load", "--group", OTHER)
    assert loaded.access(f"{PINS}/flows4") == ("660", OTHER)
    assert loaded.access(f"{PINS}/ro/flows4") == ("440", OPERATOR)


def test_flows_sizes_the_maps(box):
    box.loader("load", "--flows", "1000", "--instance", "small")
    box.loader("load", "--flows", "3000", "--instance", "large")
    small = by_name(status(box, "--instance", "small")["maps"])
    large = by_name(status(box, "--instance", "large")["maps"])
    assert small["flows4"]["max_entries"] >= 2000
    assert large["flows4"]["max_entries"] == 3 * small["flows4"]["max_entries"]
    assert "keep their size" in box.loader("load", "--flows", "64", "--instance", "small").stderr
    assert by_name(status(box, "--instance", "small")["maps"]) == small


def test_instances_are_apart(box):
    box.loader("load")
    box.loader("load", "--instance", "two")
    assert box.exists(f"{boxes.BPFFS}/sluice-two/flows4")
    box.loader("attach", "lo")
    box.loader("attach", "lo", "--instance", "two", "--hook", "clsact")
    box.loader("unload")
    assert hooks(box, "--instance", "two")["lo"]["state"] == "attached"
    box.loader("unload", "--instance", "two")
    assert box.list(boxes.BPFFS) <= {"maps.debug", "progs.debug"}


def test_filters_of_two_instances_do_not_meet(box):
    for options in ([], ["--instance", "two"]):
        box.loader("load", *options)
        box.loader("attach", "lo", "--hook", "clsact", *options)
    box.loader("unload")
    assert hooks(box, "--instance", "two")["lo"]["state"] == "attached"


# ---- attach ------------------------------------------------------------------------------------


def ingress(box, kind, name):
    """Ids of the programs at an interface's ingress, by another program than ours."""
    if kind == "tcx":
        rows = status(box)["hooks"]  # bpftool 7.1 does not list tcx
        return {row["program_id"] for row in rows if row["interface"] == name}
    text = box.run("tc", "filter", "show", "dev", name, "ingress").stdout
    return {int(one) for one in re.findall(r" id (\d+) name sl_splice", text)}


def test_attach_and_detach(loaded, kind):
    loaded.add_veth("va", "vb")
    program = by_name(status(loaded)["programs"])["sl_splice"]["id"]
    done = loaded.loader("attach", "--hook", kind, "va", "lo")
    assert done.stdout == f"va: attached ({kind})\nlo: attached ({kind})\n"
    found = hooks(loaded)
    assert set(found) == {"va", "lo"}
    for name, row in found.items():
        assert (row["hook"], row["state"], row["program_id"]) == (kind, "attached", program)
        assert ingress(loaded, kind, name) == {program}
    told = hooked(loaded)
    assert {name: row["kind"] for name, row in told.items()} == dict.fromkeys(found, KINDS[kind])
    assert {row["netns"] for row in told.values()} == {found["va"]["netns"]}
    assert "already attached" in loaded.loader("attach", "va").stdout
    assert loaded.loader("detach", "va").stdout == f"va: detached ({kind})\n"
    assert set(hooks(loaded)) == set(hooked(loaded)) == {"lo"}
    loaded.loader("detach", "--all")
    assert hooks(loaded) == hooked(loaded) == {}
    assert loaded.list(f"{PINS}/hooks") == set()


def test_packets_reach_the_program(loaded, kind):
    loaded.run("sh", "-c", "echo 1 >/proc/sys/kernel/bpf_stats_enabled")
    try:
        loaded.loader("attach", "--hook", kind, "lo")
        before = by_name(status(loaded)["programs"])["sl_splice"].get("runs", 0)
        loaded.run("/usr/bin/python3", "-c",
                   "import socket; s = socket.socket(type=socket.SOCK_DGRAM)\n"
                   "for _ in range(100): s.sendto(b'x', ('127.0.0.1', 9))")
        after = by_name(status(loaded)["programs"])["sl_splice"]
        assert after["runs"] - before >= 100
        assert after["run_time_ns"] > 0 and after["ns_per_run"] > 0
    finally:
        loaded.run("sh", "-c", "echo 0 >/proc/sys/kernel/bpf_stats_enabled")


def test_attach_chooses_tcx_where_it_is(loaded):
    loaded.loader("attach", "lo")
    assert hooks(loaded)["lo"]["hook"] == ("tcx" if has_tcx(loaded) else "clsact")
    if not has_tcx(loaded):
        loaded.loader("detach", "lo")
        assert "has no tcx" in loaded.refused("attach", "--hook", "tcx", "lo")


def test_attach_all_takes_what_is_up(loaded):
    loaded.add_veth("va", "vb")
    loaded.run("ip", "link", "set", "vb", "down")
    loaded.run("sh", "-c", "[ -e /dev/net/tun ] || { modprobe tun && mkdir -p /dev/net && "
               "{ [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200; }; }")
    loaded.run("ip", "tuntap", "add", "tn", "mode", "tun")
    loaded.run("ip", "link", "set", "tn", "up")
    done = loaded.loader("attach", "--all")
    assert set(hooks(loaded)) == {"va", "lo", "tn"}
    assert done.stderr == ""
    l2 = {name: row["is_l2"] for name, row in hooked(loaded).items()}
    assert l2 == {"va": 1, "lo": 1, "tn": 0}


def test_unknown_interface_attaches_none(loaded):
    assert 'no interface "nonsense"' in loaded.refused("attach", "lo", "nonsense")
    assert hooks(loaded) == {}
    assert "not attached" in loaded.refused("detach", "lo")


def test_an_interface_that_went_away(loaded, kind):
    loaded.add_veth("va", "vb")
    loaded.loader("attach", "--hook", kind, "va", "vb")
    loaded.run("ip", "link", "del", "va")
    assert {row["state"] for row in status(loaded)["hooks"]} == {"gone"}
    loaded.add_veth("va", "vb")
    loaded.loader("attach", "--hook", kind, "va")
    assert hooks(loaded)["va"]["state"] == "attached"
    loaded.loader("replace")
    assert [row["state"] for row in status(loaded)["hooks"]] == ["attached"]
    assert set(hooked(loaded)) == {"va"}
    loaded.loader("unload")


def test_the_filter_of_another_keeps_its_place(loaded):
    """Same priority and handle, another program."""
    loaded.loader("attach", "--hook", "clsact", "lo")
    shown = loaded.run("tc", "filter", "show", "dev", "lo", "ingress").stdout
    place = re.search(r"pref (\d+) bpf chain 0 handle (0x[0-9a-f]+)", shown)
    loaded.loader("detach", "lo")
    loaded.run("tc", "qdisc", "add", "dev", "lo", "clsact")
    loaded.run("tc", "filter", "add", "dev", "lo", "ingress", "pref", place[1], "handle", place[2],
               "bpf", "da", "pinned", f"{PINS}/sl_splice")
    # Ours by its program: left behind by pins that were removed by hand.
    assert "attached" in loaded.loader("attach", "--hook", "clsact", "lo").stdout
    loaded.loader("detach", "lo")
    assert "clsact" in loaded.run("tc", "qdisc", "show", "dev", "lo").stdout
    loaded.run("tc", "filter", "add", "dev", "lo", "ingress", "pref", place[1], "handle", place[2],
               "bpf", "da", "bytecode", "1,6 0 0 0,")
    assert "taken by a program that is not ours" in loaded.refused(
        "attach", "--hook", "clsact", "lo")
    assert "bytecode" in loaded.run("tc", "filter", "show", "dev", "lo", "ingress").stdout
    assert hooks(loaded) == {}


def qdiscs(box, name):
    return "clsact" in box.run("tc", "qdisc", "show", "dev", name).stdout


def test_our_qdisc_goes_with_us(loaded):
    loaded.loader("attach", "--hook", "clsact", "lo")
    assert qdiscs(loaded, "lo")
    loaded.loader("unload")
    assert not qdiscs(loaded, "lo")


def test_our_qdisc_stays_while_others_use_it(loaded):
    loaded.loader("attach", "--hook", "clsact", "lo")
    loaded.run("tc", "filter", "add", "dev", "lo", "egress", "pref", "7", "bpf", "da",
               "bytecode", "1,6 0 0 0,")
    loaded.loader("unload")
    assert "bytecode" in loaded.run("tc", "filter", "show", "dev", "lo", "egress").stdout


def test_our_qdisc_is_known_again(loaded):
    """Its filter was removed by somebody, and attached once more."""
    loaded.loader("attach", "--hook", "clsact", "lo")
    loaded.run("tc", "filter", "del", "dev", "lo", "ingress")
    assert hooks(loaded)["lo"]["state"] == "gone"
    loaded.loader("attach", "--hook", "clsact", "lo")
    assert hooks(loaded)["lo"]["state"] == "attached"
    loaded.loader("unload")
    assert not qdiscs(loaded, "lo")


def test_the_qdisc_of_another_stays(loaded):
    loaded.run("tc", "qdisc", "add", "dev", "lo", "clsact")
    loaded.loader("attach", "--hook", "clsact", "lo")
    loaded.loader("unload")
    assert qdiscs(loaded, "lo")
    assert loaded.run("tc", "filter", "show", "dev", "lo", "ingress").stdout == ""


# ---- replace and unload ------------------------------------------------------------------------


def test_replace_keeps_hooks_and_maps(loaded, kind):
    loaded.loader("attach", "--hook", kind, "lo")
    shape = by_name(status(loaded)["maps"])["flows4"]
    poke(loaded, "flows4", [9] * shape["key_bytes"], [0] * shape["value_bytes"])
    before = status(loaded)
    assert "replaced" in loaded.loader("replace").stdout
    after = status(loaded)
    assert after["maps"] == before["maps"]
    assert by_name(after["maps"])["flows4"]["entries"] == 1
    for name, row in by_name(after["programs"]).items():
        old = by_name(before["programs"])[name]
        assert row["id"] != old["id"]
        assert (row["tag"], row["access"]) == (old["tag"], old["access"])
    hook, old = hooks(loaded)["lo"], by_name(before["hooks"], "interface")["lo"]
    program = by_name(after["programs"])["sl_splice"]["id"]
    assert (hook["state"], hook["program_id"]) == ("attached", program)
    assert hook.get("link_id") == old.get("link_id")  # updated in place
    assert ingress(loaded, kind, "lo") == {program}


def test_replace_leaves_no_gap(loaded, kind):
    """Every packet of a flood meets a program, whichever of the two."""
    loaded.run("sh", "-c", "echo 1 >/proc/sys/kernel/bpf_stats_enabled")
    flood = (
        "import socket, sys\n"
        "s = socket.socket(type=socket.SOCK_DGRAM); n = 0\n"
        "print('started', flush=True)\n"
        "import signal; stop = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: stop.append(1))\n"
        "while not stop:\n"
        "    s.sendto(b'x', ('127.0.0.1', 9)); n += 1\n"
        "print(n, flush=True)\n"
    )
    try:
        # The other end of the socket pair does not listen: no answers but ICMP's, on lo as well.
        loaded.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit")
        loaded.loader("attach", "--hook", kind, "lo")
        loaded.run("sh", "-c", f"mkdir -p {PINS}/kept")
        runs = 0
        with loaded.start("/usr/bin/python3", "-c", flood) as sender:
            sender.wait_line()
            for i in range(5):
                # A second pin keeps the old program's counter.
                loaded.run("bpftool", "prog", "pin", "pinned", f"{PINS}/sl_splice",
                           f"{PINS}/kept/p{i}")
                loaded.loader("replace")
            assert sender.stop() == 0
            sent = int(sender.stdout().split()[-1])
        for i in range(5):
            shown = loaded.run("bpftool", "-j", "prog", "show", "pinned", f"{PINS}/kept/p{i}")
            runs += json.loads(shown.stdout).get("run_cnt", 0)
        runs += by_name(status(loaded)["programs"])["sl_splice"].get("runs", 0)
        assert sent > 0 and runs >= sent
    finally:
        loaded.run("sh", "-c", "echo 0 >/proc/sys/kernel/bpf_stats_enabled")


def test_replace_needs_something_to_replace(box):
    assert "nothing is loaded" in box.refused("replace")
    assert "nothing is loaded" in box.refused("attach", "lo")
    assert "nothing is loaded" in box.loader("unload").stdout
    assert "nothing is loaded" in box.loader("status").stdout
    assert status(box)["loaded"] is False


@pytest.mark.parametrize("verb", ["load", "replace", "attach lo", "detach lo"])
def test_another_abi_is_refused(loaded, verb):
    loaded.loader("attach", "lo")
    before = status(loaded)
    ours = before["abi"]["loader"]
    set_abi(loaded, 77)
    said = loaded.refused(*verb.split())
    assert "version 77" in said and f"has {ours}" in said
    after = status(loaded)
    assert after["programs"] == before["programs"] and after["hooks"] == before["hooks"]
    assert after["abi"] == {"loader": ours, "pinned": 77}
    assert "not that of this" in loaded.loader("status").stdout
    # How many are spliced can be told by the records, whatever is in the flows.
    put_record(loaded, 1)
    assert status(loaded)["spliced"] == 1
    assert "1 connections are spliced" in loaded.refused("unload")
    drop_record(loaded, 1)
    loaded.loader("unload")
    assert not loaded.exists(PINS)


@pytest.mark.parametrize("value, is_spliced", [
    ((LEARN,), False), ((HOLD, LEARN), False), ((HOLD, ACTIVE), True), ((ACTIVE,), True),
    ((CLOSED, ACTIVE), False),
])
@pytest.mark.parametrize("name", ["flows4", "flows6"])
def test_what_counts_as_spliced(loaded, name, value, is_spliced):
    shape = by_name(status(loaded)["maps"])[name]
    for direction in (1, 2):
        poke(loaded, name, [direction] * shape["key_bytes"], flow(shape["value_bytes"], *value))
    assert status(loaded)["spliced"] == int(is_spliced)


def test_a_map_of_another_shape_is_not_taken(loaded):
    """Somebody has put something else in its place."""
    for pin in ("names", "ro/names"):
        loaded.run("rm", f"{PINS}/{pin}")
        loaded.run("bpftool", "map", "create", f"{PINS}/{pin}", "type", "hash", "key", "8",
                   "value", "8", "entries", "16", "name", "names")
    before = status(loaded)
    said = loaded.refused("replace")
    assert "map names: pinned with type 1, key 8, value 8" in said
    assert "not of this version" in said
    assert status(loaded)["programs"] == before["programs"]


def test_an_array_that_is_too_short_is_not_taken(loaded):
    """Of an older version with fewer rows."""
    shape = by_name(status(loaded)["maps"])["policies"]
    for pin in ("policies", "ro/policies"):
        loaded.run("rm", f"{PINS}/{pin}")
        loaded.run("bpftool", "map", "create", f"{PINS}/{pin}", "type", "array", "key", "4",
                   "value", shape["value_bytes"], "entries", shape["max_entries"] - 1,
                   "name", "policies")
    assert f"for {shape['max_entries'] - 1}; this version" in loaded.refused("replace")


# ---- namespaces --------------------------------------------------------------------------------


def test_netns(loaded, kind):
    loaded.run("ip", "netns", "add", "inner")
    loaded.run("ip", "-n", "inner", "link", "add", "only", "type", "veth", "peer", "name", "o2")
    assert 'no interface "only"' in loaded.refused("attach", "only")
    loaded.loader("attach", "--netns", "inner", "--hook", kind, "only")
    row = hooks(loaded, "--netns", "/run/netns/inner")["only"]
    assert (row["here"], row["state"]) == (True, "attached")
    (outside,) = status(loaded)["hooks"]
    assert outside["here"] is False and outside["netns"] == row["netns"]
    assert f"net:[{row['netns']}], not in this one" in loaded.loader("status").stdout
    assert "not in this one" not in loaded.loader("status", "--netns", "inner").stdout
    hidden = loaded.run("ip", "netns", "exec", "inner", boxes.LOADER, "status").stdout
    assert "nothing is loaded" in hidden and "`ip netns exec` hides it" in hidden
    assert "another network namespace" in loaded.refused("attach", "lo")
    if kind == "clsact":  # its filters are only seen from inside
        for verb in ("replace", "unload", "detach --all"):
            assert "give --netns" in loaded.refused(*verb.split())
    loaded.loader("replace", "--netns", "inner")
    assert hooks(loaded, "--netns", "inner")["only"]["state"] == "attached"
    loaded.loader("unload", "--netns", "inner")
    assert not loaded.exists(PINS)


def test_a_namespace_that_is_gone(loaded, kind):
    loaded.run("ip", "netns", "add", "inner")
    loaded.run("ip", "-n", "inner", "link", "set", "lo", "up")
    loaded.loader("attach", "--netns", "inner", "--hook", kind, "lo")
    loaded.run("ip", "netns", "del", "inner")
    if kind == "clsact":
        assert "--force" in loaded.refused("unload")
    loaded.loader("unload", "--force")
    assert not loaded.exists(PINS)


def test_bad_namespaces(box):
    assert "--netns nowhere: No such file" in box.refused("status", "--netns", "nowhere")
    assert "not a network namespace" in box.refused("status", "--netns", "/etc/passwd")


# ---- faults ------------------------------------------------------------------------------------


def test_lost_pins_are_mended(loaded, kind):
    loaded.loader("attach", "--hook", kind, "lo")
    before = by_name(status(loaded)["maps"])
    shape = before["flows4"]
    poke(loaded, "flows4", [9] * shape["key_bytes"], [0] * shape["value_bytes"])
    loaded.run("rm", "-r", f"{PINS}/flows4", f"{PINS}/ro", f"{PINS}/sl_hold", f"{PINS}/sl_splice")
    lost = set(status(loaded)["missing"].split(", "))
    assert {"flows4", "sl_hold", "sl_splice"} <= lost
    assert "load mends it" in loaded.loader("status").stdout
    assert "mended" in loaded.loader("load").stdout
    state = status(loaded)
    assert state["missing"] == ""
    after = by_name(state["maps"])["flows4"]
    assert (after["id"], after["entries"], after["access"]) == (shape["id"], 1, shape["access"])
    assert hooks(loaded)["lo"]["state"] == "attached"


def test_a_lost_flow_map_is_said_to_be_lost(loaded):
    loaded.run("sh", "-c", f"cd {PINS} && rm -r ro sl_* flows4")
    assert "flows4: no pin and no program has it" in loaded.refused("load")
    loaded.loader("unload", "--force")
    loaded.loader("load")
    assert status(loaded)["missing"] == ""


def test_remains_without_value_are_cleaned(loaded):
    """Neither connections nor hooks: as good as nothing."""
    loaded.run("sh", "-c", f"cd {PINS} && rm -r [b-z]*")
    assert loaded.list(PINS) == {"abi"}
    done = loaded.loader("load")
    assert "removing it" in done.stderr and ": loaded" in done.stdout
    assert status(loaded)["missing"] == ""


def test_what_an_interrupted_load_left_is_removed(box):
    box.run("mount", "-t", "bpf", "bpf", boxes.BPFFS)
    box.run("mkdir", "-p", f"{PINS}_staging/ro")
    done = box.loader("load")
    assert done.stderr.count("interrupted sluice-loader") == 1
    assert status(box)["missing"] == ""
    assert box.list(boxes.BPFFS) - {"maps.debug", "progs.debug"} == {"sluice"}


def test_killed_at_any_instant(box):
    """Load, attach, replace and unload, killed at random: the next one finds its way."""
    rng = random.Random(20)
    verbs = "load", "attach lo", "replace", "unload"
    box.loader("load")
    for round_ in range(env.scale(60)):
        verb = verbs[round_ % len(verbs)]
        child = box.start(boxes.LOADER, *verb.split())
        time.sleep(rng.random() * 0.05)
        child.kill()
        box.loader("load")
        state = status(box)
        assert state["loaded"] and state["missing"] == "", verb
        box.loader("attach", "lo")
        assert hooks(box)["lo"]["state"] == "attached", verb
    box.loader("unload")
    assert box.list(boxes.BPFFS) <= {"maps.debug", "progs.debug"}
    assert not qdiscs(box, "lo")


def test_many_loaders_at_once(box):
    children = [box.start(boxes.LOADER, "load") for _ in range(8)]
    assert [child.wait(6 * env.PATIENCE_S) for child in children] == [0] * 8
    said = [child.stdout().split(":")[1].split(",")[0].strip() for child in children]
    assert sorted(said) == ["already loaded"] * 7 + ["loaded"]


def test_a_loader_waits_for_another(box):
    """And gives up some time; a reader does not wait."""
    with box.start("flock", "/run/sluice-loader.lock", "sh", "-c", "echo held; sleep 600") as other:
        other.wait_line()
        assert status(box)["loaded"] is False
        assert "another sluice-loader is at work" in box.refused("load")
    box.loader("load")


def test_only_root(loaded):
    done = loaded.run("setpriv", "--reuid=65534", f"--regid={DAEMON}", "--clear-groups",
                      boxes.LOADER, "status", check=False)
    assert (done.returncode, done.stderr) == (1, "sluice-loader: status: only root can do that\n")


def test_root_without_rights(box):
    done = box.run("setpriv", "--bounding-set=-all", boxes.LOADER, "load", check=False)
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr
    assert done.stderr.count("\n") <= 3


@pytest.mark.parametrize("words", [
    "", "nonsense", "load lo", "attach", "attach --all lo", "check --instance x",
    "load --flows 1", "load --flows many", "load --hook tcx", "attach lo --hook tc",
    "detach lo --hook tcx",
    "status --force", "status --instance UP", "status --instance ../x", "--nonsense",
])
def test_usage(box, words):
    done = box.loader(*words.split(), check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "usage" in done.stderr or "see sluice-loader --help" in done.stderr
