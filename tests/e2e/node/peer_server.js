// SPDX-License-Identifier: Apache-2.0
// Echo server on npm ws; arguments, output and orders as in lib/peer_server.py.
"use strict";

const { WebSocketServer } = require("ws");

const options = JSON.parse(process.argv[2]);

function obey(ws, order) {
  const [verb, ...words] = order.slice(1).split(" ");
  if (verb === "close") {
    ws.close(Number(words[0]), words.slice(1).join(" "));
  } else if (verb === "ping") {
    ws.once("pong", (payload) => ws.send(`pong ${payload}`));
    ws.ping(words.join(" "));
  } else if (verb === "drop") {
    ws.terminate();
  }
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: options.port,
  // Compresses whatever is negotiated, however short.
  perMessageDeflate: options.deflate ? { threshold: 0 } : false,
  maxPayload: 0,
  handleProtocols: (offered) => options.protocols.find((name) => offered.has(name)) || false,
});

server.on("connection", (ws) => {
  ws.on("error", () => {});
  ws.on("message", (data, isBinary) => {
    if (!isBinary && data.length > 0 && data[0] === 0x21) obey(ws, data.toString());
    else ws.send(data, { binary: isBinary });
  });
});

server.on("listening", () => console.log(JSON.stringify({ port: server.address().port })));
