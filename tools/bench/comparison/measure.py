# SPDX-License-Identifier: Apache-2.0
"""The measurements: message exchange at points, idle memory, handshakes."""
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

from comparison import peers, splicing, stats, targets
from comparison.problem import Problem

WARMUP_S = 0.3
SPLICE_TRIES = 4
HANDSHAKE_CONNECTIONS = 64
REFERENCE = "nginx"


def check_machine(build):
    for binary in ("sluiced", "sluice-bench"):
        if not (build / binary).exists():
            raise Problem(f"{build / binary} is missing: run make")
    if not shutil.which(REFERENCE):
        raise Problem(f"{REFERENCE} is missing: it is what the ratios are taken to; run make deps")


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run_bench(running, peer, arguments, timeout, hold_s=0, connections=0):
    """
    One run of the load generator: its figures. With @hold_s, it waits so long between the last
    handshake and the first message, and by then all its @connections are spliced, or NotSpliced.
    """
    command = [str(word) for word in
               [*running.client, peer.url, *arguments, "-j", "--no-progress"]]
    if hold_s:
        command += ["--hold-after-open", str(hold_s)]
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as client:
        try:
            if hold_s:
                peer.splicing.wait_spliced(connections, client, began + hold_s)
            out, err = client.communicate(timeout=timeout + hold_s)
        finally:
            client.kill()
    if client.returncode != 0:
        raise Problem(f"{' '.join(command)}: status {client.returncode}: {err.strip()}")
    return json.loads(out)


def run_spliced(running, peer, arguments, timeout, connections):
    """Likewise, with more patience after a failure: the machine may have other things to do."""
    hold_s = peer.splicing.hold_s(connections)
    for _ in range(SPLICE_TRIES - 1):
        with contextlib.suppress(splicing.NotSpliced):
            return run_bench(running, peer, arguments, timeout, hold_s, connections)
        hold_s *= 2
    return run_bench(running, peer, arguments, timeout, hold_s, connections)


def exchange(running, peer, connections, size, seconds):
    arguments = ["-c", connections, "--mode", "pingpong", "--size", size, "--warmup", WARMUP_S,
                 "--duration", seconds]
    timeout = seconds + 60
    if peer.splicing:
        figures = run_spliced(running, peer, arguments, timeout, connections)
    else:
        figures = run_bench(running, peer, arguments, timeout)
    return {
        "msgs_per_s": figures["msgs_per_s"],
        "p50_us": figures["latency_us"]["p50"],
        "p99_us": figures["latency_us"]["p99"],
        "cpu_s_per_1m": figures["system_cpu_s"] / figures["messages"] * 1e6,
        "messages_total": figures["messages_total"],
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
        row[f"{column}_vs_nginx"], row[f"{column}_vs_nginx_ci"] = stats.median_ratio(values)
    if "routing" in measured[0] and name != "direct":
        value, low, high = stats.ratio_of_medians(
            [(r[name]["gateway_cpu_s_per_1m"], r["routing"]["gateway_cpu_s_per_1m"])
             for r in measured])
        row["cpu_vs_routing"] = value
        row["cpu_vs_routing_ci"] = [low, high]
    if name == targets.SPLICED and targets.UNWALKED in measured[0]:
        for key, column in (("gateway_cpu_s_per_1m", "cpu"), ("msgs_per_s", "throughput")):
            value, low, high = stats.ratio_of_medians(
                [(r[name][key], r[targets.UNWALKED][key]) for r in measured])
            row[f"{column}_vs_unwalked"] = value
            row[f"{column}_vs_unwalked_ci"] = [low, high]
    return row


def program_cost(running, peer, connections, size, seconds):
    """
    What the hook itself ran for, by the kernel's own clock: to be set beside the difference of two
    runs, of which it is the part that is ours. The rest is what sends the packets on.
    """
    with splicing.counting_program_time():
        runs, ns = peer.splicing.program_time()
        figures = exchange(running, peer, connections, size, seconds)
        runs_after, ns_after = peer.splicing.program_time()
    runs, ns = runs_after - runs, ns_after - ns
    if runs == 0:
        raise Problem(f"{peer.name}: the hook did not run")
    return {"program_cpu_s_per_1m": round(ns / 1e9 / figures["messages_total"] * 1e6, 3),
            "program_ns_per_run": round(ns / runs),
            "program_runs_per_msg": round(runs / figures["messages_total"], 2)}


def kernel_state(running, peer, args):
    """What spliced connections cost beside CPU: map memory, descriptors, the daemon's time."""
    connections = max(connections for connections, _ in args.points)
    before = splicing.n_descriptors(peer.process)
    client = subprocess.Popen(
        [str(word) for word in [*running.client, peer.url, "-c", connections, "--mode", "idle",
                                "--duration", "600", "-j", "--no-progress"]],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        peer.splicing.wait_spliced(connections, client, time.monotonic() + 60)
        deadline = time.monotonic() + 10  # the last sockets linger
        while splicing.n_descriptors(peer.process) > before and time.monotonic() < deadline:
            time.sleep(0.05)
        during = splicing.n_descriptors(peer.process)
    finally:
        client.terminate()
        client.communicate()
    state = {"map_bytes_per_connection": peer.splicing.map_bytes_per_connection(),
             "descriptors_per_connection": round((during - before) / connections, 4)}
    promotions = peer.splicing.promotions()
    if promotions and promotions[0]:
        state["promotions"] = round(promotions[0])
        state["promotion_us"] = round(promotions[1] / promotions[0] * 1e6, 2)
        state["promotion_switch_us"] = round(promotions[2] / promotions[0] * 1e6, 2)
    return state


def idle_memory(running, args):
    """Userspace memory (RSS) of each gateway per idle proxied connection."""
    found = []
    for peer in running.peers:
        if not peer.is_gateway or peer.splicing or args.idle == 0:
            continue
        progress(f"memory: {args.idle} idle connections, {peer.name}")
        before = peers.rss_kb(peer.process)
        client = subprocess.Popen(
            [str(word) for word in [*running.client, peer.url, "-c", args.idle, "--mode", "idle",
                                    "--duration", "600", "--ramp", "4000", "-j",
                                    "--no-progress"]],
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
    gateways = [peer for peer in running.peers if peer.is_gateway]
    for number in range(args.pairs):
        rates.append({})
        for peer in rotated(gateways, number):
            progress(f"handshakes: round {number + 1}/{args.pairs}, {peer.name}")
            figures = run_bench(
                running, peer, ["-c", HANDSHAKE_CONNECTIONS, "--mode", "handshake",
                                "--source", "127.0.1.0/28", "--duration", args.seconds],
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


def point(running, connections, size, args):
    """The rows of one point."""
    label = f"{connections} x {size} B"
    measured = rounds(running, connections, size, args, label)
    rows = [row_of(measured, peer.name, connections, size) for peer in running.peers]
    for row, peer in zip(rows, running.peers):
        if peer.splicing:
            progress(f"{label}: time of the kernel program")
            row.update(program_cost(running, peer, connections, size, args.seconds))
    return rows


def run(running, args):
    is_loopback = args.topology == "loopback"
    # Memory first: a gateway's heap is largest when it has just been busy.
    memory = idle_memory(running, args) if is_loopback else []
    rows = []
    for connections, size in args.points:
        rows += point(running, connections, size, args)
    result = {
        "meta": {"kernel": platform.release(), "cpus": os.cpu_count(), "commit": commit(),
                 "command": " ".join(sys.argv), "date": time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                                      time.gmtime()),
                 "topology": args.topology, "seconds": args.seconds, "pairs": args.pairs,
                 "versions": running.versions},
        "rows": rows,
        "summary": stats.summarise(rows),
        "memory": memory,
        "handshakes": handshakes(running, args) if is_loopback else [],
    }
    spliced = running.get("sluice-splice")
    if spliced:
        progress("descriptors and memory of spliced connections")
        result["splice"] = kernel_state(running, spliced, args)
        result["targets"] = targets.judge(rows, result["splice"])
    progress("")
    return result
