# SPDX-License-Identifier: Apache-2.0
"""One page in headless Chromium: it is loaded, does its work, and posts its verdict back."""

import http.server
import json
import queue
import shutil
import threading

import pytest

from lib import env
from lib.process import Process

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = self.server.page.encode() if self.path == "/" else b""
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.verdicts.put(body)

    def log_message(self, *_):
        pass


def verdict_of(page, directory):
    """Runs @page, which ends with `report(object)`, and returns the object."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.page, server.verdicts = page, queue.Queue()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    profile = directory / "chromium"
    url = f"http://127.0.0.1:{server.server_port}/"
    try:
        with Process(
            [chromium, *_FLAGS, f"--user-data-dir={profile}", url],
            directory,
            "chromium",
            environment={"HOME": str(directory), "XDG_CONFIG_HOME": str(profile)},
        ) as browser:
            try:
                return json.loads(server.verdicts.get(timeout=6 * env.PATIENCE_S))
            except queue.Empty:
                raise AssertionError(f"no verdict; chromium said: {browser.stderr()}") from None
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
