# SPDX-License-Identifier: Apache-2.0
"""sluice-loader attach --hook xdp: beside the hook of tc, alone at its interface."""

import json

import pytest

from lib.pins import PINS, by_name, hooked, hooks, status


def xdp(box):
    return by_name(status(box)["xdp"], "interface")


def ports(box):
    """The map, by (index, VLAN)."""
    rows = json.loads(
        box.run("bpftool", "-j", "map", "dump", "pinned", f"{PINS}/xdp_ports").stdout)
    rows = [row["formatted"] for row in rows]
    return {(row["key"]["ifindex"], row["key"]["vlan_id"] >> 8): row["value"] for row in rows}


def link(box, name):
    return json.loads(box.run("ip", "-j", "link", "show", name).stdout)[0]


def index(box, name):
    return link(box, name)["ifindex"]


def mac(box, name):
    return list(bytes.fromhex(link(box, name)["address"].replace(":", "")))


@pytest.fixture
def veth(loaded):
    loaded.add_veth("va", "vb")
    return loaded


def test_attach_and_detach(veth):
    done = veth.loader("attach", "--hook", "xdp", "va")
    assert done.stdout.splitlines()[1] == "va: attached (xdp)"
    assert "on veth is for tests" in done.stderr
    programs = by_name(status(veth)["programs"])
    row = xdp(veth)["va"]
    assert (row["hook"], row["state"]) == ("xdp", "attached")
    assert row["program_id"] == programs["sl_splice_xdp"]["id"]
    assert hooks(veth)["va"]["program_id"] == programs["sl_splice"]["id"]
    assert "already attached (xdp)" in veth.loader("attach", "--hook", "xdp", "va").stdout
    assert veth.loader("detach", "--hook", "xdp", "va").stdout == "va: detached (xdp)\n"
    assert xdp(veth) == {} and ports(veth) == {} and set(hooks(veth)) == {"va"}
    assert "has no XDP" in veth.refused("detach", "--hook", "xdp", "va")
    veth.loader("attach", "--hook", "xdp", "va")
    veth.loader("detach", "va")
    assert xdp(veth) == ports(veth) == hooks(veth) == hooked(veth) == {}
    assert "xdp" not in veth.run("ip", "link", "show", "va").stdout


def test_ports_say_what_xdp_may_do(veth):
    veth.loader("attach", "--hook", "xdp", "va")
    port = ports(veth)[index(veth, "va"), 0]
    assert port["mac"] == mac(veth, "va") and port["ifindex"] == index(veth, "va")
    veth.run("ethtool", "-K", "vb", "gro", "on")  # from now on it takes what is sent
    veth.run("ip", "link", "set", "va", "address", "02:00:00:00:00:07")
    veth.loader("attach", "--hook", "xdp", "va")
    port = ports(veth)[index(veth, "va"), 0]
    assert port["out"] == index(veth, "va")
    assert port["mac"] == [2, 0, 0, 0, 0, 7]


def test_vlans_over_it_are_ports_if_they_have_the_hook(veth):
    if veth.run("ip", "link", "add", "link", "va", "name", "va.7", "type", "vlan", "id", 7,
                check=False).returncode != 0:
        pytest.skip("this kernel has no VLANs")
    veth.run("ethtool", "-K", "vb", "gro", "on")
    va, vlan = index(veth, "va"), index(veth, "va.7")
    veth.loader("attach", "--hook", "xdp", "va")
    assert set(ports(veth)) == {(va, 0)}
    veth.loader("attach", "va.7")
    found = ports(veth)
    assert set(found) == {(va, 0), (va, 7), (vlan, 0)}
    assert found[va, 7]["ifindex"] == vlan
    assert (found[vlan, 0]["out"], found[vlan, 0]["vlan_protocol"]) == (va, 0x0081)
    veth.loader("detach", "va.7")
    assert set(ports(veth)) == {(va, 0)}


def test_generic_and_native_take_each_others_place(veth):
    for kind in "xdp", "xdp-generic", "xdp":
        veth.loader("attach", "--hook", kind, "va")
        assert xdp(veth)["va"]["hook"] == kind
    assert "no native XDP" in veth.loader("attach", "--hook", "xdp", "lo", check=False).stderr
    assert set(xdp(veth)) == {"va"}


def test_program_of_another_stays(veth):
    veth.loader("load", "--flows", "64", "--instance", "two")
    veth.loader("attach", "--hook", "xdp", "va", "--instance", "two")
    done = veth.loader("attach", "--hook", "xdp", "va", check=False)
    assert done.returncode == 1 and "has an XDP program that is not ours" in done.stderr
    assert xdp(veth) == {} and set(hooks(veth)) == {"va"}  # by tc it can be spliced


def test_replace_and_unload(veth):
    veth.loader("attach", "--hook", "xdp", "va")
    old = xdp(veth)["va"]
    veth.loader("replace")
    new = xdp(veth)["va"]
    assert new["state"] == "attached"
    assert new["link_id"] == old["link_id"] and new["program_id"] != old["program_id"]
    veth.run("ip", "link", "del", "va")
    assert xdp(veth)["?"]["state"] == "gone"
    veth.loader("replace")
    assert xdp(veth) == {}
    veth.add_veth("va", "vb")
    veth.loader("attach", "--hook", "xdp", "va")
    veth.loader("unload")
    assert "xdp" not in veth.run("ip", "link", "show", "va").stdout
