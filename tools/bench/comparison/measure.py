# SPDX-License-Identifier: Apache-2.0
"""The measurements: message exchange at points, idle memory, handshakes."""
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

from comparison import peers, stats

WARMUP_S = 0.3
HANDSHAKE_CONNECTIONS = 64
REFERENCE = "nginx"


class Problem(Exception):
    """Something that the user can do something about."""


def check_machine(build):
    for binary in ("sluiced", "sluice-bench"):
        if not (build / binary).exists():
            raise Problem(f"{build / binary} is missing: run make")
    if not shutil.which(REFERENCE):
        raise Problem(f"{REFERENCE} is missing: it is what the ratios are taken to; run make deps")


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run_bench(running, arguments, timeout):
    """One run of the load generator: its figures, and the system's busy seconds meanwhile."""
    command = [str(running.bench), "client", *arguments, "-j", "--no-progress"]
    before = peers.cpu_ticks()
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    cpu_s = (peers.cpu_ticks() - before) / peers.CLOCK_TICK
    if done.returncode != 0:
        raise Problem(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout), cpu_s


def exchange(running, peer, connections, size, seconds):
    figures, cpu_s = run_bench(
        running, [peer.url, "-c", str(connections), "--mode", "pingpong", "--size", str(size),
                  "--warmup", str(WARMUP_S), "--duration", str(seconds)],
        timeout=seconds + 60)
    # CPU is that of the whole run, so it is set against the messages of the whole run.
    messages = figures.get("messages_total", figures["messages"])
    return {
        "msgs_per_s": figures["msgs_per_s"],
        "p50_us": figures["latency_us"]["p50"],
        "p99_us": figures["latency_us"]["p99"],
        "cpu_s_per_1m": cpu_s / messages * 1e6,
    }


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def rounds(running, connections, size, args, label):
    """A list of rounds, each {peer name: figures}."""
    measured = []
    for number in range(args.pairs):
        figures = {}
        for peer in rotated(running.peers, number):
            progress(f"{label}: round {number + 1}/{args.pairs}, {peer.name}")
            figures[peer.name] = exchange(running, peer, connections, size, args.seconds)
        for name, row in figures.items():
            row["gateway_cpu_s_per_1m"] = (
                row["cpu_s_per_1m"] - figures["direct"]["cpu_s_per_1m"] if name != "direct" else 0.0)
        measured.append(figures)
    return measured


def ratios(measured, name, key):
    return [r[name][key] / r[REFERENCE][key] for r in measured if r[REFERENCE][key] > 0]


def row_of(measured, name, connections, size):
    def median(key):
        return statistics.median(r[name][key] for r in measured)

    row = {"peer": name, "connections": connections, "size": size, "pairs": len(measured)}
    for key in ("msgs_per_s", "p50_us", "p99_us", "gateway_cpu_s_per_1m"):
        row[key] = round(median(key), 3)
    for key, column in (("gateway_cpu_s_per_1m", "cpu"), ("msgs_per_s", "throughput"),
                        ("p50_us", "p50"), ("p99_us", "p99")):
        values = ratios(measured, name, key)
        row[f"{column}_vs_nginx"] = round(statistics.median(values), 4)
        row[f"{column}_vs_nginx_ci"] = [round(v, 4) for v in stats.bootstrap_median(values)]
    return row


def idle_memory(running, args):
    """Userspace memory (RSS) of each gateway per idle proxied connection."""
    found = []
    for peer in running.peers:
        if peer.name == "direct" or args.idle == 0:
            continue
        progress(f"memory: {args.idle} idle connections, {peer.name}")
        before = peers.rss_kb(peer.process)
        client = subprocess.Popen(
            [str(running.bench), "client", peer.url, "-c", str(args.idle), "--mode", "idle",
             "--duration", "600", "--ramp", "4000", "-j", "--no-progress"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            wait_for_connections(peer, args.idle, client)
            during = peers.rss_kb(peer.process)
        finally:
            client.terminate()
            client.communicate()
        found.append({"peer": peer.name, "connections": args.idle,
                      "bytes_per_connection": round((during - before) * 1024 / args.idle)})
        time.sleep(1)
    return found


def wait_for_connections(peer, count, client):
    """Until the gateway holds both sockets of every connection, and a moment more."""
    deadline = time.monotonic() + 60
    directory = f"/proc/{peer.process.pid}/fd"
    while len(os.listdir(directory)) < 2 * count:
        if client.poll() is not None or time.monotonic() > deadline:
            raise Problem(f"{peer.name}: {count} idle connections did not come up")
        time.sleep(0.1)
    time.sleep(1)


def handshakes(running, args):
    """Complete opening and closing handshakes a second."""
    rates = []
    gateways = [peer for peer in running.peers if peer.name != "direct"]
    for number in range(args.pairs):
        rates.append({})
        for peer in rotated(gateways, number):
            progress(f"handshakes: round {number + 1}/{args.pairs}, {peer.name}")
            figures, _ = run_bench(
                running, [peer.url, "-c", str(HANDSHAKE_CONNECTIONS), "--mode", "handshake",
                          "--source", "127.0.1.0/28", "--duration", str(args.seconds)],
                timeout=args.seconds + 60)
            rates[-1][peer.name] = figures["handshakes_per_s"]
    found = []
    for peer in gateways:
        values = [r[peer.name] / r[REFERENCE] for r in rates]
        found.append({"peer": peer.name, "connections": HANDSHAKE_CONNECTIONS,
                      "handshakes_per_s": round(statistics.median(r[peer.name] for r in rates)),
                      "handshakes_vs_nginx": round(statistics.median(values), 4),
                      "handshakes_vs_nginx_ci": [round(v, 4)
                                                 for v in stats.bootstrap_median(values)]})
    return found


def commit():
    done = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True,
                          text=True, check=False, cwd=os.path.dirname(__file__))
    return done.stdout.strip() or "unknown"


def run(running, args):
    rows = []
    # Memory first: a gateway's heap is largest when it has just been busy.
    memory = idle_memory(running, args)
    for connections, size in args.points:
        measured = rounds(running, connections, size, args, f"{connections} x {size} B")
        rows += [row_of(measured, peer.name, connections, size) for peer in running.peers]
    handshake_rows = handshakes(running, args)
    progress("")
    return {
        "meta": {"kernel": platform.release(), "cpus": os.cpu_count(), "commit": commit(),
                 "command": " ".join(sys.argv), "date": time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                                      time.gmtime()),
                 "topology": args.topology, "seconds": args.seconds, "pairs": args.pairs,
                 "versions": running.versions},
        "rows": rows,
        "summary": stats.summarise(rows),
        "memory": memory,
        "handshakes": handshake_rows,
    }
