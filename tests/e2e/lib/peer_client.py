# SPDX-License-Identifier: Apache-2.0
"""
Client on python3-websockets: reads one scenario (JSON) from standard input, prints what it saw.

Scenario: url; protocols; deflate; messages: [[kind, bytes, seed], …] each sent and compared with
its echo; ping: payload of a ping whose pong is awaited; server_ping: payload that the server is
told to ping with; close: [code, reason] that the client sends, or server_close that it asks for.
Result: protocol, extensions, echoed (equal ones), pong, server_pong, close: [code, reason].
peer_client.js does the same.
"""

import asyncio
import json
import sys

import websockets

LETTERS = "sluice é ☂ 🚰 "


def message(kind, size, seed):
    """@size bytes, or characters of mixed width; the same in both languages."""
    if kind == "text":
        letters = list(LETTERS)
        return "".join(letters[(i + seed) % len(letters)] for i in range(size))
    return bytes((i * 31 + (i >> 8) * 7 + seed) & 0xFF for i in range(size))


async def play(scenario):
    seen = {"echoed": 0, "pong": False, "server_pong": None}
    ws = await websockets.connect(
        scenario["url"],
        subprotocols=scenario.get("protocols"),
        compression="deflate" if scenario.get("deflate") else None,
        max_size=None,
        ping_interval=None,
    )
    seen["protocol"] = ws.subprotocol
    seen["extensions"] = [e.name for e in ws.extensions]
    for kind, size, seed in scenario.get("messages", []):
        sent = message(kind, size, seed)
        await ws.send(sent)
        seen["echoed"] += await ws.recv() == sent
    if "ping" in scenario:
        await (await ws.ping(scenario["ping"]))
        seen["pong"] = True
    if "server_ping" in scenario:
        await ws.send(f"!ping {scenario['server_ping']}")
        seen["server_pong"] = await ws.recv()
    if "close" in scenario:
        await ws.close(*scenario["close"])
    elif "server_close" in scenario:
        code, reason = scenario["server_close"]
        await ws.send(f"!close {code} {reason}")
    await ws.wait_closed()
    seen["close"] = [ws.close_code, ws.close_reason]
    return seen


print(json.dumps(asyncio.run(play(json.load(sys.stdin)))))
