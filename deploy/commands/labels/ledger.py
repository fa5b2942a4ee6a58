"""The ledger of one workload's calls to its teacher: what they were made for, and what they cost. Pure.

    calls = labels - harvested - cache hits + anchors + retries + votes + second prompts + paraphrases
        + corrections + calls of ceilings + calls of dead letters

The left is counted from what each record says it cost in all, the right from what it says the calls were for. A call
whose record was not settled when its worker died is in no book; it is made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from schemas.records import Ceiling, DeadLetter, LabelKind, LabelRecord, Provenance
from schemas.rules.spend import Spend, cost_of
from schemas.sections.label import Budget, Price

PERIODS: Final = ("hour", "day", "total")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The books of one workload, as far back as its topics are kept."""

    labels: int
    harvested: int
    cache_hits: int  # labels that their cluster had already
    anchors: int  # asked again for the trigger teacher-drift: no labels
    retries: int
    votes: int
    second_prompts: int
    paraphrases: int  # calls: one a record
    corrections: int  # labels that `millrace suspects` asked for again; their repeats are among those above
    ceiling_calls: int  # of `millrace ceiling`
    untold: int  # calls after the first whose purpose an older release did not record
    dead_letter_calls: int  # of records that ended without a label; their tokens are in no book
    calls: int
    batched: int  # of the calls, those of labels that were asked for in batches
    spent: Mapping[str, Spend]  # by period: this hour, this day (UTC), total

    @property
    def expected(self) -> int:
        """Return the calls by what they were for."""
        asked = self.labels - self.harvested - self.cache_hits + self.anchors
        repeats = self.retries + self.votes + self.second_prompts + self.paraphrases + self.untold
        return asked + repeats + self.corrections + self.ceiling_calls + self.dead_letter_calls

    @property
    def residual(self) -> int:
        """Return what the two sides differ by: 0, or a record lies."""
        return self.calls - self.expected


def ledger(
    labels: Iterable[tuple[datetime, LabelRecord]],
    others: Iterable[tuple[datetime, DeadLetter | Ceiling]],
    now: datetime,
) -> Ledger:
    """Add up what the topics hold of one workload, each record with the time it was appended."""
    anchors = corrections = 0
    provenances: Counter[Provenance] = Counter()
    purposes: Counter[str] = Counter()
    spent = dict.fromkeys(PERIODS, Spend())
    for at, record in labels:
        if (cost := cost_of(record)) is None:
            continue
        if record.kind is LabelKind.ANCHOR:
            anchors += record.provenance is Provenance.TEACHER  # a copy cost nothing
        elif record.kind is LabelKind.CORRECTION:
            corrections += 1
        else:
            provenances[record.provenance] += 1
        purposes.update(record.calls or {"untold": max(0, record.teacher_calls - 1)})
        _book(spent, cost, at, now)
    calls: Counter[type[DeadLetter | Ceiling]] = Counter()
    for at, other in others:
        if (cost := cost_of(other)) is not None:
            calls[type(other)] += cost.calls
            _book(spent, cost, at, now)
    return Ledger(
        labels=provenances.total(),
        harvested=provenances[Provenance.HARVEST],
        cache_hits=provenances[Provenance.CLUSTER],
        anchors=anchors,
        retries=purposes["retry"],
        votes=purposes["vote"],
        second_prompts=purposes["second_prompt"],
        paraphrases=purposes["paraphrase"],
        corrections=corrections,
        ceiling_calls=calls[Ceiling],
        untold=purposes["untold"],
        dead_letter_calls=calls[DeadLetter],
        calls=spent["total"].calls,
        batched=spent["total"].batched_calls,
        spent=spent,
    )


def plain(found: Ledger, price: Price, budget: Budget) -> dict[str, Any]:
    """Return a ledger as JSON values; amounts beside their limits, None where there is none."""
    values: dict[str, Any] = {name: getattr(found, name) for name in Ledger.__dataclass_fields__ if name != "spent"}
    values |= {"residual": found.residual, "currency": price.currency, "spent": {}}
    priced = price.prompt_per_million is not None or price.completion_per_million is not None
    for period, spend in found.spent.items():
        limits = getattr(budget, period)
        values["spent"][period] = {
            kind: {"amount": spend.of(kind, price) if kind != "money" or priced else None, "limit": limit}
            for kind, limit in (("calls", limits.calls), ("tokens", limits.tokens), ("money", limits.money))
        }
    return values


def _book(spent: dict[str, Spend], spend: Spend, at: datetime, now: datetime) -> None:
    for period in PERIODS:
        if period == "total" or at >= _start(period, now):
            spent[period] += spend


def _start(period: str, now: datetime) -> datetime:
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if period == "hour" else hour.replace(hour=0)
