"""The pure parts of the latency benchmark."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from benchmarks.latency import quantiles, times, times_to_window
from benchmarks.outcomes import Arrival
from schemas.codec import encode
from schemas.records import CuratedRecord, Origin

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def _curated(offset: int) -> bytes:
    return encode(CuratedRecord(
        record_id="r", workload="w", origin=Origin(topic="traffic", partition=0, offset=offset), event_time=NOW,
        arrival_time=NOW, text="t", text_key="k", cluster_id="r",
    ))  # fmt: skip


def test_times__run_from_when_a_record_was_due_and_count_curated_records_alone() -> None:
    """The record that only proves that the worker has started, and other endings, do not count."""
    arrivals = [
        Arrival(9.0, "p.curated", 0, _curated(0)),
        Arrival(10.5, "p.curated", 1, _curated(1)),
        Arrival(10.6, "p.discarded", 2, b"of another kind"),
        Arrival(11.25, "p.curated", 3, _curated(3)),
    ]
    due, late = times(arrivals, "p.curated", [0.0, 10.0, 10.5, 11.0])

    assert due.tolist() == [0.0, 1.0]
    assert late.tolist() == [500.0, 250.0]


def test_times_to_window__run_to_the_first_commit_above_the_label() -> None:
    """A commit of the label's own offset is below it: the row is not settled yet."""
    commits = [(9.5, 0), (10.2, 1), (10.9, 2), (12.0, 6)]
    due, late = times_to_window({0: 0, 1: 1, 4: 3}, {0: 0, 1: 1, 5: 4}, commits, [0.0, 10.0, 10.5, 11.0])

    assert due.tolist() == [0.0, 1.0]
    assert [round(one, 6) for one in late] == [900.0, 1_000.0]


def test_quantiles__of_seconds_that_differ__are_less_certain_than_of_records_taken_singly() -> None:
    """Records of one batch are late together: an interval that took them as independent would be far too narrow."""
    seconds = np.repeat(np.arange(20.0), 1_000)
    late = np.where(seconds == 3.0, 900.0, 10.0)
    p50, p99 = quantiles(seconds, late, 1)

    assert (p50.value, p50.low, p50.high) == (10.0, 10.0, 10.0)
    assert (p99.value, p99.low, p99.high) == (900.0, 10.0, 900.0)
