# SPDX-License-Identifier: Apache-2.0
"""What an administrator sees of live connections in the pinned maps, with bpftool alone."""

import json
import shutil
import signal

import pytest

from lib import env

BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ACTIVE = 2
TO_ENDPOINT, TO_CLIENT = 0, 1
KIND_ROUTE, KIND_ENDPOINT = 2, 6

pytestmark = pytest.mark.skipif(not shutil.which("bpftool"), reason="needs bpftool")


def dump(network, name):
    """[(key, value)], with fields by name."""
    out = network.box.run("bpftool", "-j", "map", "dump", "pinned",
                          f"/sys/fs/bpf/sluice/{name}").stdout
    return [(row["formatted"]["key"], row["formatted"]["value"]) for row in json.loads(out)]


def number(conn):
    """A connection's id as it is in maps."""
    value = 0
    for character in conn:
        value = value * 32 + BASE32.index(character)
    return value


@pytest.mark.parametrize("version", [4, 6])
def test_flows_have_named_fields_and_the_state_of_a_live_connection(splice_network, version):
    network = splice_network(version)
    client = network.client("-c", 1, "-m", "rate", "-r", "5", "-d", "60")
    network.wait_spliced(1)
    conn = number(network.connections()[0]["conn"])

    def seen():
        flows = {value["direction"]: (key, value)
                 for key, value in dump(network, f"flows{version}")}
        busy = len(flows) == 2 and all(value["packets"] > 1 for _, value in flows.values())
        return flows if busy else None

    flows = env.until(seen, "packets in both directions")
    for key, value in flows.values():
        assert set(key) == {"saddr", "daddr", "sport", "dport"}
        assert value["state"] == ACTIVE
        assert value["conn_id"] == conn
        assert value["payload_bytes"] > value["packets"]
    # Where one direction's packets go, the other's come from.
    for one, other in ((TO_ENDPOINT, TO_CLIENT), (TO_CLIENT, TO_ENDPOINT)):
        peer, key = flows[one][1]["peer"], flows[other][0]
        assert (peer["sport"], peer["dport"]) == (key["dport"], key["sport"])
        assert flows[one][1]["oif"] > 0
    # As people see it, without options.
    text = network.box.run("bpftool", "map", "dump", "pinned",
                           f"/sys/fs/bpf/sluice/flows{version}").stdout
    assert f'"state": {ACTIVE},' in text and f'"conn_id": {conn},' in text
    client.stop(signal.SIGINT)
    network.wait_none()
    assert ACTIVE not in [value["state"] for _, value in dump(network, f"flows{version}")]


def test_conns_and_names_lead_from_a_flow_to_its_route(splice_network):
    network = splice_network()
    client = network.client("-c", 1, "-m", "idle", "-d", "60")
    network.wait_spliced(1)
    (_, flow), *_ = dump(network, "flows4")
    conns = dict(dump(network, "conns"))
    names = {value: (key["kind"], key["text"]) for key, value in dump(network, "names")}
    conn = conns[flow["conn_id"]]
    assert conn["conn_id"] == flow["conn_id"] and conn["promotions"] == 1
    assert names[conn["route"]] == (KIND_ROUTE, "r")
    assert names[conn["endpoint"]] == (KIND_ENDPOINT, "c/e0")
    client.kill()
