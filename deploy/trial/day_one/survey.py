"""Every row of the log through the curate stage's own steps, in its order: the fate of each. No broker.

Caps and blend are left out: the report describes the log as it came, and arrival times are not in it. Redaction makes
no linking tokens here, so no key is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from deploy.edge.privacy.redactor import Redactor, redactors
from deploy.edge.topics.framing import SINGLE_OBJECTS
from deploy.trial.day_one.inputs import Unreadable
from schemas.records import (
    AnsweredBy,
    CuratedKind,
    CuratedRecord,
    DeadLetter,
    DiscardedRecord,
    DiscardReason,
    TrafficRecord,
)
from schemas.rules.chat import label_in
from schemas.rules.normalise import normalise, normalise_all
from schemas.rules.privacy.redact import DEFAULT, redact_all
from schemas.sections.intake import Blend, Caps
from schemas.workload import Workload
from streams.core.stage import Message, Output
from streams.curate.group import GroupCurator
from streams.curate.intake import Candidate, Intake
from streams.curate.quality import ELIGIBILITY
from streams.curate.state import PartitionState

NO_LABEL: Final = -1  # of an answer outside the label set, and where there is no answer
FIRST_FEW: Final = 5  # unreadable rows that are shown one by one
_AT_ONCE: Final = 5_000  # rows; what curate takes in one batch
_ANSWERS: Final = 50_000  # different answers whose labels are remembered


class RequestFate(StrEnum):
    """What curate made of a request."""

    FIRST = "first"  # the first of its cluster: it goes on
    EXACT = "exact"  # its text was there before
    NEAR = "near"  # nearly so
    RESENT = "resent"  # its id was there before: the same request, sent again
    FILTERED = "filtered"  # a quality rule refuses it


class Tokens(NamedTuple):
    """What the teacher counted of one request."""

    prompt: int
    completion: int


class LogRequest(NamedTuple):
    """One request of the log that has a text to judge."""

    row: int
    time: datetime
    text: str  # redacted and normalised: what a student would be asked
    place: RequestFate
    cluster: str  # "" where it was filtered
    answer: str | None  # recorded, unless a student gave it
    label: int  # which of the workload's labels the answer says, or NO_LABEL
    learnable: bool  # the workload's rule lets a student learn from the answer
    model: str | None  # that answered
    tokens: Tokens | None  # None: none recorded


@dataclass
class Survey:
    """What the log holds."""

    requests: list[LogRequest] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)  # unreadable rows, by code
    first_refused: list[Unreadable] = field(default_factory=list)
    ineligible: Counter[str] = field(default_factory=Counter)  # by why only the teacher can answer
    rules: Counter[str] = field(default_factory=Counter)  # texts refused, by the rule's name
    students: int = 0  # requests that a student answered: their answers are ignored
    personal: Counter[str] = field(default_factory=Counter)  # values found, by kind
    redacted: Counter[str] = field(default_factory=Counter)  # values that the workload's policy takes out, by kind
    personal_requests: int = 0

    @property
    def rows(self) -> int:
        """All rows of the log, readable or not."""
        return len(self.requests) + self.refused.total() + self.ineligible.total()


def survey(rows: Iterable[Message | Unreadable], workload: Workload, folder: Path) -> Survey:
    """Return what the log holds for one workload.

    Args:
        rows: in the order of the log.
        workload: whose rules count.
        folder: of the workload files, to which a classifier's path is relative.

    Raises:
        SettingsError: the model of names that the workload wants is not installed.
        WorkloadError: its classifier cannot be used.
    """
    surveyor = _Surveyor(workload, folder)
    remaining = iter(rows)
    while some := list(islice(remaining, _AT_ONCE)):
        surveyor.take(some)
    return surveyor.found


class _Surveyor:
    def __init__(self, workload: Workload, folder: Path) -> None:
        untied = workload.privacy.model_copy(update={"token_key_env": None})
        self._workload = workload.model_copy(update={"privacy": untied, "caps": Caps(), "blend": Blend()})
        mine = {workload.name: self._workload}
        self._redactor: Redactor = redactors(mine)[workload.name]
        self._intake = Intake(mine, SINGLE_OBJECTS)
        self._curator = GroupCurator(self._workload, self._redactor, folder)
        self._state = PartitionState(mine)
        self._firsts: dict[str, str] = {}  # the first text of each cluster
        self._label = lru_cache(maxsize=_ANSWERS)(self._label_of)
        self._number = {label: number for number, label in enumerate(workload.labels)}
        self.found = Survey()

    def take(self, rows: list[Message | Unreadable]) -> None:
        """Take the next rows of the log."""
        candidates: list[Candidate] = []
        for row in rows:
            if isinstance(row, Unreadable):
                self._refuse(row)
                continue
            taken = self._intake.take(row)
            if isinstance(taken, Candidate):
                candidates.append(taken)
            else:
                self._end(row, taken)
        texts = self._clean(candidates)
        outputs, view = self._curator.curate(candidates, self._state)
        view.merge()
        for candidate, text, output in zip(candidates, texts, outputs, strict=True):
            self.found.requests.append(self._request(candidate, text, output))

    def _refuse(self, row: Unreadable) -> None:
        self.found.refused[row.code] += 1
        if len(self.found.first_refused) < FIRST_FEW:
            self.found.first_refused.append(row)

    def _end(self, row: Message, output: Output) -> None:
        """Count a row that ended before its text was looked at."""
        record = output.record
        if isinstance(record, DeadLetter):
            self._refuse(Unreadable(row.offset, record.reason, record.detail))
        elif isinstance(record, DiscardedRecord) and record.rule == ELIGIBILITY:
            self.found.ineligible[record.detail] += 1

    def _clean(self, candidates: list[Candidate]) -> list[str]:
        plain = normalise_all([candidate.text for candidate in candidates])
        redacted = self._redactor.redact_all(plain, [candidate.record.source for candidate in candidates])
        for mine, every in zip(redacted, redact_all(plain, DEFAULT), strict=True):
            self.found.redacted.update(mine.counts)
            # Names are found by the workload's own model alone, so what it takes out may be more than the rules find.
            found = every.counts | mine.counts
            self.found.personal.update(found)
            self.found.personal_requests += bool(found)
        return [one.text for one in redacted]

    def _request(self, candidate: Candidate, text: str, output: Output) -> LogRequest:
        record = candidate.record
        place, cluster = self._place(candidate, text, output)
        by_student = record.answered_by is AnsweredBy.STUDENT
        self.found.students += by_student
        answer = None if by_student else record.answer
        return LogRequest(
            row=candidate.message.offset,
            time=record.event_time,
            text=text,
            place=place,
            cluster=cluster,
            answer=answer,
            label=NO_LABEL if answer is None else self._label(answer),
            learnable=answer is not None and self._may_teach(record),
            model=record.model,
            tokens=_tokens(record),
        )

    def _place(self, candidate: Candidate, text: str, output: Output) -> tuple[RequestFate, str]:
        record = output.record
        if isinstance(record, CuratedRecord):
            if record.kind is not CuratedKind.VOTE:
                self._firsts[record.cluster_id] = text.casefold()
                return RequestFate.FIRST, record.cluster_id
            same = self._firsts[record.cluster_id] == text.casefold()
            return (RequestFate.EXACT if same else RequestFate.NEAR), record.cluster_id
        if not isinstance(record, DiscardedRecord):
            raise TypeError(f"curate ended a candidate as {type(record).__name__}")
        if record.reason is DiscardReason.FILTERED:
            self.found.rules[record.rule or ""] += 1
            return RequestFate.FILTERED, ""
        place = {DiscardReason.DUPLICATE_ID: RequestFate.RESENT, DiscardReason.DUPLICATE_TEXT: RequestFate.EXACT}
        return place.get(record.reason, RequestFate.NEAR), record.cluster_id or candidate.record_id

    def _label_of(self, answer: str) -> int:
        label = label_in(self._workload, normalise(answer))
        return NO_LABEL if label is None else self._number[label]

    def _may_teach(self, record: TrafficRecord) -> bool:
        """Return whether the label stage would harvest the answer, if it were a label (streams/label/harvest.py)."""
        return record.answered_by is AnsweredBy.TEACHER or record.model in self._workload.harvest.models


def _tokens(record: TrafficRecord) -> Tokens | None:
    """Return the usage in a recorded response."""
    if record.response is None:
        return None
    usage = orjson.loads(record.response).get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Tokens(prompt, completion) if isinstance(prompt, int) and isinstance(completion, int) else None


def by_cluster(requests: Iterable[LogRequest]) -> dict[str, list[LogRequest]]:
    """Return the requests of each cluster, in the order of the log; those without one are left out."""
    clusters: dict[str, list[LogRequest]] = {}
    for request in requests:
        if request.cluster:
            clusters.setdefault(request.cluster, []).append(request)
    return clusters
