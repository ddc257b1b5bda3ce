# SPDX-License-Identifier: Apache-2.0
"""A browser's WebSocket against /echo and against a server behind the gateway."""

import json

import pytest

from lib.browser import verdict_of
from lib.daemon import ECHO_CONFIG, proxy_config

PAGE = """<!doctype html>
<title>sluice</title>
<pre id="verdict"></pre>
<script>
const scenario = SCENARIO;

async function report(verdict) {
  document.getElementById("verdict").textContent = JSON.stringify(verdict);
  await fetch("/", { method: "POST", body: document.getElementById("verdict").textContent });
}

const next = (target, event) =>
  new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));

async function play() {
  const ws = new WebSocket(scenario.url, scenario.protocols);
  const closed = next(ws, "close");
  ws.binaryType = "arraybuffer";
  const failed = next(ws, "error").then(() => { throw new Error("handshake failed"); });
  await Promise.race([next(ws, "open"), failed]);
  failed.catch(() => {});
  const seen = { protocol: ws.protocol, extensions: ws.extensions, echoed: 0 };
  for (const size of scenario.sizes) {
    const bytes = new Uint8Array(size).map((_, i) => i * 31 + (i >> 8));
    ws.send(bytes);
    const back = new Uint8Array((await next(ws, "message")).data);
    seen.echoed += back.length === size && bytes.every((byte, i) => byte === back[i]);
    const text = "é☂🚰".repeat(size / 4);
    ws.send(text);
    seen.echoed += (await next(ws, "message")).data === text;
  }
  ws.close(4321, "done");
  const end = await closed;
  return { ...seen, code: end.code, clean: end.wasClean };
}

play().then(report, (error) => report({ error: String(error) }));
</script>
"""

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]


@pytest.mark.parametrize("backend", ["echo", "python", "node"])
def test_page_talks_through_the_gateway(sluiced, peers, directory, backend):
    if backend == "echo":
        daemon = sluiced(ECHO_CONFIG)
        protocols, chosen, extensions = ["soap", "chat"], "soap", ""
    else:
        address = peers.server(backend, deflate=True, protocols=["chat"])
        daemon = sluiced(proxy_config(address, match='path = "/echo"'))
        protocols, chosen, extensions = ["soap", "chat"], "chat", "permessage-deflate"
    scenario = {"url": daemon.url("/echo"), "protocols": protocols, "sizes": SIZES}
    seen = verdict_of(PAGE.replace("SCENARIO", json.dumps(scenario)), directory)
    assert seen.get("error") is None, seen
    assert seen["echoed"] == 2 * len(SIZES)
    assert seen["protocol"] == chosen
    assert seen["extensions"].startswith(extensions) and bool(seen["extensions"]) == bool(
        extensions
    )
    assert (seen["code"], seen["clean"]) == (4321, True)
    row = daemon.access_log(1)[-1]
    assert (row["close_code"], row["reason"]) == (4321, "close_frame")
