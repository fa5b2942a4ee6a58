"""Simulated streams for benchmarks/triggers.py: labels of the newswire, with nothing changed or with a planted shift.

A stream is one epoch: 1,000 labels before a request, then up to so many after it, taken in one by one by the code that
runs in the worker. Texts and classes are drawn with replacement from newswire headlines; every label is audited. With
nothing changed the student misses exactly the share it may miss, and the teacher doubts exactly the share it may
doubt: the worst case that is still no alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploy.trial.simulate.traffic import TrafficPlan, traffic
from schemas.sections.triggers import Triggers
from schemas.workload import Workload
from streams.triggers.seen import Seen, buckets
from streams.triggers.watch import Watch, with_seen

WORKLOAD: Final = Path(__file__).parents[1] / "workloads" / "newswire.toml"
ALPHA: Final = 0.01
FLOORS: Final = {"label_mix": 0.2, "input_drift": 0.05, "confidence": 0.05, "disagreement": 0.10, "doubt": 0.10}
NAMES: Final = tuple(key.replace("_", "-") for key in FLOORS)
REFERENCE: Final = 1_000  # labels before the request
CALM: Final = 300  # labels after it, before a planted shift begins
_NEW_WORD: Final = buckets("tariffs")


@dataclass(frozen=True)
class Draw:
    """Labels to come, column by column."""

    numbers: NDArray[np.int64]  # class
    words: list[NDArray[np.int64]]
    confidence: NDArray[np.float64]
    agrees: NDArray[np.bool_]

    def __getitem__(self, at: int) -> Seen:
        return Seen(int(self.numbers[at]), 1.0, float(self.confidence[at]), self.words[at], "v1", bool(self.agrees[at]))


Shift = Callable[[np.random.Generator, Draw, int], Draw]


@cache
def pool() -> tuple[Workload, NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the workload, and class and words of 4,000 newswire headlines."""
    workload = Workload.parse(WORKLOAD.read_bytes())
    plan = TrafficPlan(seed=13, records=4_000, answers=0, duplicates=0, near_duplicates=0, pii=0, poison=0)
    entries = [one.entry for one in traffic(plan, workload)]
    numbers = np.array([workload.labels.index(entry.label or "") for entry in entries])
    return workload, numbers, [buckets(entry.text or "") for entry in entries]


def watching() -> Workload:
    """Return the workload with every statistical trigger on."""
    return pool()[0].model_copy(update={"triggers": Triggers.model_validate({"alpha": ALPHA} | FLOORS)})


def drawn(rng: np.random.Generator, count: int) -> Draw:
    """Draw labels of a stream in which nothing changes."""
    _, numbers, words = pool()
    at = rng.integers(len(numbers), size=count)
    doubted = rng.random(count) < FLOORS["doubt"]
    confidence = np.where(doubted, rng.uniform(0.2, 0.5, count), 0.5 + rng.beta(4, 2, count) / 2)
    return Draw(numbers[at], [words[one] for one in at], confidence, rng.random(count) >= FLOORS["disagreement"])


def alarms(seed: int, most: int, shift: Shift | None = None) -> dict[str, int]:
    """Return after how many labels each trigger fired, in a stream of its own; with a shift, counted from the shift."""
    rng, workload = np.random.default_rng(seed), watching()
    watch = Watch()
    before = drawn(rng, REFERENCE)
    for at in range(REFERENCE):
        watch = with_seen(watch, workload, before[at])
    watch, found = watch.turned(), dict[str, int]()
    start = CALM if shift is not None else 0
    after = drawn(rng, start + most)
    if shift is not None:
        after = shift(rng, after, start)
    for at in range(start + most):
        watch = with_seen(watch, workload, after[at])
        for name in watch.fired - found.keys():
            found[name] = at + 1 - start
    return found


def _prior(points: float) -> Shift:
    """Some points of the most frequent class's share go to the seventh."""

    def shift(rng: np.random.Generator, draw: Draw, start: int) -> Draw:
        _, pooled, words = pool()
        common = int(np.bincount(pooled).argmax())
        target = int(np.argsort(-np.bincount(pooled))[6])
        moved = (draw.numbers == common) & (rng.random(len(draw.numbers)) < points / (pooled == common).mean())
        moved[:start] = False
        theirs, new = np.flatnonzero(pooled == target), list(draw.words)
        for at in np.flatnonzero(moved):
            new[at] = words[rng.choice(theirs)]
        return replace(draw, numbers=np.where(moved, target, draw.numbers), words=new)

    return shift


def _vocabulary(share: float) -> Shift:
    """A new word comes into a share of the texts."""

    def shift(rng: np.random.Generator, draw: Draw, start: int) -> Draw:
        hit = rng.random(len(draw.words)) < share
        return replace(
            draw,
            words=[
                np.union1d(words, _NEW_WORD) if at >= start and hit[at] else words
                for at, words in enumerate(draw.words)
            ],
        )

    return shift


def _teacher(share: float, less_sure: float) -> Shift:
    """Another teacher: it files a share of the texts under the next class, and is less sure; the student stays."""

    def shift(rng: np.random.Generator, draw: Draw, start: int) -> Draw:
        later = np.arange(len(draw.numbers)) >= start
        other = later & (rng.random(len(draw.numbers)) < share)
        numbers = np.where(other, (draw.numbers + 1) % len(pool()[0].labels), draw.numbers)
        confidence = np.where(later, np.maximum(draw.confidence - less_sure, 0.05), draw.confidence)
        return replace(draw, numbers=numbers, confidence=confidence, agrees=draw.agrees & ~other)

    return shift


def _student(points: float) -> Shift:
    """The student misses so many more of a hundred answers."""

    def shift(rng: np.random.Generator, draw: Draw, start: int) -> Draw:
        chance = points / (1 - FLOORS["disagreement"])
        missed = (np.arange(len(draw.agrees)) >= start) & (rng.random(len(draw.agrees)) < chance)
        return replace(draw, agrees=draw.agrees & ~missed)

    return shift


def _unknown(share: float) -> Shift:
    """A share of the texts fits no class: the teacher doubts them."""

    def shift(rng: np.random.Generator, draw: Draw, start: int) -> Draw:
        strange = (np.arange(len(draw.numbers)) >= start) & (rng.random(len(draw.numbers)) < share)
        return replace(draw, confidence=np.where(strange, rng.uniform(0.2, 0.5, len(strange)), draw.confidence))

    return shift


SHIFTS: Final[Mapping[str, Shift]] = {
    "prior shift of 10 points": _prior(0.10),
    "prior shift of 20 points": _prior(0.20),
    "new word in 10 % of texts": _vocabulary(0.10),
    "new word in 20 % of texts": _vocabulary(0.20),
    "teacher swap: 15 % other labels": _teacher(0.15, 0.10),
    "student 2 points worse": _student(0.02),
    "student 5 points worse": _student(0.05),
    "10 % of texts fit no class": _unknown(0.10),
}
