# SPDX-License-Identifier: Apache-2.0
"""Medians, intervals and means of ratios."""
import math
import random
import statistics

RESAMPLES = 2000
RATIOS = ("cpu_vs_nginx", "throughput_vs_nginx", "p50_vs_nginx", "p99_vs_nginx", "cpu_vs_routing")


def bootstrap_median(values, confidence=0.95):
    """Percentile bootstrap interval of the median; repeatable, since seeded."""
    generator = random.Random(len(values))
    medians = sorted(statistics.median(generator.choices(values, k=len(values)))
                     for _ in range(RESAMPLES))
    tail = (1 - confidence) / 2
    return medians[int(tail * RESAMPLES)], medians[int((1 - tail) * RESAMPLES) - 1]


def median_ratio(values):
    """(median, [low, high]), all None if there are none."""
    if not values:
        return None, [None, None]
    return (round(statistics.median(values), 4),
            [round(value, 4) for value in bootstrap_median(values)])


def ratio_of_medians(pairs, confidence=0.95):
    """
    Median of the first over median of the second of each pair, with a percentile bootstrap interval
    over the pairs. For quantities that are themselves small differences: a single pair's ratio may
    be anything then. None where the divisor is not above 0.
    """
    def ratio(sample):
        divisor = statistics.median(second for _, second in sample)
        return statistics.median(first for first, _ in sample) / divisor if divisor > 0 else None

    generator = random.Random(len(pairs))
    resampled = [ratio(generator.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES)]
    # A divisor of 0 is what an endless ratio looks like.
    resampled = sorted(math.inf if value is None else value for value in resampled)
    tail = (1 - confidence) / 2
    found = (ratio(pairs), resampled[int(tail * RESAMPLES)],
             resampled[int((1 - tail) * RESAMPLES) - 1])
    return tuple(None if value is None or math.isinf(value) else round(value, 4)
                 for value in found)


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def summarise(rows):
    """Per peer: geometric means of the ratios over all points, and the worst single point."""
    summary = []
    for name in dict.fromkeys(row["peer"] for row in rows):
        if name == "direct":
            continue
        entry = {"peer": name}
        for key in RATIOS:
            values = [row[key] for row in rows if row["peer"] == name and key in row]
            if not values:
                continue
            # Where noise has swallowed one, there is no mean.
            is_resolved = None not in values and min(values) > 0
            entry[key] = round(geometric_mean(values), 4) if is_resolved else None
            worst = min if key == "throughput_vs_nginx" else max
            entry[f"{key}_worst"] = None if None in values else worst(values)
        summary.append(entry)
    return summary
