"""The state machine alone: what may never happen, whatever comes in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import RolloutAction, RolloutState, ServedModel
from schemas.promotion import RolloutPlan
from streams.rollout.machine import ModelLine, Observed, command, nominate, observe

PLAN = RolloutPlan(shadow_requests=3, steps_percent=[5, 25, 100], assigned_per_step=2, soak_requests=2)
STUDENT = ServedModel(version="s", uri="u", manifest_sha256="d", base_model="b", labels=["x", "y"])
NOTHING = Observed(shadowed=0, assigned=0, witnessed=0, harm=None, proven=False)

observed = st.builds(
    Observed,
    shadowed=st.integers(0, 5),
    assigned=st.integers(0, 5),
    witnessed=st.integers(0, 3),
    harm=st.sampled_from([None, None, None, "errors"]),
    proven=st.booleans(),
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("nominate"), st.integers(1, 3)),
        st.tuples(st.just("observe"), observed),
        st.tuples(st.just("command"), st.sampled_from(list(RolloutAction))),
    ),
    max_size=40,
)


def _step(line: ModelLine, event: tuple[str, object]) -> ModelLine:
    kind, value = event
    if kind == "nominate":
        done = nominate(line, f"rollout-{value}-{line.epoch}", STUDENT, PLAN)
    elif isinstance(value, Observed):
        done = observe(line, value)
    else:
        assert isinstance(value, RolloutAction)
        done = command(line, value, None)
    return done[-1].line if done else line


@given(events)
@settings(max_examples=300)
def test_line__any_history(history: list[tuple[str, object]]) -> None:
    """Every move raises (epoch, sequence); a weight above 0 exists only in flight; harm and abort end at 0 at once."""
    line = ModelLine()
    for event in history:
        before, line = line, _step(line, event)
        if line != before:
            assert (line.epoch, line.sequence) > (before.epoch, before.sequence)
        assert line.weight == 0 or (line.in_flight and line.challenger is not None)
        assert not (line.shadow and line.weight)
        if event[0] == "command" and event[1] is RolloutAction.ABORT:
            assert line.weight == 0
            assert not line.in_flight
        if isinstance(event[1], Observed) and event[1].harm is not None:
            assert line.weight == 0


@given(events)
@settings(max_examples=300)
def test_line__no_data(history: list[tuple[str, object]]) -> None:
    """From wherever a line is, an observation without a single comparison never raises its weight."""
    line = ModelLine()
    for event in history:
        line = _step(line, event)
        blind = Observed(shadowed=99, assigned=99, witnessed=0, harm=None, proven=False)
        after = _step(line, ("observe", blind))

        assert after.weight <= line.weight
        assert _step(line, ("observe", NOTHING)) == line


@given(events)
@settings(max_examples=200)
def test_weight__one_step_at_a_time(history: list[tuple[str, object]]) -> None:
    """Only a person's promote skips a step: outcomes raise the weight to the next step at most."""
    line = ModelLine()
    for event in history:
        before, line = line, _step(line, event)
        if isinstance(event[1], Observed) and line.in_flight:
            assert line.step <= before.step + 1


def test_soak__configured() -> None:
    """With a soak the challenger answers everything before the former champion is let go."""
    line = nominate(ModelLine(), "r", STUDENT, PLAN)[-1].line
    for _ in range(5):
        line = observe(line, Observed(shadowed=3, assigned=2, witnessed=1, harm=None, proven=True))[-1].line
        if line.state is RolloutState.PROMOTING:
            break

    assert (line.state, line.weight, line.champion) == (RolloutState.PROMOTING, 1.0, None)
    assert observe(line, NOTHING) == []
    assert observe(line, Observed(0, 2, 1, None, True))[-1].line.champion == STUDENT
