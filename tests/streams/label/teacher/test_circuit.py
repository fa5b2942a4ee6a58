"""The circuit breaker, and whether a record or its teacher is at fault."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.label.teacher.circuit import FIRST_SECONDS, LONGEST_SECONDS, Circuit, at_fault


def opened(now: float = 0.0) -> Circuit:
    circuit = Circuit(patience=2)
    for _ in range(3):
        circuit.failed(now, 0, probe=False)
    return circuit


def test_circuit__opens_after_failures_in_a_row_and_lets_one_probe_out() -> None:
    """Closed for two failures, open at the third; after the pause one call goes out, and no other until it ends."""
    circuit = Circuit(patience=2)
    circuit.failed(0.0, 0, probe=False)
    circuit.failed(0.0, 0, probe=False)
    assert circuit.closed
    circuit.failed(0.0, 0, probe=False)

    assert not circuit.closed
    assert circuit.wait(0.4) == FIRST_SECONDS - 0.4
    assert circuit.wait(2.0) == 0.0
    assert circuit.begin()
    assert circuit.wait(2.0) is None


def test_circuit__an_answer_closes_it() -> None:
    """Whoever is answered, calls flow again, and the next outage starts with a short pause."""
    circuit = opened()
    circuit.begin()
    circuit.answered()

    assert (circuit.closed, circuit.wait(0.0)) == (True, 0.0)


def test_circuit__pauses_grow_with_each_failed_probe() -> None:
    """Each failed probe doubles the pause, to a minute at most."""
    circuit, now, pauses = opened(), 0.0, []
    for _ in range(8):
        now += circuit.wait(now) or 0.0
        assert circuit.begin()
        circuit.failed(now, 0, probe=True)
        pauses.append(circuit.wait(now))

    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert pauses[-1] == LONGEST_SECONDS


def test_circuit__a_burst_that_is_refused_is_no_outage() -> None:
    """The failures of all calls open at a time do not open it while one of them was answered."""
    circuit = Circuit(patience=2)
    for open_calls in range(31, -1, -1):
        circuit.failed(0.0, open_calls, probe=False)
    assert circuit.closed
    circuit.answered()
    circuit.failed(0.0, 0, probe=False)

    assert circuit.closed


def test_circuit__a_probe_given_up_by_us() -> None:
    """A probe whose partition went elsewhere says nothing: another may go out."""
    circuit = opened()
    circuit.begin()
    circuit.abandoned(probe=True)

    assert circuit.wait(5.0) == 0.0


@given(st.integers(0, 100), st.integers(1, 10), st.integers(0, 100))
def test_record__is_never_at_fault_while_nobody_is_answered(failures: int, attempts: int, failed: int) -> None:
    """An outage makes no dead letter, however long it lasts."""
    assert not at_fault(failures, attempts, 0, failed)


def test_record__at_fault() -> None:
    """After its attempts where four of five others are answered; after four times as many where any is."""
    assert at_fault(5, 5, answered=8, failed=2)
    assert not at_fault(4, 5, answered=8, failed=2)
    assert not at_fault(19, 5, answered=8, failed=3)
    assert at_fault(20, 5, answered=1, failed=90)
