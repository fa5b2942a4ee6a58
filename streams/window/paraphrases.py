"""Which paraphrases a snapshot takes: those of its own training rows, where a class has too few. Pure but for texts.

A class with fewer training rows than `augment.rows` is topped up to that, within its quota and the snapshot's rows:
the first paraphrase of each row before any second, among equals in keyed-hash order. Real rows are never displaced.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from schemas.ids import digest
from schemas.records import Split
from schemas.workload import Workload
from streams.window.rows import Row, class_limits

PARAPHRASE: Final = "PARAPHRASE"  # provenance of such a row


def candidates(rows: Sequence[Row], workload: Workload) -> list[Row]:
    """Return the paraphrases of training rows in classes that are too small, each text once, in the order to take."""
    if not workload.augment.paraphrases:
        return []
    small = _missing(rows, workload)
    found = [
        (number, digest("paraphrase", row.record_id), _paraphrase(row, number, text))
        for row in rows
        if row.split == Split.TRAIN and small[row.label] > 0
        for number, text in enumerate(row.paraphrases, 1)
    ]
    texts = {row.text.lower(): None for row in rows}
    once: list[Row] = []
    for _, _, row in sorted(found, key=lambda one: one[:2]):
        if row.text.lower() not in texts:
            texts[row.text.lower()] = None
            once.append(row)
    return once


def topped_up(rows: Sequence[Row], offered: Sequence[Row], workload: Workload) -> list[Row]:
    """Return the rows of a snapshot with the paraphrases it takes, ordered by record id."""
    missing = _missing(rows, workload)
    room = workload.window.rows - sum(row.split == Split.TRAIN for row in rows)
    by_class: defaultdict[str, list[Row]] = defaultdict(list)
    for row in offered:
        if len(by_class[row.label]) < missing[row.label]:
            by_class[row.label].append(row)
    limits = class_limits({label: len(some) for label, some in by_class.items()}, workload.augment.rows, room)
    taken = [row for label, some in by_class.items() for row in some[: limits[label]]]
    return sorted([*rows, *taken], key=lambda row: row.record_id)


def _missing(rows: Sequence[Row], workload: Workload) -> dict[str, int]:
    counts = Counter(row.label for row in rows if row.split == Split.TRAIN)
    wanted = min(workload.augment.rows, workload.window.quota)
    return {label: max(0, wanted - counts[label]) for label in workload.labels}


def _paraphrase(row: Row, number: int, text: str) -> Row:
    return replace(row, record_id=f"{row.record_id}/{number}", text=text, provenance=PARAPHRASE, paraphrases=())
