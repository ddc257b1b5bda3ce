# SPDX-License-Identifier: Apache-2.0
"""`sluice-loader check`: what this kernel offers, found out without leaving a trace."""

import json
import re

from lib import box as boxes
from lib import env


def items_of(report):
    return {row["item"]: row for row in report["items"]}


def test_check_reports_every_item(box):
    report = box.loader_json("check")
    assert report["splice"] is True and report["lacking"] == []
    items = items_of(report)
    assert {"btf", "bpffs", "tcx", "clsact", "syscall", "bpf_loop", "ring_buffer", "tcp_repair",
            "forwarding_v4", "reserved_ports", "sched_ext", "sockmap", "xdp", "programs"} <= set(items)
    for name, item in items.items():
        assert item["state"] in ("present", "missing", "unknown"), name
        assert ("cost" in item) == (item["state"] == "missing"), name
        assert item["state"] == "present" or not item["required"] or name in ("tcx", "clsact")
    text = box.loader("check").stdout
    assert "splice: possible" in text
    for name, item in items.items():
        assert re.search(rf"^{name} +{item['state']} ", text, re.M), name
        assert item.get("cost", "") in text


def test_check_leaves_nothing(box):
    before = box.run("tc", "qdisc").stdout
    box.loader("check")
    assert box.run("tc", "qdisc").stdout == before
    assert not box.exists(f"{boxes.BPFFS}/sluice")

    def programs():
        """Of all checks: one that runs beside this one may still have some."""
        listing = box.run("bpftool", "-j", "prog").stdout
        return [row for row in json.loads(listing) if row.get("name") == "sl_probe"]

    env.until(lambda: not programs(), "probes to be gone")


def test_check_sees_settings(box):
    def items():
        return items_of(box.loader_json("check"))

    box.add_veth("va", "vb")
    conf = "/proc/sys/net/ipv4/conf"
    box.run("sh", "-c", f"echo 1 >{conf}/all/forwarding; echo 0 >{conf}/vb/forwarding")
    found = items()["forwarding_v4"]
    assert (found["state"], found["detail"]) == ("missing", "off on vb")
    box.run("sh", "-c", f"echo 1 >{conf}/vb/forwarding")
    assert items()["forwarding_v4"]["state"] == "present"

    # The kernel's own range begins behind ours.
    found = items()["reserved_ports"]
    assert found["state"] == "present" and found["detail"].startswith("16384-32767 are not among")
    box.run("sh", "-c", "echo 10000 60999 >/proc/sys/net/ipv4/ip_local_port_range")
    box.run("sh", "-c", "echo 10000-20000 >/proc/sys/net/ipv4/ip_local_reserved_ports")
    found = items()["reserved_ports"]
    assert found["state"] == "missing" and "ip_local_reserved_ports=" in found["detail"]
    setting = re.search(r"sysctl -w (.*)=(.*)$", found["detail"])
    path = f"/proc/sys/{setting[1].replace('.', '/')}"
    box.run("sh", "-c", f"echo {setting[2]} >{path}")
    assert items()["reserved_ports"]["state"] == "present"


def test_check_of_other_source_ports(box):
    """What kernel.source_ports of the daemon says, the loader is told."""
    def check(ports):
        return items_of(box.loader_json("check", "--source-ports", ports))["reserved_ports"]

    box.run("sh", "-c", "echo 10000 60999 >/proc/sys/net/ipv4/ip_local_port_range")
    box.run("sh", "-c", "echo 20000-30000 >/proc/sys/net/ipv4/ip_local_reserved_ports")
    assert check("20000-30000")["state"] == check("61000-65535")["state"] == "present"
    found = check("20000-30001")
    assert found["state"] == "missing"
    assert found["detail"].endswith("sysctl -w net.ipv4.ip_local_reserved_ports=20000-30001")
    for wrong in "20000", "1023-2000", "30000-20000", "20000-70000":
        done = box.loader("check", "--source-ports", wrong, check=False)
        assert done.returncode == 2 and f"--source-ports {wrong}: expected" in done.stderr
    done = box.loader("load", "--source-ports", "20000-30000", check=False)
    assert done.returncode == 2 and "load: takes no --source-ports" in done.stderr


def test_check_without_rights(box):
    done = box.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                   boxes.LOADER, "-j", "check", check=False)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    items = items_of(report)
    assert report["splice"] is False and "privileges" in report["lacking"]
    assert items["privileges"]["state"] == "missing"
    assert items["ring_buffer"]["state"] == "unknown"
