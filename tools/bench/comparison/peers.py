# SPDX-License-Identifier: Apache-2.0
"""Starts the echo server and the gateways in front of it, each with one worker."""
import contextlib
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from comparison import netns, splicing

# The echo server listens on several addresses, so that one gateway's connections to it, and those
# in TIME_WAIT, are spread over several times 28,000 ports.
SERVER_ADDRESSES = [f"127.0.0.{n}" for n in range(2, 10)]

NGINX = """
daemon off; master_process off; worker_processes 1; error_log stderr error; pid {dir}/nginx.pid;
worker_rlimit_nofile 20000;
events {{ worker_connections 19900; }}
http {{
  access_log off;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  upstream echo {{ {servers} }}
  server {{
    listen {listen} backlog=4096;
    location / {{
      proxy_pass http://echo; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
      proxy_set_header Host $host; proxy_read_timeout 1h; proxy_send_timeout 1h;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 9900
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend f
  bind {listen} backlog 4096
  default_backend b
backend b
  balance roundrobin
{servers}
"""

SLUICE = """
worker {{ count = 1 }}
admin {{ control = "{dir}/{instance}.sock"  {admin} }}
kernel {{ {kernel} }}
listener bench {{ listen = {{"{listen}"}} }}
cluster echo {{
{servers}
}}
{routes}
route all {{ match {{ path = "/*" }} proxy = echo }}
"""


# A path beside the others, on which the kernel does not follow the frames.
UNWALKED_PATH = "/unwalked"
UNWALKED = f'route unwalked {{ match {{ path = "{UNWALKED_PATH}" }} proxy = echo ' \
           'splice_frames = off }'


class Peer:
    """Something to connect to. @process holds the connections, if any does."""

    def __init__(self, name, address, process=None, splicing_=None, path="/"):
        self.name = name
        self.address = address
        self.process = process
        self.splicing = splicing_
        self.path = path

    @property
    def url(self):
        return f"ws://{self.address}{self.path}"

    @property
    def is_gateway(self):
        return self.name not in ("direct", "routing")


class Running:
    """@client: what the load generator's command line begins with."""

    def __init__(self, client, peers, versions):
        self.client = client
        self.peers = peers
        self.versions = versions

    def __getitem__(self, name):
        return next(peer for peer in self.peers if peer.name == name)

    def get(self, name):
        return next((peer for peer in self.peers if peer.name == name), None)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(address, process, name):
    host, port = address.rsplit(":", 1)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended at once with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{name} does not listen on {address}")


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def stop(process):
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Starter:
    """Starts programs and notes what is running; @stack ends them."""

    def __init__(self, stack, build):
        self.stack = stack
        self.build = build
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-compare-"))
        stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.peers = []
        self.versions = {}

    def start(self, name, *command):
        log = self.stack.enter_context(open(self.directory / f"{name}.log", "wb"))
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, preexec_fn=netns.die_with_parent)
        self.stack.callback(stop, process)
        return process

    def configure(self, name, template, listen, servers, **more):
        path = self.directory / name
        path.write_text(template.format(dir=self.directory, listen=listen,
                                        servers="\n".join(servers), **more))
        return path

    def add(self, name, address, process=None, splicing_=None, path="/"):
        if process:
            wait_for(address, process, name)
        self.peers.append(Peer(name, address, process, splicing_, path))

    def server(self, addresses, within=()):
        return self.start("server", *within, self.build / "sluice-bench", "server", "--listen",
                          ",".join(addresses), "--workers", "1")

    def nginx(self, listen, servers):
        if not shutil.which("nginx"):
            return
        conf = self.configure("nginx.conf", NGINX, listen, [f"server {s};" for s in servers])
        self.add("nginx", listen, self.start("nginx", "nginx", "-p", self.directory, "-e",
                                             "stderr", "-c", conf))
        self.versions["nginx"] = first_line("nginx", "-v")

    def haproxy(self, listen, servers):
        if not shutil.which("haproxy"):
            return
        conf = self.configure("haproxy.cfg", HAPROXY, listen,
                              [f"  server s{i} {s}" for i, s in enumerate(servers)])
        self.add("haproxy", listen, self.start("haproxy", "haproxy", "-db", "-f", conf))
        self.versions["haproxy"] = first_line("haproxy", "-v")

    def sluice(self, name, listen, servers, splicing_=None):
        """On the relay, or with @splicing_ on what that has loaded."""
        more = {"admin": "", "kernel": "splice = off", "routes": ""}
        if splicing_:
            more = {**splicing_.configuration(), "routes": UNWALKED}
        conf = self.configure(f"{name}.conf", SLUICE, listen,
                              [f'  endpoint s{i} {{ address = "{s}" }}'
                               for i, s in enumerate(servers)], instance=name, **more)
        process = self.start(name, self.build / "sluiced", "-c", conf)
        self.add(name, listen, process, splicing_)
        self.versions["sluice"] = first_line(self.build / "sluiced", "--version")
        return process


@contextlib.contextmanager
def on_loopback(build):
    """Everything that a comparison needs, stopped and removed afterwards."""
    with contextlib.ExitStack() as stack:
        starter = Starter(stack, build)
        port = free_port()
        servers = [f"{address}:{port}" for address in SERVER_ADDRESSES]
        starter.add("direct", servers[0], starter.server(servers))
        starter.nginx(f"127.0.0.1:{free_port()}", servers)
        starter.haproxy(f"127.0.0.1:{free_port()}", servers)
        starter.sluice("sluice-relay", f"127.0.0.1:{free_port()}", servers)
        yield Running([build / "sluice-bench", "client"], starter.peers, starter.versions)


@contextlib.contextmanager
def in_namespaces(build, with_unwalked=False):
    """Likewise, over veth. See netns.py."""
    netns.enter()
    with contextlib.ExitStack() as stack:
        starter = Starter(stack, build)
        netns.wire()
        port, direct = 9000, netns.DIRECT[2]
        near, far = netns.PLAIN[0][2], netns.PLAIN[1][2]
        servers = netns.endpoint_addresses(far, port)
        process = starter.server([f"0.0.0.0:{port}"], netns.within(netns.ENDPOINT))
        wait_for(servers[0], process, "sluice-bench server")
        starter.add("direct", netns.endpoint_addresses(direct, port)[0])
        starter.add("routing", servers[0])
        starter.nginx(f"{netns.host(near, 1)}:8081", servers)
        starter.haproxy(f"{netns.host(near, 1)}:8082", servers)
        starter.sluice("sluice-relay", f"{netns.host(near, 1)}:8083", servers)

        spliced = splicing.Splicing(build, starter.directory / "sluice-splice.sock")
        spliced.load(netns.HOOKED[0][1], netns.HOOKED[1][0])
        address = f"{netns.host(netns.HOOKED[0][2], 1)}:8084"
        process = starter.sluice("sluice-splice", address,
                                 netns.endpoint_addresses(netns.HOOKED[1][2], port), spliced)
        if with_unwalked:
            starter.add("sluice-splice-unwalked", address, process, spliced, UNWALKED_PATH)
        client = [*netns.within(netns.CLIENT), build / "sluice-bench", "client"]
        yield Running(client, starter.peers, starter.versions)


def rss_kb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise RuntimeError(f"no VmRSS for {process.pid}")
