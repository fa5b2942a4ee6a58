"""When a worker counts as stalled."""

from __future__ import annotations

import time

from streams.core.liveness import StageProgress, healthy

LIMIT = 0.05


def aged() -> StageProgress:
    progress = StageProgress("label", LIMIT)
    time.sleep(2 * LIMIT)  # the passing of time is what is tested
    return progress


def test_stage__with_lag_and_no_progress__is_stalled() -> None:
    """A live process with a dead consumer is found out."""
    progress = aged()
    progress.lag(12)

    assert progress.stalled() is not None
    assert "12 records" in (healthy([StageProgress("curate", 60), progress]) or "")


def test_stage__without_lag__is_idle_however_long() -> None:
    """No traffic is no fault."""
    progress = aged()

    assert progress.stalled() is None


def test_stage__waiting_for_a_teacher__is_not_stalled() -> None:
    """An outage elsewhere is not cured by a restart."""
    progress = aged()
    progress.lag(12)
    progress.waiting()

    assert progress.stalled() is None


def test_rebuild__that_reads_on__is_progress_and_one_that_hangs_is_not() -> None:
    """A long rebuild goes on for as long as it reads."""
    read = 0
    progress = StageProgress("curate", LIMIT)
    progress.rebuilding(lambda: read)
    assert progress.stalled() is None
    time.sleep(2 * LIMIT)
    read = 5
    assert progress.stalled() is None
    time.sleep(2 * LIMIT)

    assert progress.stalled() is not None
