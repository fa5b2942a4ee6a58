"""When a worker counts as stalled."""

from __future__ import annotations

from streams.core.liveness import StageProgress, healthy

LIMIT = 60.0


class Clock:
    """Goes on when asked to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def aged() -> StageProgress:
    clock = Clock()
    progress = StageProgress("label", LIMIT, clock)
    clock.seconds = 2 * LIMIT
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
    read, clock = 0, Clock()
    progress = StageProgress("curate", LIMIT, clock)
    progress.rebuilding(lambda: read)
    assert progress.stalled() is None
    clock.seconds = 2 * LIMIT
    read = 5
    assert progress.stalled() is None
    clock.seconds = 4 * LIMIT

    assert progress.stalled() is not None
