# SPDX-License-Identifier: Apache-2.0
"""JSON, tables on standard output, and a chart."""
import json
import shutil
import subprocess

from comparison import targets


def write(result, path, top):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written: {path}")
    chart = path.with_suffix(".png")
    if draw(result, path.with_suffix(".dat"), chart, top / "tools" / "bench" / "compare.gnuplot"):
        print(f"written: {chart}")


def table(titles, rows):
    """A Markdown table, so that the README's can be pasted from it."""
    widths = [max(len(str(row[i])) for row in [titles, *rows]) for i in range(len(titles))]

    def line(cells):
        return "| " + " | ".join(str(cell).rjust(width) if i else str(cell).ljust(width)
                                 for i, (cell, width) in enumerate(zip(cells, widths))) + " |"

    print(line(titles))
    print("|" + "|".join("-" * (width + 1) + (":" if i else "-")
                         for i, width in enumerate(widths)) + "|")
    for row in rows:
        print(line(row))
    print()


def number(value):
    """"?" is what noise has swallowed."""
    return "?" if value is None else f"{value:.2f}"


def interval(row, key):
    if key not in row:
        return "-"
    low, high = row[f"{key}_ci"]
    return f"{number(row[key])} [{number(low)}, {number(high)}]"


def print_tables(result):
    meta = result["meta"]
    print(f"\nkernel {meta['kernel']}, {meta['cpus']} CPUs, commit {meta['commit']}, "
          f"{meta['date']}, medians of {meta['pairs']} interleaved rounds\n")
    has_routing = any("cpu_vs_routing" in row for row in result["rows"])
    table(["point", "peer", "msg/s", "p50 µs", "p99 µs", "gateway CPU s/1M", "CPU vs nginx",
           *(["CPU vs routing"] if has_routing else []), "p99 vs nginx", "msg/s vs nginx"],
          [[f"{row['connections']} x {row['size']} B", row["peer"], f"{row['msgs_per_s']:,.0f}",
            f"{row['p50_us']:.0f}", f"{row['p99_us']:.0f}", f"{row['gateway_cpu_s_per_1m']:.1f}",
            interval(row, "cpu_vs_nginx") if row["peer"] != "direct" else "-",
            *([interval(row, "cpu_vs_routing")] if has_routing else []),
            interval(row, "p99_vs_nginx"), interval(row, "throughput_vs_nginx")]
           for row in result["rows"]])
    means = ["cpu_vs_nginx", *(["cpu_vs_routing"] if has_routing else []), "p50_vs_nginx",
             "p99_vs_nginx", "throughput_vs_nginx"]
    table(["geometric means", "CPU vs nginx", *(["CPU vs routing"] if has_routing else []),
           "p50 vs nginx", "p99 vs nginx", "msg/s vs nginx", "worst CPU", "worst p99"],
          [[entry["peer"], *[number(entry.get(key)) for key in means],
            number(entry["cpu_vs_nginx_worst"]), number(entry["p99_vs_nginx_worst"])]
           for entry in result["summary"]])
    if "targets" in result:
        print_splice(result)
    if result["memory"]:
        table(["idle memory", "connections", "bytes each"],
              [[row["peer"], row["connections"], row["bytes_per_connection"]]
               for row in result["memory"]])
    if result["handshakes"]:
        table(["handshakes", "per second", "vs nginx"],
              [[row["peer"], f"{row['handshakes_per_s']:,}", interval(row, "handshakes_vs_nginx")]
               for row in result["handshakes"]])


def print_splice(result):
    """What the kernel program costs, and the targets."""
    table(["kernel program", "peer", "CPU s/1M", "ns a run", "runs a message"],
          [[f"{row['connections']} x {row['size']} B", row["peer"],
            f"{row['program_cpu_s_per_1m']:.2f}", row["program_ns_per_run"],
            f"{row['program_runs_per_msg']:.2f}"]
           for row in result["rows"] if "program_ns_per_run" in row])
    table(["target", "at", "is", "verdict"],
          [[verdict["target"], f"{verdict['limit']:g}", number(verdict["value"]),
            verdict_text(verdict)] for verdict in result["targets"]])
    print("A target is for the geometric mean over its points; each of these may miss it by a "
          f"factor of {targets.TOLERANCE:g}.\n")


def verdict_text(verdict):
    if verdict["met"]:
        return "met"
    return "missed" + (": " + ", ".join(verdict["missed"]) if verdict["missed"] else "")


def draw(result, data, chart, script):
    """A chart of gateway CPU per message by point and peer. Without gnuplot there is none."""
    if not shutil.which("gnuplot"):
        print("no chart: gnuplot is missing")
        return False
    names = [entry["peer"] for entry in result["summary"]]
    points = list(dict.fromkeys((row["connections"], row["size"]) for row in result["rows"]))
    lines = ["point\t" + "\t".join(names)]
    for connections, size in points:
        values = [next(row["gateway_cpu_s_per_1m"] for row in result["rows"]
                       if (row["peer"], row["connections"], row["size"]) ==
                       (name, connections, size)) for name in names]
        lines.append(f"{connections} x {size} B\t" + "\t".join(f"{v:.3f}" for v in values))
    data.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["gnuplot", "-e", f"data='{data}'; chart='{chart}'; peers={len(names)}", str(script)],
        capture_output=True, text=True, check=False)
    data.unlink()
    if done.returncode != 0:
        print(f"no chart: gnuplot: {done.stderr.strip()}")
    return done.returncode == 0
