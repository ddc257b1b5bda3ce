# SPDX-License-Identifier: Apache-2.0
"""Other people's WebSocket programs as peers: python3-websockets, npm ws, nginx, haproxy."""

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

    def server(self, implementation, deflate=False, protocols=(), port=0):
        """An echo server that also takes orders (peer_server.py). Returns its address."""
        require(implementation)
        options = json.dumps({"deflate": deflate, "protocols": list(protocols), "port": port})
        process = self._start([*_SERVERS[implementation], options], f"{implementation}-server")
        address = f"127.0.0.1:{json.loads(process.wait_line())['port']}"
        self._servers[address] = process
        return address

    def kill(self, address):
        """Ends the server or proxy at @address, with all its connections."""
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
        """
        nginx as a proxy in front of @backend, with its usual handshake. Returns its address.
        Again after a kill(): another one at the same address.
        """
        return self._front("nginx", _NGINX_CONF, backend, "-p {home} -e {home}/error.log -c {conf}")

    def haproxy(self, backend):
        """Likewise, haproxy."""
        return self._front("haproxy", _HAPROXY_CONF, backend, "-f {conf}")

    def _front(self, program, text, backend, options):
        path = shutil.which(program, path="/usr/sbin:/usr/bin")
        if not path:
            pytest.skip(f"{program} is not installed")
        home = self._dir / program
        home.mkdir(exist_ok=True)
        socket_path = home / "front.sock"
        socket_path.unlink(missing_ok=True)
        conf = home / "conf"
        conf.write_text(text.format(home=home, backend=backend, front=socket_path))
        process = self._start([path, *options.format(home=home, conf=conf).split()], program)
        env.until(socket_path.exists, f"{program}'s socket")
        address = f"unix:{socket_path}"
        self._servers[address] = process
        return address


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

_HAPROXY_CONF = """\
global
	maxconn 512
defaults
	mode http
	timeout connect 10s
	timeout client 1h
	timeout server 1h
	timeout tunnel 1h
listen front
	bind unix@{front}
	server back {backend}
"""
