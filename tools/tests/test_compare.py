# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of tools/bench/compare."""

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from comparison import splicing, stats, targets  # noqa: E402


def row(connections, size, peer=targets.SPLICED, **figures):
    good = {"cpu_vs_nginx": 0.1, "throughput_vs_nginx": 2.5, "p50_vs_nginx": 0.5,
            "p99_vs_nginx": 0.6, "cpu_vs_routing": 1.1}
    return {"peer": peer, "connections": connections, "size": size, **good, **figures}


def verdict_on(what, rows, **state):
    return next(v for v in targets.judge(rows, state) if v["target"] == what)


# ---- means and intervals -------------------------------------------------------------------------


def test_geometric_mean():
    assert stats.geometric_mean([1, 4, 16]) == pytest.approx(4)


def test_bootstrap_is_repeatable_and_holds_the_median():
    values = [1.0, 1.1, 0.9, 1.3, 0.8, 1.05, 5.0]
    low, high = stats.bootstrap_median(values)
    assert (low, high) == stats.bootstrap_median(values)
    assert 0.8 <= low <= 1.05 <= high <= 5.0
    assert stats.bootstrap_median([2.0] * 7) == (2.0, 2.0)


def test_ratio_of_medians_is_not_the_median_of_ratios():
    # Both are differences of two runs; in one pair routing came out at next to nothing.
    pairs = [(1.0, 1.0), (1.2, 0.001), (1.1, 1.2), (0.9, 1.1), (1.0, 0.9)]
    value, low, high = stats.ratio_of_medians(pairs)
    assert value == pytest.approx(1.0)
    assert low <= value <= high


def test_ratio_of_medians_of_a_divisor_that_noise_has_swallowed():
    assert stats.ratio_of_medians([(1.0, -0.2), (1.0, 0.0), (1.0, 0.1)])[0] is None
    value, low, high = stats.ratio_of_medians([(1.0, 1.0), (1.0, 1.0), (1.0, -1.0)])
    assert value == 1.0 and low == 1.0
    assert high is None  # endless


def test_without_a_ratio_there_is_no_median():
    assert stats.median_ratio([]) == (None, [None, None])
    assert stats.median_ratio([0.5, 0.5, 0.5]) == (0.5, [0.5, 0.5])
    entry, = stats.summarise([row(1, 64, cpu_vs_nginx=None)])
    assert entry["cpu_vs_nginx"] is None and entry["cpu_vs_nginx_worst"] is None


def test_a_summary_is_of_all_points_and_names_the_worst():
    rows = [row(64, 64, cpu_vs_nginx=0.1, throughput_vs_nginx=2.0),
            row(64, 1024, cpu_vs_nginx=0.4, throughput_vs_nginx=8.0),
            row(64, 64, "direct"), row(64, 1024, "direct")]
    entry, = stats.summarise(rows)
    assert entry["cpu_vs_nginx"] == pytest.approx(0.2)
    assert entry["cpu_vs_nginx_worst"] == 0.4
    assert entry["throughput_vs_nginx"] == pytest.approx(4)
    assert entry["throughput_vs_nginx_worst"] == 2.0
    assert entry["cpu_vs_routing"] == pytest.approx(1.1)


def test_a_summary_without_routing_has_no_ratio_to_it():
    plain = row(1, 64)
    del plain["cpu_vs_routing"]
    assert "cpu_vs_routing" not in stats.summarise([plain])[0]


def test_a_ratio_below_zero_has_no_geometric_mean():
    entry, = stats.summarise([row(1, 64, cpu_vs_nginx=-0.01), row(64, 64)])
    assert entry["cpu_vs_nginx"] is None


# ---- targets -------------------------------------------------------------------------------------


def test_all_targets_are_met():
    rows = [row(64, 64), row(1000, 16384)]
    verdicts = targets.judge(rows, {"promotion_us": 9.9, "promotion_switch_us": 9, "map_bytes_per_connection": 496,
                                    "descriptors_per_connection": 0})
    assert len(verdicts) == 10
    assert all(v["met"] and not v["missed"] for v in verdicts)


@pytest.mark.parametrize("what, key, value", [
    ("gateway CPU vs nginx", "cpu_vs_nginx", 0.126),
    ("throughput vs nginx", "throughput_vs_nginx", 1.99),
    ("p50 vs nginx", "p50_vs_nginx", 0.61),
    ("p99 vs nginx", "p99_vs_nginx", 0.71),
    ("gateway CPU vs routing, up to 1 KiB", "cpu_vs_routing", 1.26)])
def test_a_mean_beyond_the_limit_is_missed_and_no_point_is_to_blame(what, key, value):
    verdict = verdict_on(what, [row(64, 64, **{key: value})])
    assert not verdict["met"] and verdict["missed"] == []


@pytest.mark.parametrize("key, what, bad, good", [
    ("cpu_vs_nginx", "gateway CPU vs nginx", 0.125 * 1.16, 0.01),
    ("throughput_vs_nginx", "throughput vs nginx", 2 / 1.16, 9)])
def test_a_point_over_15_percent_is_missed_whatever_the_mean(key, what, bad, good):
    verdict = verdict_on(what, [row(64, 64, **{key: bad}), row(1000, 64, **{key: good})])
    assert not verdict["met"] and verdict["missed"] == ["64 x 64 B"]
    within = bad / 1.02 if key == "cpu_vs_nginx" else bad * 1.02
    assert verdict_on(what, [row(64, 64, **{key: within}), row(1000, 64, **{key: good})])["met"]


def test_large_messages_have_a_limit_of_their_own():
    rows = [row(64, 1024, cpu_vs_routing=1.2), row(64, 16384, cpu_vs_routing=1.9)]
    assert verdict_on("gateway CPU vs routing, up to 1 KiB", rows)["value"] == 1.2
    assert verdict_on("gateway CPU vs routing, above", rows)["met"]


def test_the_walker_is_judged_where_it_was_measured():
    what = "gateway CPU vs without the frame walker"
    assert what not in [v["target"] for v in targets.judge([row(64, 64)], {})]
    assert verdict_on(what, [row(64, 64, cpu_vs_unwalked=1.09)])["met"]
    assert not verdict_on(what, [row(64, 64, cpu_vs_unwalked=1.11)])["met"]


def test_what_is_not_resolved_or_not_measured_is_not_met():
    verdict = verdict_on("gateway CPU vs routing, up to 1 KiB", [row(64, 64, cpu_vs_routing=None)])
    assert not verdict["met"] and verdict["value"] is None and verdict["missed"] == ["64 x 64 B"]
    assert not verdict_on("with entries, port, and tries that failed, µs", [row(64, 64)])["met"]
    assert not verdict_on("descriptors of a spliced connection", [row(64, 64)],
                          descriptors_per_connection=0.01)["met"]


def test_only_packet_splice_is_judged():
    verdict = verdict_on("p50 vs nginx", [row(64, 64), row(64, 64, "haproxy", p50_vs_nginx=9)])
    assert verdict["met"]


# ---- promotions ----------------------------------------------------------------------------------


def test_the_time_of_promotions_is_shared_by_those_that_succeeded():
    page = "\n".join([
        'sluice_promotions_total{result="done",reason="none"} 200',
        'sluice_promotions_total{result="refused",reason="busy"} 50',
        "sluice_promotion_seconds_sum 0.0016", "sluice_promotion_seconds_count 250",
        "sluice_promotion_switch_seconds_total 0.0010"])
    done, seconds, switches = splicing.read_promotions(page)
    assert done == 200 and math.isclose(seconds, 0.0016) and math.isclose(switches, 0.001)


def test_a_page_without_the_time_says_nothing():
    assert splicing.read_promotions('sluice_promotions_total{result="done"} 3') is None
