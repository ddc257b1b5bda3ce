# SPDX-License-Identifier: Apache-2.0
"""What idle connections and unfinished messages cost at most, and that it is given back."""

import asyncio
import resource
import threading

import pytest

from lib import env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config

MOST_KB_EACH = 8


class AcceptingEndpoint:
    """Upgrades every caller and then leaves it alone, in a thread of its own."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    async def _serve(self, reader, writer):
        head = ws_raw.Head(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ws_raw.response_101(head.get("Sec-WebSocket-Key")))
        await reader.read()
        writer.close()

    def __enter__(self):
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024), self._loop
        )
        self._server = started.result(env.PATIENCE_S)
        self.address = "127.0.0.1:%d" % self._server.sockets[0].getsockname()[1]
        return self

    async def _stop(self):
        self._server.close()
        await self._server.wait_closed()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(env.PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(env.SANITIZED, reason="sanitizers' own memory hides the daemon's")
def test_idle_connections(sluiced, many_descriptors):
    count = env.scale(2000)
    with AcceptingEndpoint() as endpoint:
        daemon = sluiced(proxy_config(endpoint.address))

        def round_trip():
            held = [ws_raw.connect(daemon.address(), "/x") for _ in range(count)]
            rss_kb = daemon.rss_kb()
            for stream in held:
                stream.close()
            daemon.wait_live(0)
            return rss_kb

        with ws_raw.connect(daemon.address(), "/x"):
            pass
        daemon.wait_live(0)
        idle_kb, fds = daemon.rss_kb(), daemon.open_fds()
        first_kb = round_trip()
        assert (first_kb - idle_kb) / count < MOST_KB_EACH
        # What the allocator keeps for itself must be used again, not added to.
        second_kb = round_trip()
        assert second_kb - first_kb < 0.1 * (first_kb - idle_kb) + 256
        assert daemon.open_fds() == fds


def test_messages_under_assembly_share_one_limit(sluiced):
    """Who would go over it is sent away; the others keep what they have."""
    daemon = sluiced("limits { message_memory = 1mb  close_timeout = 1s }\n" + ECHO_CONFIG)
    part = bytes(300_000)
    held = [ws_raw.connect(daemon.address()) for _ in range(3)]
    try:
        for stream in held:
            stream.send(ws_raw.frame(ws_raw.BINARY, part, fin=False))
        env.until(
            lambda: daemon.status()["traffic"].get("local", {"bytes_in": 0})["bytes_in"]
            > 3 * len(part),
            "all parts to have arrived",
        )
        with ws_raw.connect(daemon.address()) as greedy:
            greedy.send(ws_raw.frame(ws_raw.BINARY, part, fin=False))
            greedy.expect_close(1013)
            greedy.shutdown_write()
            greedy.expect_end()
        daemon.wait_closed("out_of_memory", 1)
        for stream in held:
            stream.send(ws_raw.frame(ws_raw.CONTINUATION, b"end"))
            stream.expect_frame(ws_raw.BINARY, part + b"end")
        # What they used is free again.
        held[0].send(ws_raw.frame(ws_raw.BINARY, 3 * part, fin=False))
        held[0].send(ws_raw.frame(ws_raw.CONTINUATION, b""))
        held[0].expect_frame(ws_raw.BINARY, 3 * part)
    finally:
        for stream in held:
            stream.close()
