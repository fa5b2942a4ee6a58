"""The whole report in figures: what the page shows and what the JSON beside it holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson

from deploy.trial.day_one.census import Census, census, counted
from deploy.trial.day_one.saving import Saving, Traffic, saving
from deploy.trial.day_one.student import StudentFigures, Trial, teaching, trial
from deploy.trial.day_one.survey import Survey
from deploy.trial.day_one.takeover import Takeover, takeover
from schemas.workload import Workload


@dataclass(frozen=True)
class Asked:
    """What the report was asked for."""

    source: str  # the file's name
    made: datetime
    made_up_times: bool  # the file has none
    wished: float  # least agreement of what a student answers
    price_per_1000: float | None


@dataclass(frozen=True)
class DayOne:
    """A log in figures; what is unknown is None, and `lacking` says why."""

    workload: str
    asked: Asked
    census: Census
    lacking: str | None  # why no student was judged
    student: StudentFigures | None
    gate_floor: float
    window_rows: int
    takeover: Takeover | None
    saving: Saving | None

    def to_json(self) -> bytes:
        """Return the figures as JSON; what is not defined is null."""
        return orjson.dumps(self, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def day_one(found: Survey, workload: Workload, asked: Asked) -> DayOne:
    """Compute the figures; trains one linear student where there are answers to learn from."""
    counts = census(found, workload)
    tried = trial(teaching(counted(found)), workload)
    figures = DayOne(
        workload=workload.name,
        asked=asked,
        census=counts,
        lacking=None,
        student=None,
        gate_floor=workload.gate.agreement_floor,
        window_rows=workload.window.rows,
        takeover=None,
        saving=None,
    )
    if isinstance(tried, str):
        return replace(figures, lacking=tried)
    taken = takeover(tried.choosing, tried.test, asked.wished)
    spared = _saving(tried, taken, counts, workload, asked)
    return replace(figures, student=tried.figures, takeover=taken, saving=spared)


def _saving(tried: Trial, taken: Takeover, counts: Census, workload: Workload, asked: Asked) -> Saving | None:
    rows = counts.rows
    if taken.threshold is None or taken.coverage is None or counts.duplicates is None:
        return None
    span: timedelta | None = None
    if rows.began is not None and rows.ended is not None and not asked.made_up_times:
        span = rows.ended - rows.began
    traffic = Traffic(
        requests=rows.requests + sum(rows.ineligible.values()),
        answerable=rows.requests - sum(rows.filtered.values()),
        span=span,
        audit_share=workload.audit.share,
        repeats=counts.duplicates.exact,
        judged=rows.requests,
    )
    through = tried.test.confidence >= taken.threshold.confidence
    return saving(taken.coverage, traffic, tried.test, through, workload.teacher.price, asked.price_per_1000)
