"""The teacher-drift trigger: asked the same texts again, the teacher gives other labels. Pure.

Anchors are asked in rounds (streams/curate/anchors.py). An answer is compared with its reference: the anchor's last
answer in the epoch before the last request, or its first since where it has none there. The teacher behind a name may
have been exchanged, or the prompt edited; changes of the traffic have no effect here.

A round asks whether more of the anchors changed than `limit`, by the exact binomial tail. Anchors do not all change
with the same chance: some never do, others in every round. For independent answers of unequal chances with mean p of n,
so many or more changes than n p + 1 are at most as likely as under the binomial of n and p (Hoeffding, "On the
distribution of the number of successes in independent trials", Annals of Mathematical Statistics 27:713, 1956); a
chance taken over both answers, so that a reference that was itself the rarer answer is counted in. Round k since the
request spends alpha / (k (k + 1)), however rounds depend on each other, so between two requests an alarm is false with
probability at most alpha. An anchor that has not answered yet counts as unchanged: the number of changes only grows
within a round, so it may be looked at after each answer, and one that got no answer at all makes the test less
sensitive, never more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import log
from sys import float_info
from typing import Final

from scipy.special import bdtrc

from schemas.events import TriggerVerdict
from schemas.records import LabelRecord, Provenance
from streams.triggers.looks import spends
from streams.triggers.verdicts import waiting

NAME: Final = "teacher-drift"
LEAST: Final = 20  # anchors with a reference: with fewer, a third of them would have to change


@dataclass(frozen=True, slots=True)
class AnchorAnswers:
    """What the teacher said of the anchors in this epoch, and in the one before; by record id."""

    reference: Mapping[str, str] = field(default_factory=dict)
    begun: datetime | None = None  # the newest round of the epoch before: its late answers are references
    last: Mapping[str, str] = field(default_factory=dict)  # since the request
    newest: datetime | None = None  # round since the request
    round: datetime | None = None  # that is compared now
    look: int = 0  # rounds compared since the request
    anchors: int = 0  # with a reference, when the round began
    answered: frozenset[str] = frozenset()  # in this round
    changed: int = 0  # of them

    def turned(self) -> AnchorAnswers:
        """Return the state after a request: the last answers are the references."""
        return AnchorAnswers(reference=self.last, begun=self.newest)


def with_past_answer(answers: AnchorAnswers, record: LabelRecord) -> AnchorAnswers:
    """Add an anchor's answer of the epoch before the last request."""
    if record.provenance is not Provenance.TEACHER:
        return answers
    begun = record.event_time if answers.begun is None else max(answers.begun, record.event_time)
    return replace(answers, reference={**answers.reference, record.record_id: record.label}, begun=begun)


def with_answer(answers: AnchorAnswers, record: LabelRecord) -> AnchorAnswers:
    """Add an anchor's answer; a copy, a second one in a round, and one of an earlier round are not compared."""
    at, own = record.event_time, record.record_id
    if record.provenance is not Provenance.TEACHER:
        return answers
    newest = at if answers.newest is None else max(answers.newest, at)
    answers = replace(answers, last={**answers.last, own: record.label}, newest=newest)
    if answers.begun is not None and at <= answers.begun:
        return replace(answers, reference={**answers.reference, own: record.label})
    if answers.round is None or at > answers.round:
        anchors = len(answers.reference)
        look = answers.look + (anchors >= LEAST)
        answers = replace(answers, round=at, look=look, anchors=anchors, answered=frozenset(), changed=0)
    if at != answers.round or own in answers.answered:
        return answers
    before = answers.reference.get(own)
    return replace(
        answers,
        reference=answers.reference if before is not None else {**answers.reference, own: record.label},
        answered=answers.answered | {own},
        changed=answers.changed + (before is not None and before != record.label),
    )


def verdict(answers: AnchorAnswers, *, alpha: float, limit: float) -> TriggerVerdict:
    """Return what the current round proves.

    Args:
        answers: the anchors'.
        alpha: the probability of a false alarm between two requests, over all rounds.
        limit: share of the anchors that may get another answer.
    """
    n, look = answers.anchors, answers.look
    changed = answers.changed
    if answers.round is None:
        return waiting(NAME, "No anchor was asked again since the last request.")
    if n < LEAST:
        known = len(answers.reference)
        then = "the next round is compared" if known >= LEAST else f"fewer than {LEAST} say nothing; add gold"
        return waiting(NAME, f"{known} anchors have an answer to compare the next with: {then}.")
    chance = float(bdtrc(changed - 1, n, limit)) if changed else 1.0
    spent = spends(alpha, look)
    fired = chance <= spent and changed >= n * limit + 1
    numbers = {
        "statistic": -log(max(chance, float_info.min)),
        "threshold": -log(spent),
        "effect": changed / n,
        "floor": limit,
        "nominal": alpha,
        "n": float(n),
        "asked": float(len(answers.answered)),
        "changed": float(changed),
        "round": float(look),
    }
    why = (
        f"In round {look} since the last request {changed} of {n} anchors ({changed / n:.1%}) got another label than "
        f"before, where {limit:.1%} may: by chance so many have probability {chance:.2g}, which is "
        f"{'within' if fired else 'above'} the {spent:.2g} this round may spend."
    )
    return TriggerVerdict(trigger=NAME, fired=fired, numbers=numbers, explanation=why)
