"""The newswire as a sequence of records: headlines, their repetitions, personal data, poison and recorded answers.

Pure: the same plan gives the same bytes, in the same order, at the same event times, for ever. What was planted is
kept beside each record and never goes into it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from deploy.trial.simulate.forms import RecordContent, Wire, bare, chat, five_fields, openai_pair
from deploy.trial.simulate.grammar import Writer
from deploy.trial.simulate.newswire import FREQUENCIES, classes
from deploy.trial.simulate.personal import plant
from deploy.trial.simulate.planted import PlantedEntry, PlantedKind, Truth
from deploy.trial.simulate.poison import POISONS, poisoned
from deploy.trial.simulate.syndication import Distinct, duplicate, near_duplicate
from schemas.errors import BadInput
from schemas.rules.normalise import normalise, text_key
from schemas.rules.practice import practice_label
from schemas.rules.privacy.redact import redact
from schemas.workload import Workload

START: Final = datetime(2025, 1, 6, 6, tzinfo=UTC)  # a Monday; fixed, so that a seed gives the same bytes on any day
PHASE: Final = timedelta(days=30)  # between the starts of two phases
GAP_SECONDS: Final = 40.0  # between two headlines at most: 6,000 of them take a day and a half
MEMORY: Final = 400  # a repetition follows within so many originals
_CLIENTS: Final = ("terminal-eu", "terminal-us", "mobile-app", "research-desk")
_SOURCES: Final = ("tidewire", "quillpost", "ledgerline", "harbour-news", "bourse-brief")


@dataclass(frozen=True)
class TrafficPlan:
    """What to draw."""

    seed: int
    phase: int = 1  # another phase has other companies and more words: none of its texts repeats
    records: int = 6_000
    answers: float = 0.2  # share of the clusters; the others are shares of all records
    duplicates: float = 0.06
    near_duplicates: float = 0.06
    pii: float = 0.03
    poison: float = 0.005
    teacher_seed: int = 7


@dataclass(frozen=True)
class PlantedRecord:
    """One record on its way, with what was planted in it and the truth for the practice teacher."""

    id: str
    event_time: datetime
    wire: Wire
    entry: PlantedEntry
    truth: Truth | None


@dataclass(frozen=True)
class _Original:
    """A headline that may come again."""

    id: str
    text: str
    label: str
    cluster_key: str
    pii: tuple[str, ...]
    answer: str | None


def check(plan: TrafficPlan, workload: Workload) -> None:
    """Refuse a plan that cannot be drawn.

    Raises:
        BadInput: the workload has other labels than the newswire, or nothing but repetitions and poison would be left.
    """
    if set(workload.labels) != set(FREQUENCIES):
        odd = sorted(set(workload.labels) ^ set(FREQUENCIES))
        raise BadInput("workload", workload.name, f"needs the newswire's 13 labels; these differ: {', '.join(odd)}")
    if plan.duplicates + plan.near_duplicates + plan.poison > 0.9:
        repeated = plan.duplicates + plan.near_duplicates + plan.poison
        raise BadInput("duplicates + near-duplicates + poison", repeated, "must leave at least 0.1 for originals")


def traffic(plan: TrafficPlan, workload: Workload) -> Iterator[PlantedRecord]:
    """Yield the plan's records in the order in which they are sent."""
    return iter(_Newswire(plan, workload))


class _Newswire:
    """The state of one draw."""

    def __init__(self, plan: TrafficPlan, workload: Workload) -> None:
        self._plan = plan
        self._workload = workload
        self._mix = self._stream("mix")
        self._form = self._stream("form")
        words = self._stream("words")
        self._writer = Writer(words, plan.phase)
        self._classes = classes(words)
        self._distinct = Distinct()
        self._recent: deque[_Original] = deque(maxlen=MEMORY)
        self._time = START + (plan.phase - 1) * PHASE
        self._poisons = 0

    def __iter__(self) -> Iterator[PlantedRecord]:
        kinds: list[PlantedKind] = ["duplicate", "near_duplicate", "poison", "original"]
        shares = (self._plan.duplicates, self._plan.near_duplicates, self._plan.poison)
        for number in range(self._plan.records):
            (kind,) = self._mix.choices(kinds, (*shares, 1.0 - sum(shares)))
            self._time += timedelta(milliseconds=self._mix.randint(1, int(GAP_SECONDS * 1000)))
            yield self._record(kind, f"{self._workload.name}-{self._plan.seed}-{self._plan.phase}-{number:06d}")

    def _record(self, kind: PlantedKind, own: str) -> PlantedRecord:
        if kind == "poison":
            return self._poisoned(own)
        original = self._mix.choice(self._recent) if self._recent and kind != "original" else None
        if original and kind == "duplicate":
            return self._planted(own, kind, duplicate(original.text, self._mix), original)
        if original and not original.pii and (text := near_duplicate(original.text, self._mix)):
            return self._planted(own, kind, text, original)
        return self._fresh(own)

    def _fresh(self, own: str) -> PlantedRecord:
        label = next(self._classes)
        headline = self._writer.headline(label)
        while not self._distinct.add(headline):
            headline = self._writer.headline(label)
        pii: list[str] = []
        if self._mix.random() < self._plan.pii:
            headline, pii = plant(headline, self._mix)
        key = self._key(headline)
        answer = None
        if self._mix.random() < self._plan.answers:
            answer = practice_label(self._workload.labels, label, key, self._plan.teacher_seed)
        original = _Original(own, headline, label, key, tuple(pii), answer)
        self._recent.append(original)
        return self._planted(own, "original", headline, original)

    def _planted(self, own: str, kind: PlantedKind, text: str, original: _Original) -> PlantedRecord:
        content = self._content(own, text, original.answer)
        forms, odds = [bare, chat, five_fields, openai_pair], [5, 2, 2, 1]
        if content.answer is None:  # the JSON forms need an answer
            forms, odds = forms[:2], odds[:2]
        (form,) = self._form.choices(forms, odds)
        entry = PlantedEntry(
            id=own,
            kind=kind,
            text=text,
            label=original.label,
            of=original.id if kind != "original" else None,
            pii=[value.upper() if text.isupper() else value for value in original.pii],
        )
        truth = Truth(text_key=self._key(text), label=original.label, cluster_key=original.cluster_key)
        return PlantedRecord(own, content.event_time, form(content, self._workload), entry, truth)

    def _poisoned(self, own: str) -> PlantedRecord:
        kind = list(POISONS)[self._poisons % len(POISONS)]  # in turn, so that a small draw has every kind
        self._poisons += 1
        content = self._content(own, self._writer.headline("other"), None)
        wire = poisoned(content, self._workload, kind, self._form)
        return PlantedRecord(own, content.event_time, wire, PlantedEntry(id=own, kind="poison", poison=kind), None)

    def _content(self, own: str, text: str, answer: str | None) -> RecordContent:
        return RecordContent(own, text, self._time, self._form.choice(_CLIENTS), self._form.choice(_SOURCES), answer)

    def _key(self, text: str) -> str:
        return text_key(self._workload.name, normalise(redact(text).text))

    def _stream(self, purpose: str) -> random.Random:
        return random.Random(f"{self._plan.seed}:{self._plan.phase}:{purpose}")
