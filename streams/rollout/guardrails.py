"""What a rollout's outcomes prove: harm, or that the challenger is good enough, or neither yet. Pure counting.

Three guardrails watch the whole rollout, after every outcome: agreement (in a first rollout against the workload's
floor; with a student champion, the paired difference against the margin), errors and slowness. Alpha is split evenly.
No data proves nothing. Agreement counts one observation per text: copies would pretend to more evidence than there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from schemas.promotion import RolloutLimits
from schemas.records import Outcome, OutcomeMode, Variant
from schemas.rules.statistics.sequences import Counts, exceeds, falls_below, lower_bound, split_alpha, upper_bound

AGREEMENT: Final = "agreement"
ERRORS: Final = "errors"
SLOW: Final = "slow"
NONE: Final = Counts()
WEIGHTS: Final = {AGREEMENT: 1.0, ERRORS: 1.0, SLOW: 1.0}


@dataclass(frozen=True)
class Bound:
    """One guardrail's figure with both ends of its confidence sequence and the limit it may not cross."""

    metric: str
    low: float
    high: float
    limit: float
    n: int


@dataclass
class Tally:
    """What the outcomes of one rollout add up to. `fork` before a batch, `merge` after its transaction."""

    paired: bool  # against a student champion
    pairs: Counts = NONE  # first rollout: agrees with the teacher; paired: 1 better, 1/2 the same, 0 worse
    errors: Counts = NONE
    slow: Counts = NONE
    shadowed: int = 0  # shadow outcomes with both answers since the step began
    assigned: int = 0  # live outcomes assigned to the challenger since the step began
    witnessed: int = 0  # pairs since the step began
    _texts: set[str] = field(default_factory=set)
    _fresh: set[str] = field(default_factory=set)

    def fork(self) -> Tally:
        """Return a copy whose changes do not touch this one."""
        return replace(self, _fresh=set())

    def merge(self) -> None:
        """Make the fork's texts the rollout's own."""
        self._texts |= self._fresh
        self._fresh = set()

    def new_step(self) -> None:
        """Start counting a step; the evidence stays."""
        self.shadowed = self.assigned = self.witnessed = 0

    def add(self, outcome: Outcome, slow_seconds: float, *, in_step: bool) -> None:
        """Count one outcome of the rollout."""
        challenged = outcome.assigned is Variant.CHALLENGER
        if not challenged and outcome.challenger_label is None and not outcome.challenger_failed:
            return  # the challenger had no part in it
        self.errors = self.errors.plus(float(outcome.challenger_failed))
        if outcome.challenger_seconds is not None:
            self.slow = self.slow.plus(float(outcome.challenger_seconds > slow_seconds))
        seen = self._pair(outcome)
        failed = outcome.challenger_failed and outcome.teacher_label is not None
        self.shadowed += outcome.mode is OutcomeMode.SHADOW and in_step and (seen or failed)
        self.assigned += challenged and in_step
        self.witnessed += seen and in_step

    def _pair(self, outcome: Outcome) -> bool:
        """Count the outcome's pair, if it holds one; return whether it did."""
        value = self._value(outcome)
        if value is None:
            return False
        if outcome.text_key not in self._texts and outcome.text_key not in self._fresh:
            self._fresh.add(outcome.text_key)
            self.pairs = self.pairs.plus(value)
        return True

    def _value(self, outcome: Outcome) -> float | None:
        mine, other, truth = outcome.challenger_label, outcome.champion_label, outcome.teacher_label
        if mine is None:
            return None
        if not self.paired:
            return None if truth is None else float(mine == truth)
        if other is None:
            return None
        if mine == other:
            return 0.5  # the same answer is as right or wrong as the champion's: no reference is needed
        return None if truth is None else (1 + (mine == truth) - (other == truth)) / 2


def harm(tally: Tally, limits: RolloutLimits) -> str | None:
    """Return the guardrail that is crossed, if one is: asked after every outcome."""
    alpha = split_alpha(limits.alpha, WEIGHTS)
    if falls_below(tally.pairs, agreement_limit(tally, limits), alpha[AGREEMENT]):
        return AGREEMENT
    crossed = (name for name, counts, limit in _shares(tally, limits) if exceeds(counts, limit, alpha[name]))
    return next(crossed, None)


def proven(tally: Tally, limits: RolloutLimits) -> bool:
    """Return whether the challenger is good enough: wrongly with probability at most alpha, whenever it is asked."""
    return exceeds(tally.pairs, agreement_limit(tally, limits), limits.alpha)


def agreement_limit(tally: Tally, limits: RolloutLimits) -> float:
    """Return the limit of the agreement guardrail on the scale of its observations."""
    return (1 - limits.margin) / 2 if tally.paired else limits.agreement_floor


def bounds(tally: Tally, limits: RolloutLimits) -> list[Bound]:
    """Return every guardrail's interval, for people: agreement as a share, paired as a difference."""
    alpha = split_alpha(limits.alpha, WEIGHTS)
    low, high = lower_bound(tally.pairs, limits.alpha), upper_bound(tally.pairs, alpha[AGREEMENT])
    limit = limits.agreement_floor
    if tally.paired:
        low, high, limit = 2 * low - 1, 2 * high - 1, -limits.margin
    found = [Bound(AGREEMENT, low, high, limit, tally.pairs.n)]
    for name, counts, most in _shares(tally, limits):
        found.append(Bound(name, lower_bound(counts, alpha[name]), upper_bound(counts, alpha[name]), most, counts.n))
    return found


def numbers(found: Iterable[Bound], tally: Tally) -> dict[str, float]:
    """Return the figures a status records: enough to recompute its decision."""
    values = {"shadowed": float(tally.shadowed), "assigned": float(tally.assigned), "witnessed": float(tally.witnessed)}
    for bound in found:
        values |= {
            f"{bound.metric}_low": bound.low, f"{bound.metric}_high": bound.high,
            f"{bound.metric}_limit": bound.limit, f"{bound.metric}_n": float(bound.n),
        }  # fmt: skip
    for name, counts in ((AGREEMENT, tally.pairs), (ERRORS, tally.errors), (SLOW, tally.slow)):
        values |= {f"{name}_ones": float(counts.ones), f"{name}_halves": float(counts.halves)}
    return values


def _shares(tally: Tally, limits: RolloutLimits) -> tuple[tuple[str, Counts, float], ...]:
    """Return the guardrails on a share of the outcomes: name, counts, and the most that is allowed."""
    return (ERRORS, tally.errors, limits.error_limit), (SLOW, tally.slow, limits.slow_limit)
