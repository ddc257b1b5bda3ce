# SPDX-License-Identifier: Apache-2.0
"""Starts the echo server and the gateways in front of it, each with one worker, on loopback."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

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
    listen 127.0.0.1:{port} backlog=4096;
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
  bind 127.0.0.1:{port} backlog 4096
  default_backend b
backend b
  balance roundrobin
{servers}
"""

SLUICE = """
worker {{ count = 1 }}
admin {{ control = "{dir}/control.sock" }}
listener bench {{ listen = {{"127.0.0.1:{port}"}} }}
cluster echo {{
{servers}
}}
route all {{ match {{ path = "/*" }} proxy = echo }}
"""


class Peer:
    def __init__(self, name, address, process=None):
        self.name = name
        self.address = address
        self.process = process

    @property
    def url(self):
        return f"ws://{self.address}/"


class Running:
    def __init__(self, bench, peers, versions):
        self.bench = bench
        self.peers = peers
        self.versions = versions

    def __getitem__(self, name):
        return next(peer for peer in self.peers if peer.name == name)


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


def start(stack, directory, name, command):
    log = stack.enter_context(open(directory / f"{name}.log", "wb"))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    stack.callback(stop, process)
    return process


def stop(process):
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def configure(directory, name, template, port, servers):
    path = directory / name
    path.write_text(template.format(dir=directory, port=port, servers=servers))
    return path


@contextlib.contextmanager
def running(build):
    """Everything that a comparison needs, stopped and removed afterwards."""
    bench = build / "sluice-bench"
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-compare-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        port = free_port()
        servers = [f"{address}:{port}" for address in SERVER_ADDRESSES]
        process = start(stack, directory, "server",
                        [bench, "server", "--listen", ",".join(servers), "--workers", "1"])
        wait_for(servers[0], process, "sluice-bench server")
        found = [Peer("direct", servers[0], process)]
        versions = {}

        if shutil.which("nginx"):
            address = f"127.0.0.1:{free_port()}"
            conf = configure(directory, "nginx.conf", NGINX, address.split(":")[1],
                             " ".join(f"server {s};" for s in servers))
            process = start(stack, directory, "nginx",
                            ["nginx", "-p", str(directory), "-e", "stderr", "-c", str(conf)])
            wait_for(address, process, "nginx")
            found.append(Peer("nginx", address, process))
            versions["nginx"] = first_line("nginx", "-v")
        if shutil.which("haproxy"):
            address = f"127.0.0.1:{free_port()}"
            conf = configure(directory, "haproxy.cfg", HAPROXY, address.split(":")[1],
                             "\n".join(f"  server s{i} {s}" for i, s in enumerate(servers)))
            process = start(stack, directory, "haproxy", ["haproxy", "-db", "-f", str(conf)])
            wait_for(address, process, "haproxy")
            found.append(Peer("haproxy", address, process))
            versions["haproxy"] = first_line("haproxy", "-v")

        address = f"127.0.0.1:{free_port()}"
        conf = configure(directory, "sluice.conf", SLUICE, address.split(":")[1],
                         "\n".join(f'  endpoint s{i} {{ address = "{s}" }}'
                                   for i, s in enumerate(servers)))
        process = start(stack, directory, "sluiced", [build / "sluiced", "-c", conf])
        wait_for(address, process, "sluiced")
        found.append(Peer("sluice-relay", address, process))
        versions["sluice"] = first_line(build / "sluiced", "--version")
        yield Running(bench, found, versions)


def rss_kb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise RuntimeError(f"no VmRSS for {process.pid}")


def cpu_ticks():
    """Busy time of the whole system in clock ticks."""
    with open("/proc/stat", encoding="ascii") as stat:
        fields = [int(value) for value in stat.readline().split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return user + nice + system + irq + softirq


CLOCK_TICK = os.sysconf("SC_CLK_TCK")
