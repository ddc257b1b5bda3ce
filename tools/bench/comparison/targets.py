# SPDX-License-Identifier: Apache-2.0
"""What packet splice has to reach, and whether it did."""
import dataclasses

from comparison import stats

SPLICED = "sluice-splice"
UNWALKED = "sluice-splice-unwalked"  # with the frame walker off
TOLERANCE = 1.15  # what a single point may miss its target by


@dataclasses.dataclass(frozen=True)
class Target:
    """Of the geometric mean of @key over the points with sizes from @size_min to @size_max."""

    what: str
    key: str
    limit: float
    is_floor: bool = False
    size_min: int = 1
    size_max: int = 1 << 20

    def is_met(self, value, tolerance=1.0):
        if self.is_floor:
            return value >= self.limit / tolerance
        return value <= self.limit * tolerance


TARGETS = (
    Target("gateway CPU vs nginx", "cpu_vs_nginx", 1 / 8),
    Target("throughput vs nginx", "throughput_vs_nginx", 2, is_floor=True),
    Target("p50 vs nginx", "p50_vs_nginx", 0.6),
    Target("p99 vs nginx", "p99_vs_nginx", 0.7),
    Target("gateway CPU vs routing, up to 1 KiB", "cpu_vs_routing", 1.25, size_max=1024),
    Target("gateway CPU vs routing, above", "cpu_vs_routing", 2, size_min=1025),
    Target("gateway CPU vs without the frame walker", "cpu_vs_unwalked", 1.1),
    Target("throughput vs without the frame walker", "throughput_vs_unwalked", 0.9, is_floor=True),
)

# Of the figures that are not of a point.
STATE_TARGETS = (
    Target("daemon's time for a promotion: both sockets read, and the switch, µs",
           "promotion_switch_us", 10),
    Target("with entries, port, and tries that failed, µs", "promotion_us", 10),
    Target("map memory of an IPv4 connection, bytes", "map_bytes_per_connection", 512),
    Target("descriptors of a spliced connection", "descriptors_per_connection", 0),
)


def judge_points(target, rows):
    """None if there is no such point."""
    points = [(row, row[target.key]) for row in rows if row["peer"] == SPLICED and
              target.key in row and target.size_min <= row["size"] <= target.size_max]
    if not points:
        return None
    values = [value for _, value in points]
    # Not above the direct connection, or routing not above it: too close to be told apart.
    is_resolved = all(value is not None and value > 0 for value in values)
    mean = stats.geometric_mean(values) if is_resolved else None
    missed = [f"{row['connections']} x {row['size']} B" for row, value in points
              if value is None or not target.is_met(value, TOLERANCE)]
    return {"target": target.what, "limit": target.limit,
            "value": None if mean is None else round(mean, 4),
            "met": mean is not None and target.is_met(mean) and not missed, "missed": missed}


def judge(rows, state):
    """A list of verdicts, those on points first. What was not measured is not met."""
    verdicts = [verdict for verdict in (judge_points(target, rows) for target in TARGETS)
                if verdict]
    for target in STATE_TARGETS:
        value = state.get(target.key)
        verdicts.append({"target": target.what, "limit": target.limit, "value": value,
                         "met": value is not None and target.is_met(value), "missed": []})
    return verdicts
