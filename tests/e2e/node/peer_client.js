// SPDX-License-Identifier: Apache-2.0
// Client on npm ws; scenario and result as in lib/peer_client.py.
"use strict";

const fs = require("fs");
const WebSocket = require("ws");

const LETTERS = Array.from("sluice é ☂ 🚰 ");

function message(kind, size, seed) {
  if (kind === "text") {
    return Array.from({ length: size }, (_, i) => LETTERS[(i + seed) % LETTERS.length]).join("");
  }
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = i * 31 + (i >> 8) * 7 + seed;
  return bytes;
}

const next = (ws, event) => new Promise((resolve) => ws.once(event, (...args) => resolve(args)));

async function play(scenario) {
  const seen = { echoed: 0, pong: false, server_pong: null };
  const ws = new WebSocket(scenario.url, scenario.protocols || [], {
    perMessageDeflate: scenario.deflate ? { threshold: 0 } : false,
    maxPayload: 0,
  });
  const closed = next(ws, "close");
  await next(ws, "open");
  seen.protocol = ws.protocol || null;
  seen.extensions = ws.extensions ? [ws.extensions.split(";")[0]] : [];
  for (const [kind, size, seed] of scenario.messages || []) {
    const sent = message(kind, size, seed);
    ws.send(sent);
    const [data, isBinary] = await next(ws, "message");
    if (isBinary === (kind === "binary") && data.equals(Buffer.from(sent))) seen.echoed++;
  }
  if ("ping" in scenario) {
    ws.ping(scenario.ping);
    const [payload] = await next(ws, "pong");
    seen.pong = payload.toString() === scenario.ping;
  }
  if ("server_ping" in scenario) {
    ws.send(`!ping ${scenario.server_ping}`);
    seen.server_pong = (await next(ws, "message"))[0].toString();
  }
  if ("close" in scenario) {
    ws.close(...scenario.close);
  } else if ("server_close" in scenario) {
    ws.send(`!close ${scenario.server_close.join(" ")}`);
  }
  const [code, reason] = await closed;
  seen.close = [code, reason.toString()];
  return seen;
}

play(JSON.parse(fs.readFileSync(0, "utf8"))).then((seen) => console.log(JSON.stringify(seen)));
