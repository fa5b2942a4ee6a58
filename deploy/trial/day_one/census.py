"""What needs no student: rows, times, labels, duplicates, personal data and quality rules, counted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from deploy.trial.day_one.bounds import ShareFigure, cluster_effective_n, share, share_of
from deploy.trial.day_one.inputs import Unreadable
from deploy.trial.day_one.survey import NO_LABEL, LogRequest, RequestFate, Survey, by_cluster
from schemas.rules.normalise import normalise
from schemas.rules.privacy.kinds import RULED, Kind
from schemas.rules.privacy.redact import redact
from schemas.workload import Workload

LARGEST: Final = 5  # clusters that are shown
OUTSIDE: Final = 8  # answers outside the label set that are shown
_SHOWN: Final = 100  # characters of a text or an answer


@dataclass(frozen=True)
class RowCounts:
    """What the file held."""

    read: int
    requests: int  # with a text to judge, each once: without those sent again
    resent: int
    unreadable: dict[str, int]  # by code
    first_unreadable: list[Unreadable]
    ineligible: dict[str, int]  # by why only the teacher can answer
    filtered: dict[str, int]  # by the rule's name
    began: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Labels:
    """What the recorded answers say."""

    answered: ShareFigure | None  # share of the requests with a recorded answer; None: no request
    mix: dict[str, ShareFigure]  # share of each label among the answers that say one; most first
    outside: ShareFigure | None  # share of the answers that say no label of the set
    outside_most: dict[str, int]  # the commonest of them, redacted and cut
    learnable: int  # answers that the workload's rule lets a student learn from
    unlisted_models: dict[str, int]  # models of the other ones; "" where none is named
    students: int  # requests that a student answered


@dataclass(frozen=True)
class LargeCluster:
    """One of the largest clusters."""

    text: str  # of its first member: redacted, cut
    requests: int
    exact: int


@dataclass(frozen=True)
class DuplicateCounts:
    """What was there before, within the horizon."""

    exact: ShareFigure
    near: ShareFigure
    clusters: int
    effective_n: float  # of the requests, if the members of a cluster say the same thing
    largest: list[LargeCluster]
    same_answer_exact: ShareFigure | None  # how often an exact repeat had the answer of its cluster's first member
    same_answer_near: ShareFigure | None


@dataclass(frozen=True)
class PersonalData:
    """What was found, never the data itself."""

    requests: ShareFigure | None  # share of the requests that hold any
    found: dict[str, int]  # by kind
    redacted: dict[str, int]  # by kind, as the workload says
    not_looked_for: list[str]  # kinds that the workload's policy does not name and no rule finds


@dataclass(frozen=True)
class Census:
    """All of it; duplicates are None where there is no request."""

    rows: RowCounts
    labels: Labels
    duplicates: DuplicateCounts | None
    personal: PersonalData


def census(found: Survey, workload: Workload) -> Census:
    """Count what the log holds."""
    requests = counted(found)
    times = [request.time for request in requests]
    rows = RowCounts(
        read=found.rows,
        requests=len(requests),
        resent=len(found.requests) - len(requests),
        unreadable=dict(found.refused.most_common()),
        first_unreadable=found.first_refused,
        ineligible=dict(found.ineligible.most_common()),
        filtered=dict(found.rules.most_common()),
        began=min(times, default=None),
        ended=max(times, default=None),
    )
    return Census(rows, _labels(requests, found, workload), _duplicates(requests), _personal(found, workload))


def counted(found: Survey) -> list[LogRequest]:
    """Return the requests without those that are the same one, sent again."""
    return [request for request in found.requests if request.place is not RequestFate.RESENT]


def _labels(requests: Sequence[LogRequest], found: Survey, workload: Workload) -> Labels:
    answered = [request for request in requests if request.answer is not None]
    labelled = [request for request in answered if request.label != NO_LABEL]
    outside = [request for request in answered if request.label == NO_LABEL]
    counts = Counter(workload.labels[request.label] for request in labelled)
    effective = cluster_effective_n([_together(request) for request in labelled])
    others = Counter(request.model or "" for request in answered if not request.learnable)
    said = Counter(_cut(redact(normalise(request.answer or "")).text) for request in outside)
    return Labels(
        answered=_share([request.answer is not None for request in requests], requests),
        mix={label: share_of(n / len(labelled), len(labelled), effective) for label, n in counts.most_common()},
        outside=_share([request.label == NO_LABEL for request in answered], answered),
        outside_most=dict(said.most_common(OUTSIDE)),
        learnable=sum(request.learnable for request in answered),
        unlisted_models=dict(others.most_common()),
        students=found.students,
    )


def _duplicates(requests: Sequence[LogRequest]) -> DuplicateCounts | None:
    if not requests:
        return None
    clusters = sorted(by_cluster(requests).items(), key=lambda pair: -len(pair[1]))
    return DuplicateCounts(
        exact=share(np.array([request.place is RequestFate.EXACT for request in requests]), _all(requests)),
        near=share(np.array([request.place is RequestFate.NEAR for request in requests]), _all(requests)),
        clusters=len(clusters),
        effective_n=cluster_effective_n(_all(requests)),
        largest=[
            LargeCluster(_cut(members[0].text), len(members), sum(one.place is RequestFate.EXACT for one in members))
            for _, members in clusters[:LARGEST]
            if len(members) > 1
        ],
        same_answer_exact=_same_answer(clusters, RequestFate.EXACT),
        same_answer_near=_same_answer(clusters, RequestFate.NEAR),
    )


def _same_answer(clusters: Sequence[tuple[str, list[LogRequest]]], place: RequestFate) -> ShareFigure | None:
    """Compare each repeat's label with that of the first member, where both have an answer."""
    same, of = [], []
    for cluster, (first, *others) in clusters:
        if first.place is not RequestFate.FIRST or first.answer is None:
            continue
        for other in others:
            if other.place is place and other.answer is not None:
                same.append(other.label == first.label and other.label != NO_LABEL)
                of.append(cluster)
    return share(np.array(same), of) if of else None


def _personal(found: Survey, workload: Workload) -> PersonalData:
    names_kept = workload.privacy.names == "keep"
    some = len(found.requests)
    holding: ShareFigure | None = None
    if some:
        holding = share_of(found.personal_requests / some, some, cluster_effective_n(_all(found.requests)))
    return PersonalData(
        requests=holding,
        found={kind.value: found.personal[kind] for kind in (*sorted(RULED), Kind.NAME) if found.personal[kind]},
        redacted={kind: count for kind, count in sorted(found.redacted.items()) if count},
        not_looked_for=[Kind.NAME.value] if names_kept else [],
    )


def _share(hits: Sequence[bool], requests: Sequence[LogRequest]) -> ShareFigure | None:
    return share(np.array(hits), _all(requests)) if requests else None


def _all(requests: Sequence[LogRequest]) -> list[str | int]:
    return [_together(request) for request in requests]


def _together(request: LogRequest) -> str | int:
    """Return what a request is right or wrong with: its cluster, or itself where it has none."""
    return request.cluster or request.row


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
