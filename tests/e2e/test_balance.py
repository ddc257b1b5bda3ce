# SPDX-License-Identifier: Apache-2.0
"""Which endpoint gets a connection: weights, hashes, source addresses."""

import collections

import pytest

from lib import env, ws_raw
from lib.daemon import proxy_config
from lib.endpoint import RawEndpoint


@pytest.fixture
def three_endpoints():
    with RawEndpoint() as a, RawEndpoint() as b, RawEndpoint() as c:
        yield [a, b, c]


def accept_any(endpoints):
    """(index, stream) of the endpoint that is called next."""

    def accept_one():
        for index, endpoint in enumerate(endpoints):
            endpoint.sock.settimeout(0)
            try:
                return index, endpoint.accept()
            except BlockingIOError:
                pass
            finally:
                endpoint.sock.settimeout(env.PATIENCE_S)
        return None

    return env.until(accept_one, "any endpoint to be called")


def open_through(daemon, endpoints, target="/x", extra=()):
    """A new connection: (client, index of its endpoint, the endpoint's stream)."""
    client = ws_raw.dial(daemon.address())
    client.send(ws_raw.request(target, extra=list(extra)))
    index, server = accept_any(endpoints)
    server.send(ws_raw.response_101(server.read_head().get("Sec-WebSocket-Key")))
    ws_raw.check_101(client)
    return client, index, server


def weighted(endpoints, weights, cluster):
    text = "\n".join(
        f'endpoint e{i} {{ address = "{e.address}" weight = {weight} }}'
        for i, (e, weight) in enumerate(zip(endpoints, weights))
    )
    return f"cluster c {{ {cluster}\n{text}\n}}\nroute all {{ proxy = c }}"


@pytest.mark.parametrize("balance", ["round_robin", "least_conn"])
def test_weights(sluiced, three_endpoints, balance):
    daemon = sluiced(weighted(three_endpoints, [100, 300, 0], f"balance = {balance}"))
    opened = [open_through(daemon, three_endpoints) for _ in range(20)]
    assert collections.Counter(i for _, i, _ in opened) == {0: 5, 1: 15}
    for client, _, _ in opened:
        client.close()


HASH_KEYS = {
    "header:X-User": lambda user: ("/x", [f"X-User: {user}"]),
    "cookie:sid": lambda user: ("/x", [f"Cookie: a=b; sid={user}"]),
    "query:user": lambda user: (f"/x?v=1&user={user}", []),
    "path": lambda user: (f"/{user}", []),
}


@pytest.mark.parametrize("key", HASH_KEYS)
def test_equal_keys_meet_their_endpoint(sluiced, three_endpoints, key):
    """Over reconnects, on whichever worker, and after a restart of the daemon."""
    config = "worker { count = 2 }\n" + proxy_config(
        *[e.address for e in three_endpoints], cluster=f'balance = hash  hash_key = "{key}"'
    )
    met = collections.defaultdict(set)
    for _ in range(2):
        daemon = sluiced(config)
        for user in [f"user{n}" for n in range(12)] * 3:
            client, index, server = open_through(daemon, three_endpoints, *HASH_KEYS[key](user))
            met[user].add(index)
            client.close()
            server.close()
    assert all(len(indexes) == 1 for indexes in met.values()), met
    assert len(set.union(*met.values())) > 1, "all keys met one endpoint"


def test_keys_of_a_dead_endpoint_come_back_to_it(sluiced, three_endpoints):
    daemon = sluiced(
        proxy_config(
            *[e.address for e in three_endpoints],
            cluster='balance = hash  hash_key = "header:X-User"  ejection { failures = off }',
        )
    )
    users = [[f"X-User: user{n}"] for n in range(12)]

    def where():
        found = []
        for user in users:
            client, index, server = open_through(daemon, three_endpoints, extra=user)
            found.append(index)
            client.close()
            server.close()
        return found

    before = where()
    dead = three_endpoints[before[0]]
    host, port = dead.address.split(":")
    dead.close()
    alive = [e for e in three_endpoints if e is not dead]
    for user, index in zip(users, before):
        client, now, server = open_through(daemon, alive, extra=user)
        if index != before[0]:
            assert alive[now] is three_endpoints[index], "a key of another endpoint moved"
        client.close()
        server.close()
    with RawEndpoint(host, int(port)) as again:
        three_endpoints[before[0]] = again
        assert where() == before


def test_bounded_load(sluiced, three_endpoints):
    daemon = sluiced(
        proxy_config(
            *[e.address for e in three_endpoints],
            cluster='balance = hash  hash_key = "path"  hash_load = 100%',
        )
    )
    opened = [open_through(daemon, three_endpoints) for _ in range(12)]
    assert collections.Counter(i for _, i, _ in opened) == {0: 4, 1: 4, 2: 4}
    for client, _, _ in opened:
        client.close()


# ---- source addresses ------------------------------------------------------------------------


def test_source_addresses_take_turns(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address, cluster='source = {"127.0.0.2", "127.0.0.3"}'))
    opened = [open_through(daemon, [endpoint]) for _ in range(6)]
    used = [server.sock.getpeername()[0] for _, _, server in opened]
    assert used == ["127.0.0.2", "127.0.0.3"] * 3 or used == ["127.0.0.3", "127.0.0.2"] * 3
    for client, _, _ in opened:
        client.close()


def test_a_source_that_is_not_ours_is_passed_over(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address, cluster='source = {"240.0.0.1", "127.0.0.2"}'))
    for _ in range(4):
        client, _, server = open_through(daemon, [endpoint])
        assert server.sock.getpeername()[0] == "127.0.0.2"
        client.close()


def test_no_source_is_left(sluiced, endpoint):
    daemon = sluiced(proxy_config(endpoint.address, cluster='source = {"240.0.0.1"}'))
    with ws_raw.dial(daemon.address()) as client:
        client.send(ws_raw.request("/x"))
        assert client.read_head().status == 503
    daemon.wait_refused("no_source_port", 1)
    assert not endpoint.has_caller()


def test_sources_of_the_other_family_are_not_used(sluiced):
    with RawEndpoint(host="::1") as six:
        daemon = sluiced(proxy_config(six.address, cluster='source = {"127.0.0.2"}'))
        client, _, server = open_through(daemon, [six])
        assert server.sock.getpeername()[0] == "::1"
        client.close()
