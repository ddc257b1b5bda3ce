# SPDX-License-Identifier: Apache-2.0
"""What sluice-loader has left in a box: its own view of it, and bpftool's."""

import json
import struct
import time

from lib import box as boxes
from lib import env

PINS = f"{boxes.BPFFS}/sluice"
DAEMON, OPERATOR, OTHER = 4242, 4343, 4444  # groups; a number needs no name
GROUPS = "--group", DAEMON, "--operator-group", OPERATOR


def by_name(rows, key="name"):
    return {row[key]: row for row in rows}


def status(box, *options):
    return box.loader_json("status", *options)


def map_names(box):
    return set(by_name(status(box)["maps"]))


def poke(box, name, key, value):
    """Writes an entry of a map by another program than ours."""
    box.run("bpftool", "map", "update", "pinned", f"{PINS}/{name}", "key", *map(str, key),
            "value", *map(str, value))


def set_abi(box, version):
    shape = by_name(status(box)["maps"])["abi"]
    value = list(version.to_bytes(4, "little")) + [0] * (shape["value_bytes"] - 4)
    poke(box, "abi", [0, 0, 0, 0], value)


def hooks(box, *options):
    return by_name(status(box, *options)["hooks"], "interface")


def hooked(box):
    """The map by which the daemon knows them, by name."""
    rows = json.loads(box.run("bpftool", "-j", "map", "dump", "pinned", f"{PINS}/hooked").stdout)
    names = dict(
        line.split(": ")[:2] for line in box.run("ip", "-o", "link").stdout.splitlines()
    )
    rows = [row["formatted"] for row in rows]
    return {names.get(str(row["key"]), "?").split("@")[0]: row["value"] for row in rows}


KINDS = {"tcx": 1, "clsact": 2}


def has_tcx(box):
    items = by_name(box.loader_json("check")["items"], "item")
    return items["tcx"]["state"] == "present"


def record_key(conn_id):
    return list(conn_id.to_bytes(8, "little"))


def put_record(box, conn_id):
    shape = by_name(status(box)["maps"])["conns"]
    poke(box, "conns", record_key(conn_id), [0] * shape["value_bytes"])


def drop_record(box, conn_id):
    """Should it be there."""
    box.run("bpftool", "map", "delete", "pinned", f"{PINS}/conns", "key",
            *map(str, record_key(conn_id)), check=False)


# struct sl_flow begins with the word of its state: SL_STATE(), SL_BEFORE(), the number of a HOLD
LEARN, HOLD, ACTIVE, CLOSED = range(4)


def flow(size, state, before=LEARN):
    return [state | before << 4, 0x5A if state == HOLD else 0] + [0] * (size - 2)


def remove_by_force(box, interface):
    """The hook of an interface, past the loader."""
    row = hooks(box)[interface]
    if row["hook"] == "clsact":
        box.run("tc", "filter", "del", "dev", interface, "ingress")
    else:  # the link goes with its pin, a little later
        box.run("rm", f"{PINS}/hooks/tcx_{row['netns']}_{row['ifindex']}")


def flow_rows(box):
    dump = box.run("bpftool", "-j", "map", "dump", "pinned", f"{PINS}/flows4").stdout
    return json.loads(dump)


def conn_id_of(row):
    return row["formatted"]["value"]["conn_id"]


def _hold_flow(box, row, deadline_ns):
    value = bytes(int(byte, 16) for byte in row["value"])
    held = struct.pack("<I", HOLD | ACTIVE << 4 | 7 << 8) + value[4:8] + struct.pack(
        "<Q", deadline_ns) + value[16:]
    box.run("bpftool", "map", "update", "pinned", f"{PINS}/flows4", "key", *row["key"],
            "value", *(f"0x{byte:02x}" for byte in held))


def hold_flows(box, deadline_ns, conn_id=None):
    """
    All, or those of one connection: in HOLD until then, as by somebody who has left them so. Once
    they are still for longer than an acknowledgment is delayed: what came between the look and the
    writing would be undone, and never be said again.
    """
    def read():
        return [row for row in flow_rows(box) if conn_id in (None, conn_id_of(row))]

    def still():
        rows = read()
        time.sleep(0.3)
        return rows if read() == rows else None

    for row in env.until(still, "flows that stand still"):
        _hold_flow(box, row, deadline_ns)


def release_flows(box, conn_id=None):
    """
    Such a HOLD is over. By the client's flow of each connection, whose next packet, or the daemon,
    ends that of both: from then on who waited for it is at work, and a flow that is gone must not
    come again.
    """
    for row in flow_rows(box):
        is_from_client = row["formatted"]["value"]["direction"] == 0
        if is_from_client and conn_id in (None, conn_id_of(row)):
            _hold_flow(box, row, 0)
