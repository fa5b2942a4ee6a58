"""The rollout's state machine: a line, an event, the transitions it leads to. Pure: no clock, no Kafka, no statistics.

idle -> shadow -> canary(step) ... -> promoting -> promoted; any of those in flight may -> hold and back, or
-> rolling_back -> rolled_back on harm or by a person, or -> superseded by a newer nomination. A rollout that lacks
proof at its end is held and goes on by itself once proof is there; a person's hold is lifted by a person.
Only a transition changes a weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from schemas.events import RolloutAction, RolloutState, ServedModel
from schemas.promotion import RolloutLimits, RolloutPlan

IN_FLIGHT: Final = frozenset({RolloutState.SHADOW, RolloutState.CANARY, RolloutState.HOLD, RolloutState.PROMOTING})
SHADOW_STEP: Final = -1
INCONCLUSIVE: Final = "inconclusive"
HELD: Final = "held"
NO_PLAN: Final = RolloutPlan(shadow_requests=0, steps_percent=[100], assigned_per_step=0)


@dataclass(frozen=True)
class ModelLine:
    """One model line; (epoch, sequence) grows with every transition."""

    epoch: int = 0
    sequence: int = 0
    state: RolloutState = RolloutState.IDLE
    reason: str = ""
    rollout_id: str | None = None
    champion: ServedModel | None = None  # None: the teacher
    challenger: ServedModel | None = None
    former: ServedModel | None = None
    step: int = SHADOW_STEP
    step_sequence: int = 0
    plan: RolloutPlan = NO_PLAN  # in force

    @property
    def limits(self) -> RolloutLimits:
        """Return what the rollout is held against: a plan in force has its limits, whoever made it."""
        if self.plan.limits is None:
            raise ValueError("a plan in force has no limits")
        return self.plan.limits

    @property
    def in_flight(self) -> bool:
        """Return whether a rollout is under way."""
        return self.state in IN_FLIGHT

    @property
    def shadow(self) -> bool:
        """Return whether the challenger is asked without its answer being served."""
        return self.in_flight and self.step == SHADOW_STEP

    @property
    def weight(self) -> float:
        """Return the share of eligible requests that the challenger answers."""
        if not self.in_flight or self.step == SHADOW_STEP:
            return 0.0
        return self.plan.steps_percent[self.step] / 100


@dataclass(frozen=True)
class Transition:
    """A line as it becomes, and why: one status each."""

    line: ModelLine
    previous: RolloutState
    reason: str
    text: str = ""


@dataclass(frozen=True)
class Observed:
    """What the outcomes of the rollout add up to now."""

    shadowed: int  # since the step began, as the next two
    assigned: int
    witnessed: int  # answers that could be compared
    harm: str | None  # the guardrail that is crossed
    proven: bool


def nominate(line: ModelLine, rollout_id: str, challenger: ServedModel, plan: RolloutPlan) -> list[Transition]:
    """Start the rollout of a nominated student, in shadow, against the last promoted champion."""
    done = []
    if line.in_flight:
        over = _moved(line, RolloutState.SUPERSEDED, "newer_nomination", challenger=None, step=SHADOW_STEP)
        done.append(Transition(over, line.state, "newer_nomination"))
        line = over
    fresh = replace(
        line, epoch=line.epoch + 1, sequence=1, state=RolloutState.SHADOW, reason="nominated", rollout_id=rollout_id,
        challenger=challenger, step=SHADOW_STEP, step_sequence=1, plan=plan,
    )  # fmt: skip
    return [*done, Transition(fresh, line.state, "nominated")]


def observe(line: ModelLine, seen: Observed) -> list[Transition]:  # noqa: PLR0911 - one return a state
    """Move on, roll back or stay, by what was observed. Never moves on without data."""
    if not line.in_flight:
        return []
    if seen.harm is not None:
        return _roll_back(line, seen.harm)
    if line.state is RolloutState.SHADOW:
        return _to_step(line, 0) if seen.shadowed >= line.plan.shadow_requests and seen.witnessed > 0 else []
    if line.state is RolloutState.PROMOTING:
        return _promoted(line, "soaked") if seen.assigned >= line.plan.soak_requests else []
    if line.state is RolloutState.HOLD:
        return _promote(line, "proven") if line.reason == INCONCLUSIVE and seen.proven else []
    if seen.assigned < line.plan.assigned_per_step or seen.witnessed == 0:
        return []
    if line.step + 1 < len(line.plan.steps_percent):
        return _to_step(line, line.step + 1)
    return _promote(line, "proven") if seen.proven else _hold(line, INCONCLUSIVE)


def command(line: ModelLine, action: RolloutAction, rollout_id: str | None) -> list[Transition]:  # noqa: PLR0911 - one an action
    """Obey a person, or return nothing where the command does not fit the line."""
    if rollout_id is not None and rollout_id != line.rollout_id:
        return []
    if action is RolloutAction.ABORT and line.in_flight:
        return _roll_back(line, "aborted")
    if line.state is RolloutState.PROMOTED and (
        action is RolloutAction.UNDO or (action is RolloutAction.ABORT and rollout_id is not None)
    ):
        return _roll_back(
            line, "undone", champion=line.former, former=None
        )  # an abort that names its rollout may arrive after the promotion it was to stop
    if action is RolloutAction.HOLD and line.in_flight and line.state is not RolloutState.PROMOTING:
        return _hold(line, HELD)
    if action is RolloutAction.RESUME and line.state is RolloutState.HOLD:
        state = RolloutState.SHADOW if line.step == SHADOW_STEP else RolloutState.CANARY
        return [Transition(_moved(line, state, "resumed"), line.state, "resumed")]
    if action is RolloutAction.PROMOTE and line.in_flight:
        return _promoted_at_once(line)
    return []


def _to_step(line: ModelLine, step: int) -> list[Transition]:
    moved = _moved(line, RolloutState.CANARY, "step_passed", step=step)
    moved = replace(moved, step_sequence=moved.sequence)
    return [Transition(moved, line.state, "step_passed")]


def _hold(line: ModelLine, reason: str) -> list[Transition]:
    return [Transition(_moved(line, RolloutState.HOLD, reason), line.state, reason)]


def _promote(line: ModelLine, reason: str) -> list[Transition]:
    last = len(line.plan.steps_percent) - 1
    moved = _moved(line, RolloutState.PROMOTING, reason, step=last)
    moved = replace(moved, step_sequence=moved.sequence)
    first = Transition(moved, line.state, reason)
    return [first] if line.plan.soak_requests else [first, *_promoted(moved, reason)]


def _promoted_at_once(line: ModelLine) -> list[Transition]:
    moved = _moved(line, RolloutState.PROMOTING, "forced", step=len(line.plan.steps_percent) - 1)
    return [Transition(moved, line.state, "forced"), *_promoted(moved, "forced")]


def _promoted(line: ModelLine, reason: str) -> list[Transition]:
    done = _moved(
        line, RolloutState.PROMOTED, reason, champion=line.challenger, former=line.champion, challenger=None,
        step=SHADOW_STEP,
    )  # fmt: skip
    return [Transition(done, line.state, reason)]


def _roll_back(line: ModelLine, reason: str, **changes: object) -> list[Transition]:
    going = _moved(line, RolloutState.ROLLING_BACK, reason, challenger=None, step=SHADOW_STEP, **changes)
    gone = _moved(going, RolloutState.ROLLED_BACK, reason)
    return [Transition(going, line.state, reason), Transition(gone, going.state, reason)]


def _moved(line: ModelLine, state: RolloutState, reason: str, **changes: object) -> ModelLine:
    return replace(line, state=state, reason=reason, sequence=line.sequence + 1, **changes)  # type: ignore[arg-type]
