# SPDX-License-Identifier: Apache-2.0
"""
Echo server on python3-websockets. Usage: peer_server.py '{"deflate": bool, "protocols": [...],
"port": N}' (0: a free one).
Prints {"port": N}. A text message that starts with '!' is an order: "!close CODE REASON",
"!ping PAYLOAD" (answered with the text "pong PAYLOAD" once the pong is here), "!drop".
peer_server.js does the same.
"""

import asyncio
import json
import sys

import websockets


async def obey(ws, order):
    verb, _, rest = order[1:].partition(" ")
    if verb == "close":
        code, _, reason = rest.partition(" ")
        await ws.close(int(code), reason)
    elif verb == "ping":
        await (await ws.ping(rest))
        await ws.send(f"pong {rest}")
    elif verb == "drop":
        ws.transport.abort()


async def serve(ws):
    try:
        async for message in ws:
            if isinstance(message, str) and message.startswith("!"):
                # Not awaited here: the library reads pongs only while somebody receives.
                asyncio.create_task(obey(ws, message))
            else:
                await ws.send(message)
    except websockets.ConnectionClosed:
        pass


async def main():
    options = json.loads(sys.argv[1])
    async with websockets.serve(
        serve,
        "127.0.0.1",
        options["port"],
        subprotocols=options["protocols"] or None,
        compression="deflate" if options["deflate"] else None,
        max_size=None,
        ping_interval=None,
    ) as server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await asyncio.Future()


asyncio.run(main())
