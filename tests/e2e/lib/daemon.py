# SPDX-License-Identifier: Apache-2.0
"""A running sluiced: its configuration, its figures, its end."""

import http.client
import json
import os
import re
import signal
import time

from lib import env
from lib.control import Control
from lib.metrics import Metrics
from lib.process import Process, run

# What a test's configuration does not say itself. close_timeout and hard_stop_after are short
# because some tests leave peers behind that never answer.
_SECTIONS = {
    "worker": "worker {{ count = 1 }}",
    "admin": 'admin {{ control = "{dir}/control.sock"  listen = {{"127.0.0.1:0"}} }}',
    "log": 'log {{ level = info  access = "{dir}/access.log" }}',
    "limits": "limits {{ close_timeout = 2s }}",
    "drain": "drain {{ hard_stop_after = 5s }}",
    "listener": 'listener public {{ listen = {{"127.0.0.1:0"}} }}',
}

SANITIZER_ENV = {
    "ASAN_OPTIONS": "exitcode=86:detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def complete_config(text, directory):
    """@text, preceded by a default for each of the sections above that it lacks."""
    lines = [
        default.format(dir=directory)
        for section, default in _SECTIONS.items()
        if not re.search(rf"^\s*{section}\b", text, re.MULTILINE)
    ]
    return "\n".join([*lines, text, ""])


def proxy_config(*addresses, name="all", cluster="", route="", match='path = "/*"'):
    """A cluster `back-NAME` of endpoints e0, e1, … and the route NAME to it."""
    endpoints = "\n".join(
        f'  endpoint e{i} {{ address = "{address}" }}' for i, address in enumerate(addresses)
    )
    return (
        f"cluster back-{name} {{\n  {cluster}\n{endpoints}\n}}\n"
        f'route {name} {{ match {{ {match} }} proxy = "back-{name}"  {route} }}\n'
    )


ECHO_CONFIG = 'route echo { match { path = "/echo" } echo = true }\n'


def assert_no_sanitizer_report(stderr):
    for mark in ("Sanitizer: ", "runtime error:"):
        assert mark not in stderr, stderr


class Sluiced:
    def __init__(self, directory, config, nofile=None, **environment):
        self.dir = directory
        self.config_path = directory / "sluice.conf"
        self.control_path = directory / "control.sock"
        self.access_path = directory / "access.log"
        self.write_config(config)
        self.process = Process(
            [env.BUILD / "sluiced", "-c", self.config_path],
            directory,
            "sluiced",
            environment={**SANITIZER_ENV, **environment},
            nofile=nofile,
        )
        self.pid = self.process.pid
        self._listeners = None
        self._exit_code = None
        try:
            env.until(self._is_ready, "the daemon's control socket")
        except BaseException:
            self.process.kill()
            raise

    def _is_ready(self):
        assert self.process.is_running(), f"sluiced ended early: {self.log()}"
        try:
            self._listeners = {l["name"]: l["addresses"] for l in self.status()["listeners"]}
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def addresses(self, listener="public"):
        return self._listeners[listener]

    def address(self, listener="public"):
        """What a client connects to: (host, port), or a path for a unix socket."""
        first = self._listeners[listener][0]
        if first.startswith("unix:"):
            return first[len("unix:") :]
        host, port = first.rsplit(":", 1)
        return host.strip("[]"), int(port)

    def port(self, listener="public"):
        return self.address(listener)[1]

    def url(self, path="/echo"):
        return f"ws://127.0.0.1:{self.port()}{path}"

    def control(self):
        return Control(self.control_path)

    def ctl(self, cmd, **args):
        with self.control() as control:
            return control.call(cmd, **args)

    def admin_address(self):
        """(host, port) of the admin listener."""
        host, port = self.status()["admin"][0].rsplit(":", 1)
        return host.strip("[]"), int(port)

    def http(self, path, method="GET"):
        """A request to the admin listener: (status, headers, body)."""
        connection = http.client.HTTPConnection(*self.admin_address(), timeout=env.PATIENCE_S)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def api(self, resource):
        """The body of a GET below /api/v1/."""
        code, headers, body = self.http("/api/v1/" + resource)
        assert code == 200 and headers["Content-Type"] == "application/json", (code, body)
        return json.loads(body)

    def metrics(self):
        code, _, body = self.http("/metrics")
        assert code == 200
        return Metrics(body.decode())

    def write_config(self, config):
        self.config_path.write_text(complete_config(config, self.dir))

    def reload(self, config=None):
        """Serves from @config (default: the file as it is) from now on. Returns the result."""
        if config is not None:
            self.write_config(config)
        return self.ctl("reload")

    def status(self):
        return self.ctl("status")

    def connections(self, **filters):
        return self.ctl("show.connections", **filters)

    def refused(self, reason):
        return self.status()["refused"].get(reason, 0)

    def closed(self, reason):
        return self.status()["closed"].get(reason, 0)

    def wait_refused(self, reason, count):
        """A connection is counted at its end, which its client may see a little earlier."""
        env.until(lambda: self.refused(reason) >= count, f"{count} refusals as {reason}")
        assert self.refused(reason) == count

    def wait_closed(self, reason, count):
        env.until(lambda: self.closed(reason) >= count, f"{count} ends as {reason}")
        assert self.closed(reason) == count

    def live(self):
        """Connections in any state."""
        return sum(self.status()["connections"].values())

    def wait_live(self, count):
        env.until(lambda: self.live() == count, f"{count} live connections")

    def sluicectl(self, *argv):
        """Returns (exit code, stdout, stderr)."""
        return run(
            [env.BUILD / "sluicectl", "-s", self.control_path, *argv],
            self.dir,
            "sluicectl",
            environment=SANITIZER_ENV,
        )

    def log(self):
        return self.process.stderr()

    def access_log(self, count=None):
        """All lines of the access log, once there are at least @count."""
        rows = self._read_access_log()
        if count is not None:
            env.until(
                lambda: len(self._read_access_log()) >= count, f"{count} lines of the access log"
            )
            rows = self._read_access_log()
        return rows

    def _read_access_log(self):
        if not self.access_path.exists():
            return []
        text = self.access_path.read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def rss_kb(self):
        return self._proc_status("VmRSS")

    def _proc_status(self, key):
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise AssertionError(f"no {key} of {self.pid}")

    def open_fds(self):
        """Once their number holds still: our own control connection ends a little later."""

        def count():
            return len(os.listdir(f"/proc/{self.pid}/fd"))

        def is_still():
            before = count()
            time.sleep(0.05)
            return count() == before

        env.until(is_still, "the number of open descriptors to hold still")
        return count()

    def context_switches(self):
        """Voluntary ones: how often any of the threads went to sleep."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/status") as status:
                total += int(
                    re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M)[1]
                )
        return total

    def stop(self):
        """SIGTERM and a clean end. May be repeated."""
        if self._exit_code is None:
            self._exit_code = self.process.stop(signal.SIGTERM)
        code = self._exit_code
        assert_no_sanitizer_report(self.log())
        assert code == 0, f"sluiced exited with {code}: {self.log()}"

    def kill(self):
        self.process.kill()


class Daemons:
    """start = Daemons(directory); start(config, **options) -> Sluiced; all end cleanly with it."""

    def __init__(self, directory):
        self._dir = directory
        self._started = []

    def __call__(self, config, **options):
        home = self._dir / f"d{len(self._started)}"
        home.mkdir()
        daemon = Sluiced(home, config, **options)
        self._started.append(daemon)
        return daemon

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            for daemon in self._started:
                # pytest shows this for failed tests only.
                print(f"--- log of sluiced {daemon.pid}\n{daemon.log()}")
                daemon.stop()
        finally:
            for daemon in self._started:
                daemon.kill()
