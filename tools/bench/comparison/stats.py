# SPDX-License-Identifier: Apache-2.0
"""Medians, intervals and means of ratios."""
import math
import random
import statistics

RESAMPLES = 2000
TOLERANCE = 1.15  # what a single point may miss its target by


def bootstrap_median(values, confidence=0.95):
    """Percentile bootstrap interval of the median; repeatable, since seeded."""
    generator = random.Random(len(values))
    medians = sorted(statistics.median(generator.choices(values, k=len(values)))
                     for _ in range(RESAMPLES))
    tail = (1 - confidence) / 2
    return medians[int(tail * RESAMPLES)], medians[int((1 - tail) * RESAMPLES) - 1]


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def summarise(rows):
    """Per peer: geometric means of the ratios over all points, and the worst single point."""
    summary = []
    for name in dict.fromkeys(row["peer"] for row in rows):
        if name == "direct":
            continue
        entry = {"peer": name}
        for column in ("cpu", "throughput", "p50", "p99"):
            values = [row[f"{column}_vs_nginx"] for row in rows if row["peer"] == name]
            entry[f"{column}_vs_nginx"] = round(geometric_mean(values), 4) \
                if min(values) > 0 else None
            worst = min(values) if column == "throughput" else max(values)
            entry[f"{column}_vs_nginx_worst"] = worst
        summary.append(entry)
    return summary
