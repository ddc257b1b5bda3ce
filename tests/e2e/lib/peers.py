# SPDX-License-Identifier: Apache-2.0
"""Other people's WebSocket programs as peers: python3-websockets, npm ws, nginx, sluice-bench."""

import json
import shutil

import pytest

from lib import env
from lib.process import Process, run

PYTHON = "/usr/bin/python3"
_LIB = env.ROOT / "tests/e2e/lib"

_CLIENTS = {
    "python": [PYTHON, _LIB / "peer_client.py"],
    "node": ["node", env.NODE_SCRIPTS / "peer_client.js"],
}
_SERVERS = {
    "python": [PYTHON, _LIB / "peer_server.py"],
    "node": ["node", env.NODE_SCRIPTS / "peer_server.js"],
}
IMPLEMENTATIONS = sorted(_CLIENTS)

_NODE_ENV = {"NODE_PATH": str(env.NODE_MODULES)}


def require(implementation):
    if implementation == "node" and not (env.NODE_MODULES / "ws").is_dir():
        pytest.skip("npm ws is not installed: make build/node/.stamp")


class Peers:
    def __init__(self, directory):
        self._dir = directory
        self._processes = []
        self._servers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.kill()

    def _start(self, argv, name):
        name = f"{name}{len(self._processes)}"
        process = Process(argv, self._dir, name, environment=_NODE_ENV)
        self._processes.append(process)
        return process

    def server(self, implementation, deflate=False, protocols=()):
        """An echo server that also takes orders (peer_server.py). Returns its address."""
        require(implementation)
        options = json.dumps({"deflate": deflate, "protocols": list(protocols)})
        process = self._start([*_SERVERS[implementation], options], f"{implementation}-server")
        address = f"127.0.0.1:{json.loads(process.wait_line())['port']}"
        self._servers[address] = process
        return address

    def kill(self, address):
        """Ends the server at @address, with all its connections."""
        self._servers[address].kill()

    def client(self, implementation, url, **scenario):
        """Runs one scenario (peer_client.py) to its end. Returns what the client saw."""
        require(implementation)
        code, out, err = run(
            _CLIENTS[implementation],
            self._dir,
            f"{implementation}-client",
            environment=_NODE_ENV,
            data=json.dumps({"url": url, **scenario}).encode(),
            patience_s=3 * env.PATIENCE_S,
        )
        assert code == 0, err
        return json.loads(out)

    def nginx(self, backend):
        """nginx as a proxy in front of @backend, with its usual handshake. Returns its address."""
        if not shutil.which("nginx", path="/usr/sbin:/usr/bin"):
            pytest.skip("nginx is not installed")
        home = self._dir / "nginx"
        home.mkdir()
        socket_path = home / "front.sock"
        conf = home / "nginx.conf"
        conf.write_text(_NGINX_CONF.format(home=home, backend=backend, front=socket_path))
        self._start(["/usr/sbin/nginx", "-p", home, "-e", home / "error.log", "-c", conf], "nginx")
        env.until(socket_path.exists, "nginx's socket")
        return f"unix:{socket_path}"


_NGINX_CONF = """\
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 256; }}
http {{
	access_log off;
	client_body_temp_path {home}/body;
	proxy_temp_path {home}/proxy;
	fastcgi_temp_path {home}/fastcgi;
	uwsgi_temp_path {home}/uwsgi;
	scgi_temp_path {home}/scgi;
	server {{
		listen unix:{front};
		location / {{
			proxy_pass http://{backend};
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection upgrade;
			proxy_set_header Host $host;
		}}
	}}
}}
"""
