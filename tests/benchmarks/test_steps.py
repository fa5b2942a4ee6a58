"""The clock that wraps the steps of curation."""

from __future__ import annotations

import time

from benchmarks.steps import RULES, STEPS, _Clock, _clocked, _found


def _busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_steps__name_functions_that_are_there() -> None:
    """A step whose function was renamed would be measured as nothing."""
    for names in STEPS.values():
        for name in names:
            owner, attribute = _found(name)
            assert callable(getattr(owner, attribute)), name
    assert set(RULES) < set(STEPS)


def test_clock__counts_a_step_inside_another_once() -> None:
    """A dead letter is redacted: that is redaction's time, not both's."""
    clock = _Clock()
    inner = clock.wrapped("redact", lambda: _busy(0.03))

    def both() -> None:
        _busy(0.01)
        inner()

    clock.wrapped("decode", both)()
    steps = clock.steps()

    assert steps["redact"] >= 0.029
    assert 0.009 <= steps["decode"] < 0.029


def test_clocked__leaves_the_functions_as_they_were() -> None:
    """What is measured later in the same process runs without a clock."""
    owner, attribute = _found(STEPS["decode"][0])
    before = getattr(owner, attribute)
    with _clocked():
        assert getattr(owner, attribute) is not before

    assert getattr(owner, attribute) is before
