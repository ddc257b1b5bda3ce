# SPDX-License-Identifier: Apache-2.0
"""/metrics in the eyes of Prometheus: its checker, and a server that scrapes."""

import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest

from lib import bench, env, ws_raw
from lib.daemon import ECHO_CONFIG, proxy_config
from lib.process import Process

PROMETHEUS_CONFIG = """\
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: sluice
    static_configs:
      - targets: ["{host}:{port}"]
"""


def installed(name):
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


def check(text):
    """promtool's own opinion of it."""
    done = subprocess.run(
        [installed("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=env.PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0 and not done.stdout and not done.stderr, done


def test_promtool_finds_nothing(sluiced):
    """Neither before any traffic nor behind some."""
    daemon = sluiced(ECHO_CONFIG + proxy_config("127.0.0.1:9"))
    check(daemon.metrics().text)
    with ws_raw.connect(daemon.address()) as client:
        client.send(ws_raw.frame(ws_raw.PING))
        client.expect_frame(ws_raw.PONG)
        check(daemon.metrics().text)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def query(port, expression):
    """Value of an expression that gives one sample, or None as long as it gives none."""
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(url, timeout=env.PATIENCE_S) as response:
            result = json.load(response)["data"]["result"]
    except OSError:
        return None
    return float(result[0]["value"][1]) if result else None


def test_prometheus_scrapes_and_answers(sluiced, directory):
    binary = installed("prometheus")
    daemon = sluiced(ECHO_CONFIG)
    bench.clean_client(directory, daemon.url(), "-c", "3", "-n", "50")
    daemon.wait_closed("close_frame", 3)
    host, port = daemon.admin_address()
    config = directory / "prometheus.yml"
    config.write_text(PROMETHEUS_CONFIG.format(host=host, port=port))
    own_port = free_port()
    argv = [
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{own_port}",
    ]
    with Process(argv, directory, "prometheus") as prometheus:

        def has_scraped():
            assert prometheus.is_running(), prometheus.stderr()
            return query(own_port, 'up{job="sluice"}') == 1

        env.until(has_scraped, "Prometheus to scrape the daemon")
        assert query(own_port, 'sluice_accepted_total{listener="public"}') == 3
        assert query(own_port, 'sum(sluice_frames_total{kind="binary",direction="in"})') == 50
        # Nothing moves any more, so what was stored is what the daemon says now.
        m = daemon.metrics()
        for name in ("accepted", "refused", "closed", "bytes", "frames"):
            name = f"sluice_{name}_total"
            assert query(own_port, f"sum({name})") == m(name), name
        buckets = "histogram_quantile(0.99, sluice_handshake_seconds_bucket)"
        assert 0 < query(own_port, buckets) <= 10
