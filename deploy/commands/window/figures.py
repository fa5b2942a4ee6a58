"""The figures of a window, workload by workload: classes by split, ages, effective n, sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.commands.window.copied import Copy
from schemas.records import Split
from schemas.workload import Workload

MOST_SOURCES: Final = 10

_CLASSES: Final = """
SELECT workload, label, split, count(*), min(event_time), max(event_time) FROM rows GROUP BY ALL ORDER BY ALL
"""
# Kish: (sum w)^2 / sum w^2, w = 1 / propensity; over labels, a vote is no row that was chosen.
_SPLITS: Final = """
SELECT workload, split, count(*), sum(1 / propensity) ^ 2 / sum(1 / propensity ^ 2) FROM rows
WHERE NOT vote GROUP BY ALL
"""
_SOURCES: Final = """
SELECT workload, source, count(*) AS number FROM rows WHERE split = 'TRAIN' GROUP BY ALL ORDER BY number DESC, source
"""
_CORRECTED: Final = "SELECT workload, count(*) FROM rows WHERE corrects IS NOT NULL GROUP BY ALL"


@dataclass(frozen=True)
class ClassFigures:
    """One class."""

    label: str
    known: bool  # the workload still has this label
    rows: dict[str, int]  # by split
    days: tuple[float, float]  # age of its newest and its oldest row, counted from the workload's newest


@dataclass(frozen=True)
class WindowFigures:
    """One workload's rows."""

    workload: str
    classes: list[ClassFigures]  # most rows first
    labels: dict[str, int]  # by split: rows that are labels, not votes
    effective_n: dict[str, float]  # by split, of those
    sources: dict[str, int]  # of training rows, most first
    corrected: int  # rows whose label a second answer changed
    time_from: str  # event time, UTC
    time_to: str


def figures(copy: Copy, workloads: Mapping[str, Workload]) -> list[WindowFigures]:
    """Return the figures of every workload that has rows."""
    by_class: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
    for workload, label, *rest in copy.ask(_CLASSES)[1]:
        by_class.setdefault(workload, {}).setdefault(label, []).append(tuple(rest))
    splits = copy.ask(_SPLITS)[1]
    sources = copy.ask(_SOURCES)[1]
    corrected: dict[str, int] = dict(copy.ask(_CORRECTED)[1])
    return [
        _figures(
            name,
            workloads.get(name),
            classes,
            {split: (rows, effective) for workload, split, rows, effective in splits if workload == name},
            {source: rows for workload, source, rows in sources if workload == name},
            corrected.get(name, 0),
        )
        for name, classes in by_class.items()
    ]


def _figures(
    name: str,
    workload: Workload | None,
    classes: Mapping[str, list[tuple[Any, ...]]],
    splits: Mapping[str, tuple[int, float]],
    sources: dict[str, int],
    corrected: int,
) -> WindowFigures:
    oldest = min(first for rows in classes.values() for _, _, first, _ in rows)
    newest = max(last for rows in classes.values() for _, _, _, last in rows)
    found: list[ClassFigures] = []
    for label, rows in classes.items():
        youngest = newest - max(last for *_, last in rows)
        eldest = newest - min(first for _, _, first, _ in rows)
        found.append(
            ClassFigures(
                label=label,
                known=workload is None or label in workload.labels,
                rows={split: number for split, number, _, _ in rows},
                days=(youngest.total_seconds() / 86_400, eldest.total_seconds() / 86_400),
            )
        )
    return WindowFigures(
        workload=name,
        classes=sorted(found, key=lambda one: (-sum(one.rows.values()), one.label)),
        labels={split.value: splits.get(split.value, (0, 0.0))[0] for split in Split},
        effective_n={split.value: splits.get(split.value, (0, 0.0))[1] for split in Split},
        sources=sources,
        corrected=corrected,
        time_from=oldest.isoformat(),
        time_to=newest.isoformat(),
    )
