# SPDX-License-Identifier: Apache-2.0
"""
Clients and endpoints that do anything at any time, all at once: nothing is asserted about a single
connection, but every one is accounted for exactly once, and nothing is left behind.
SEED=N in the environment repeats a run's choices.
"""

import os
import random
import socket
import threading

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.endpoint import RawEndpoint
from lib.rfc6455 import FRAME_CASES
from lib.rfc6455_handshake import ACCEPTANCES, REFUSALS

CLIENTS = env.scale(8)
ROUNDS = env.scale(150, sanitized=2)
SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))


def some_frames(rng, mask):
    """Good ones, or those of an RFC case, which may be bad; sometimes cut."""
    if mask is not None and rng.random() < 0.5:
        data = b"".join(rng.choice(FRAME_CASES).send)
    else:
        sizes = [rng.choice([0, 1, 125, 126, 5000, 70_000]) for _ in range(rng.randrange(4))]
        data = b"".join(ws_raw.frame(ws_raw.BINARY, bytes(n), mask=mask) for n in sizes)
    if data and rng.random() < 0.3:
        data = data[: rng.randrange(len(data))]
    return data


def misbehave(rng, stream, mask):
    """A few steps, of which each may be the last."""
    for _ in range(rng.randrange(1, 6)):
        step = rng.choice(["send", "send", "read", "half", "reset", "close", "leave"])
        if step == "send":
            stream.send(some_frames(rng, mask))
        elif step == "read":
            stream.sock.settimeout(rng.choice([0.001, 0.01]))
            stream.sock.recv(rng.choice([1, 1000, 100_000]))
        elif step == "half":
            stream.shutdown_write()
        elif step == "reset":
            return stream.reset()
        elif step == "close":
            stream.send(ws_raw.close_frame(rng.choice([1000, 999, 4000]), mask=mask))
        else:
            break
    stream.close()


def ignoring_what_must_happen(step, *args):
    try:
        step(*args)
    except (OSError, AssertionError, TimeoutError):
        pass  # the other side did something, too


class ChaoticEndpoint(RawEndpoint):
    """Answers most upgrades, then misbehaves, in a thread for each connection."""

    def __init__(self, seed):
        super().__init__()
        self._rng = random.Random(seed)
        self._threads = [threading.Thread(target=self._accept_all)]
        self._threads[0].start()

    def _accept_all(self):
        self.sock.settimeout(None)
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            rng = random.Random(self._rng.randrange(1 << 32))
            thread = threading.Thread(target=self._serve, args=(rng, ws_raw.Stream(sock)))
            thread.start()
            self._threads.append(thread)

    def _serve(self, rng, stream):
        def serve():
            if rng.random() < 0.05:
                return stream.reset()
            key = stream.read_head().get("Sec-WebSocket-Key")
            answer = ws_raw.response_101(key)
            if rng.random() < 0.1:
                answer = answer[: rng.randrange(len(answer))]
            stream.send(answer + some_frames(rng, None))
            misbehave(rng, stream, None)

        with stream:
            ignoring_what_must_happen(serve)

    def close(self):
        # A blocked accept() is woken by shutdown, not by close.
        ignoring_what_must_happen(self.sock.shutdown, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        super().close()


def run_client(rng, daemon):
    for _ in range(ROUNDS):
        path = rng.choice(["/x", "/x", "/echo"])
        head = ws_raw.request(path)
        if rng.random() < 0.2:
            head = rng.choice(REFUSALS + ACCEPTANCES).head
        if rng.random() < 0.1:
            head = head[: rng.randrange(len(head))]
        with ws_raw.dial(daemon.address()) as stream:

            def act():
                stream.send(head + (some_frames(rng, b"abcd") if rng.random() < 0.3 else b""))
                if rng.random() < 0.7:
                    stream.sock.settimeout(1)
                    stream.read_head()
                misbehave(rng, stream, b"abcd")

            ignoring_what_must_happen(act)


@pytest.mark.parametrize("workers", [1, 3])
def test_everything_is_accounted_for(sluiced, workers):
    print(f"SEED={SEED}")
    limits = "limits { close_timeout = 300ms  handshake_timeout = 500ms }\n"
    with ChaoticEndpoint(SEED) as endpoint:
        daemon = sluiced(
            f"worker {{ count = {workers} }}\n"
            + limits
            + ECHO_CONFIG
            + proxy_config(
                endpoint.address,
                cluster="upgrade_timeout = 500ms",
                route="tunnel_timeout = 500ms  max_frame = 60kb",
            )
        )
        fds = daemon.open_fds()
        clients = [
            threading.Thread(target=run_client, args=(random.Random(SEED + 1 + i), daemon))
            for i in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            daemon.connections()  # looked at and partly closed meanwhile
            daemon.ctl("close", path="local", older="50ms")
        for client in clients:
            client.join()
        daemon.wait_live(0)
    status = daemon.status()
    assert status["accepted"] == CLIENTS * ROUNDS
    assert sum(status["closed"].values()) + sum(status["refused"].values()) == status["accepted"]
    assert "internal_error" not in {**status["closed"], **status["refused"]}
    rows = daemon.access_log(status["accepted"])
    assert len({row["conn"] for row in rows}) == len(rows) == status["accepted"]
    assert daemon.open_fds() == fds
    assert daemon.connections() == []
    assert {row["connections"] for row in daemon.ctl("show.routes")} == {0}
