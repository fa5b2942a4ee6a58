"""Whether a student is nominated: figures in, decision out. Pure: no I/O, no clock, no settings.

Without a student champion the gate is absolute: agreement with the teacher against the floor, and not worse than the
baseline. With one it compares on the same rows. A bound on the right side promotes, a bound beyond the limit rejects,
and a limit inside the interval is insufficient evidence: no data is never a pass. Per-class tests only stop harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.job import GateSpec
from schemas.rules.statistics.intervals import Interval
from trainers.evaluate import Comparison, holm

POLICY: Final = "millrace-gate/1"
VETO_ALPHA: Final = 0.05  # over all judged classes, by Holm


class GateOutcome(StrEnum):
    """What the gate decides."""

    PROMOTE = "promote"
    REJECT = "reject"
    INSUFFICIENT_EVIDENCE = "insufficient_evidence"


@dataclass(frozen=True)
class GateReason:
    """One reason with the number it rests on."""

    code: str
    text: str
    observed: float
    limit: float
    verdict: GateOutcome


@dataclass(frozen=True)
class GateDecision:
    """The decision."""

    outcome: GateOutcome
    mode: str  # absolute, superiority or refresh
    reasons: list[GateReason]
    not_judged: list[str]


@dataclass(frozen=True)
class Evidence:
    """What the gate looks at."""

    agreement: Interval
    effective_n: float
    class_rows: Mapping[str, int]  # test rows of each label
    against_baseline: Comparison
    against_champion: Comparison | None = None


def decide(spec: GateSpec, labels: Sequence[str], evidence: Evidence) -> GateDecision:
    """Decide on one student."""
    judged = [label for label in labels if evidence.class_rows.get(label, 0) >= spec.class_rows]
    reasons = [_enough(spec, evidence, judged)]
    if evidence.against_champion is None:
        mode = "absolute"
        reasons.append(
            _above("agreement", "agreement with the teacher", evidence.agreement, spec.agreement_floor, touching=True)
        )
        reasons.append(
            _above("baseline", "macro-F1 minus the baseline's", evidence.against_baseline.macro_f1, -spec.margin)
        )
    else:
        difference = evidence.against_champion.macro_f1
        mode = "superiority" if difference.low > 0 else "refresh"
        limit = 0.0 if mode == "superiority" else -spec.margin
        reasons.append(_above("champion", "macro-F1 minus the champion's", difference, limit))
        reasons += _vetoes(labels, judged, evidence.against_champion)
    return GateDecision(_worst(reasons), mode, reasons, [label for label in labels if label not in judged])


def _enough(spec: GateSpec, evidence: Evidence, judged: Sequence[str]) -> GateReason:
    present = sum(1 for rows in evidence.class_rows.values() if rows)
    if present < 2:
        return GateReason(
            "classes", f"{present} classes have test rows; two are needed",
            float(present), 2.0, GateOutcome.INSUFFICIENT_EVIDENCE,
        )  # fmt: skip
    enough = evidence.effective_n >= spec.class_rows
    return GateReason(
        "rows",
        f"{evidence.effective_n:.0f} effective test rows, {len(judged)} of {present} classes judged",
        evidence.effective_n,
        float(spec.class_rows),
        GateOutcome.PROMOTE if enough else GateOutcome.INSUFFICIENT_EVIDENCE,
    )


def _above(code: str, what: str, found: Interval, limit: float, *, touching: bool = False) -> GateReason:
    """Judge an interval against a limit that it must lie above (or, touching, may start at)."""
    shown = f"{what} {found.value:.3f} (95 % {found.low:.3f} to {found.high:.3f})"
    if found.low > limit or (touching and found.low == limit):
        return GateReason(code, f"{shown} is above {limit:.3f}", found.low, limit, GateOutcome.PROMOTE)
    if found.high < limit:
        return GateReason(code, f"{shown} is below {limit:.3f}", found.high, limit, GateOutcome.REJECT)
    return GateReason(
        code, f"{shown} does not exclude {limit:.3f}", found.low, limit, GateOutcome.INSUFFICIENT_EVIDENCE
    )


def _vetoes(labels: Sequence[str], judged: Sequence[str], comparison: Comparison) -> list[GateReason]:
    tests = {label: comparison.classes[labels.index(label)] for label in judged}
    adjusted = dict(zip(tests, holm([test.p_worse for test in tests.values()]), strict=True))
    return [
        GateReason(
            "class_worse",
            f"{label}: right {test.better} times where the champion is wrong, wrong {test.worse} times",
            adjusted[label],
            VETO_ALPHA,
            GateOutcome.REJECT,
        )
        for label, test in tests.items()
        if adjusted[label] < VETO_ALPHA
    ]


def _worst(reasons: Sequence[GateReason]) -> GateOutcome:
    """Too little to judge by comes first, then harm, then doubt."""
    if reasons[0].verdict is not GateOutcome.PROMOTE:
        return GateOutcome.INSUFFICIENT_EVIDENCE
    verdicts = {reason.verdict for reason in reasons}
    return next(
        (one for one in (GateOutcome.REJECT, GateOutcome.INSUFFICIENT_EVIDENCE) if one in verdicts), GateOutcome.PROMOTE
    )
