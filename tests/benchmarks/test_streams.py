"""Whether the contenders did the same work."""

from __future__ import annotations

import click
import pytest

from benchmarks.laps import Lap
from benchmarks.streams import _require_same, differing


def _lap(endings: int, otherwise: int = 0) -> Lap:
    endings_seen = [f"ending {number}" for number in range(endings - otherwise)] + [
        f"other {n}" for n in range(otherwise)
    ]
    return Lap(1_000.0, 50.0, digests=frozenset(one.encode() for one in endings_seen))


def test_contender_that_ends_records_otherwise__gets_no_ratio() -> None:
    """A peer that skips a rule is fast and says nothing; the share is the worst round's of the worst contender."""
    laps = {"millrace": [_lap(1_000)] * 2, "quix": [_lap(1_000), _lap(1_000, 4)], "bare": [_lap(1_000, 1)] * 2}
    _require_same(laps)

    assert differing(laps) == 0.004
    with pytest.raises(click.ClickException, match="no ratio"):
        _require_same(laps | {"quix": [_lap(1_000), _lap(1_000, 40)]})
