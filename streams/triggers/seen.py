"""What the triggers see of one label: class, weight, the teacher's confidence, words, the student's answer. Pure.

Only first members of a cluster count (votes do not), and only labels chosen with a known propensity: those asked for
because two students differed would make every share look worse than it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from schemas.records import LabelKind, LabelRecord

BUCKETS: Final = 2_048  # words share them: at 10,000 words, about five per bucket
_WORDS: Final = 64  # of a text: a longer one costs no more
_WORD: Final = re.compile(r"[^\W\d_]{2,}")  # figures and tickers' digits change every day and mean nothing
_NOT_UNIFORM: Final = frozenset({"disagreement"})


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One label as the triggers see it."""

    number: int  # of the class; one past the last: no longer in the label set
    weight: float = 1.0  # the inverse of the propensity
    confidence: float | None = None  # the teacher's highest class probability
    words: NDArray[np.int64] | None = None  # buckets of the words, each once; None: not looked at
    student: str | None = None  # version of the student in production, where it was asked on an audited request
    agrees: bool = True  # with the teacher


def seen_in(record: LabelRecord, labels: Sequence[str], *, words: bool) -> Seen | None:
    """Return what is seen of a label, or None where it must not count."""
    if record.kind is not LabelKind.LABEL or record.selection_reason in _NOT_UNIFORM or record.propensity <= 0:
        return None
    student: str | None = None
    if record.audit and record.student_label is not None:
        student = record.student_version or ""
    return Seen(
        number=labels.index(record.label) if record.label in labels else len(labels),
        weight=1 / record.propensity,
        confidence=max((record.class_probabilities or {}).values(), default=None),
        words=buckets(record.text) if words else None,
        student=student,
        agrees=record.student_label == record.label,
    )


def buckets(text: str) -> NDArray[np.int64]:
    """Return the buckets of a text's words, each once."""
    found = _WORD.findall(text.casefold())[:_WORDS]
    return np.array(sorted({crc32(word.encode()) % BUCKETS for word in found}), dtype=np.int64)
