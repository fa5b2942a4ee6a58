"""Write the report: one HTML file with everything in it, readable on a phone, in light and dark, without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deploy.trial.report import pictures
from deploy.trial.report.inputs import ClassScore, StageFlow, Summary, class_scores
from schemas.errors import BadInput
from schemas.events import RolloutStatus
from schemas.records import Split

TEACHER_COLUMN: Final = "teacher"  # of predictions.parquet
STUDENT_COLUMN: Final = "student"  # of predictions.parquet: what the nominee says
_PROMOTED: Final = "PROMOTED"


def write_report(
    summary: Summary,
    out: Path,
    *,
    workload: str,
    evidence: Mapping[str, Any] | None = None,
    flow: Sequence[StageFlow] = (),
    statuses: Sequence[RolloutStatus] = (),
    predictions: pa.Table | None = None,
    rows: pa.Table | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write the report of one loop; what is not given is left out.

    `predictions`: the run's test rows with each student's label; `rows`: the snapshot's; `notes`: printed at its end.

    Raises:
        BadInput: the evidence, the predictions or the rows lack what the pictures need.
    """
    scores = class_scores(evidence) if evidence else []
    page = _environment().get_template("page.html.j2").render(
        workload=workload,
        summary=summary,
        headline=headline(summary),
        good=summary.rollout.final_state.upper() == _PROMOTED,
        reasons=[_said(reason) for reason in summary.gate.reasons],
        picture=_pictures(summary, scores, statuses, predictions, rows),
        scores=_by_class(scores),
        not_judged=(evidence or {}).get("evaluation", {}).get("not_judged", []),
        left_out=max(0, len(_by_class(scores)) - pictures.MOST_CLASSES),
        most_confused=pictures.MOST_CONFUSED,
        flow=flow,
        statuses=statuses,
        began=statuses[0].time if statuses else None,
        notes=notes,
    )  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return out


def headline(summary: Summary) -> str:
    """Return in one sentence how the loop ended."""
    state = summary.rollout.final_state.upper()
    if state == _PROMOTED:
        return "The student is in production."
    if state == "ROLLED_BACK":
        return "The student was taken back; the one before it answers."
    decision = summary.gate.decision.upper()
    if decision == "REJECT":
        return "The gate rejected the student; the teacher goes on answering."
    if decision == "INSUFFICIENT_EVIDENCE":
        return "The evidence does not suffice; the teacher goes on answering."
    return f"The rollout is at {state.replace('_', ' ').lower()}."


def _said(reason: str | dict[str, Any]) -> str:
    return reason if isinstance(reason, str) else str(reason.get("text") or reason.get("code") or reason)


def _pictures(
    summary: Summary,
    scores: Sequence[ClassScore],
    statuses: Sequence[RolloutStatus],
    predictions: pa.Table | None,
    rows: pa.Table | None,
) -> dict[str, Markup]:
    """Return the pictures there are data for, by name."""
    drawn: dict[str, str] = {}
    nominee, baseline = summary.nominee, summary.baseline
    if nominee and baseline and any(score.role == nominee.role for score in scores):
        drawn["f1"] = pictures.f1_by_class(scores, nominee.role, baseline.role)
    if predictions is not None and predictions.num_rows:
        drawn["confusion"] = pictures.confusion(
            _column(predictions, TEACHER_COLUMN), _column(predictions, STUDENT_COLUMN)
        )
    if statuses:
        drawn["rollout"] = pictures.rollout(statuses)
    if any(summary.window.classes.values()):
        drawn["window"] = pictures.window(summary.window.classes)
    mix = _class_mix(rows) if rows is not None else None
    if mix is not None:
        drawn["mix"] = mix
    # The SVG is matplotlib's: what people wrote (labels) was escaped when it was drawn.
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704


def _class_mix(rows: pa.Table) -> str | None:
    """Draw the class mix by the evaluation rows: a uniform sample with known propensity, which no quota touches."""
    splits = _column(rows, "split", "rows")
    kept = rows.filter(pa.array([split != Split.TRAIN for split in splits]))
    if pictures.stretches(kept.num_rows) < 2:
        return None
    weights = [1 / propensity for propensity in _column(kept, "propensity", "rows")]
    return pictures.class_mix(_column(kept, "event_time", "rows"), _column(kept, "label", "rows"), weights)


def _column(table: pa.Table, name: str, what: str = "predictions") -> list[Any]:
    if name not in table.column_names:
        raise BadInput(what, table.column_names, f"need a column {name!r}")
    values: list[Any] = table.column(name).to_pylist()
    return values


def _by_class(scores: Sequence[ClassScore]) -> dict[str, dict[str, ClassScore]]:
    table: dict[str, dict[str, ClassScore]] = {}
    for score in sorted(scores, key=lambda score: (-score.n, score.label)):
        table.setdefault(score.label, {})[score.role] = score
    return table


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("deploy.trial.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda value: "-" if value is None else f"{value:.1%}"
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["figure"] = lambda value: "-" if value is None else f"{value:.3f}"
    environment.filters["words"] = lambda value: str(value).replace("_", " ").lower()
    return environment
