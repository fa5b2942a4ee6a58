"""Replays the Reuters newswire of 1987 in time order, with planted shifts: triggers against every N labels.

Every row is asked of the student before its label is learnt, and then labelled and audited. A student is a linear
support vector machine on word 1-2 grams of the last 2,500 rows, a window that is full when the replay begins; it is
ready at once. Two shifts are planted, at places that hang on the seed: the teacher begins to file reports of dividends
under a class of their own, and half of the texts begin to come from a desk with other words (each word reversed). What
really changed in 1987 is left as it was. The settings were chosen on seeds 100 to 103, the figures are of other seeds.
"""

from __future__ import annotations

import csv
import gzip
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.svm import LinearSVC

from benchmarks.real_text import FOLDER
from schemas.records import LabelRecord, Origin
from schemas.rules.statistics.intervals import ClusterBootstrap, interval
from schemas.workload import Workload
from streams.triggers import cost, policy
from streams.triggers.policy import Standing
from streams.window.standing import with_label

WINDOW: Final = 2_500  # rows a student learns from
FIRST: Final = WINDOW  # rows before the first student
EVERY: Final = (250, 350, 500, 750, 1_000, 1_500, 2_000)
LEAST_ROWS: Final = 30  # evaluated rows of a class, below which it is not in the macro-F1
_BLOCK: Final = 50  # consecutive rows are drawn together
_DRAWS: Final = 1_000
_HELD_OUT: Final = 500  # the newest rows before the first student, on which a user's gate would have judged one
# What a user would write, with the floors and prices of the workload file's template.
_TRIGGERS: Final = {
    "count": 3_000,
    "label_mix": 0.2,
    "input_drift": 0.05,
    "cost": {"run": 5.0, "answer": 0.001, "requests_per_day": 10_000, "days": 30},
}
_MORE: Final = 0.03  # the student may miss so much more than it missed at its gate
DIVIDEND: Final = "dividend"


@dataclass(frozen=True)
class Row:
    """One story."""

    time: datetime
    text: str
    label: str


@dataclass(frozen=True)
class Played:
    """What one policy came to on one replay."""

    predicted: NDArray[np.int64]  # (rows - FIRST,)
    asked_by: Counter[str]

    @property
    def retrains(self) -> int:
        """Return the retrains after the first student."""
        return self.asked_by.total()


def stories() -> list[Row]:
    """Return the stories in time order; none where the data is absent."""
    file = FOLDER / "reuters21578-topics" / "data.csv.gz"
    if not file.exists():
        return []
    with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
        return [
            Row(
                datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC),
                f"{row['title']} {row['body'][:300]}",
                row["label"],
            )
            for row in csv.DictReader(opened)
        ]


def planted(rows: list[Row], seed: int) -> list[Row]:
    """Return the rows with both shifts in them."""
    chance = random.Random(seed)
    swap, words = chance.randint(3_000, 4_000), chance.randint(5_000, 6_000)
    found = []
    for at, row in enumerate(rows):
        one = row
        if at >= swap and one.label == "earn" and re.search(r"\bdiv|payout", one.text, re.IGNORECASE):
            one = replace(one, label=DIVIDEND)
        if at >= words and chance.random() < 0.5:
            one = replace(one, text=" ".join(word[::-1] for word in one.text.split()))
        found.append(one)
    return found


class Students:
    """Fits students on stretches of one replay; one that was fitted is kept, for several policies may want it."""

    def __init__(self, rows: list[Row], labels: list[str], seed: int) -> None:
        self._features: Any = HashingVectorizer(ngram_range=(1, 2), n_features=2**18).transform([r.text for r in rows])
        self._truth = np.array([labels.index(row.label) for row in rows])
        self._seed, self._kept = seed, dict[int, NDArray[np.int64]]()

    def answers(self, fitted_at: int) -> NDArray[np.int64]:
        """Return what a student fitted before a row says of this row and all later ones."""
        if fitted_at not in self._kept:
            rows = slice(max(0, fitted_at - WINDOW), fitted_at)
            self._kept[fitted_at] = self._fitted(rows).predict(self._features[fitted_at:])
        return self._kept[fitted_at]

    def missed_at_the_gate(self) -> float:
        """Return the share of held-out rows before the replay that a student of the rows before them misses."""
        held_out = slice(FIRST - _HELD_OUT, FIRST)
        student = self._fitted(slice(0, FIRST - _HELD_OUT))
        return 1 - float(student.score(self._features[held_out], self._truth[held_out]))

    def _fitted(self, rows: slice) -> Any:
        return LinearSVC(random_state=self._seed).fit(self._features[rows], self._truth[rows])


def by_triggers(rows: list[Row], students: Students, workload: Workload) -> Played:
    """Retrain when the worker's own triggers and policy ask for it."""
    standing, fitted_at, asked = Standing(), FIRST, Counter[str]()
    predicted = []
    for at, row in enumerate(rows):
        if at == FIRST:
            standing = Standing(epoch=1, since=row.time, watch=standing.watch.turned())
        said = workload.labels[students.answers(fitted_at)[at - fitted_at]] if at >= FIRST else None
        if said is not None:
            predicted.append(workload.labels.index(said))
        before, record = standing, _record(at, row, said, standing.epoch)
        standing = with_label(standing, record, row.time, workload)
        due = policy.looks_now(before, standing, workload, record)
        if at < FIRST or not (due or policy.looks_in_time(standing, workload.triggers)):
            continue
        fired = policy.asking(policy.verdicts(standing, workload, row.time), workload.triggers)
        if fired is None or policy.held_back(standing, row.time, workload.triggers, may_train=True):
            continue
        rows_learnt = min(at + 1, WINDOW)
        worth = cost.verdict(
            workload.triggers.cost,
            standing.watch.audits,
            limit=workload.triggers.disagreement,
            alpha=workload.triggers.alpha,
            rows=rows_learnt,
            new_labels=standing.new_labels,
        )
        if worth is not None and not worth.fired:
            continue
        asked[fired.trigger] += 1
        fitted_at = at + 1
        standing = Standing(epoch=standing.epoch + 1, since=row.time, watch=standing.watch.turned())
        if fitted_at == len(rows):
            break
    return Played(np.array(predicted), asked)


def every(n: int, rows: list[Row], students: Students) -> Played:
    """Retrain after every n labels."""
    starts = range(FIRST, len(rows), n)
    parts = [students.answers(start)[:n] for start in starts]
    return Played(np.concatenate(parts), Counter({"every": len(starts) - 1}))


def play(seed: int) -> tuple[NDArray[np.int64], dict[str, Played], list[str]]:
    """Return the truth, what each policy came to, and the label set."""
    rows = planted(stories(), seed)
    labels = sorted({row.label for row in rows})
    students = Students(rows, labels, seed)
    triggers = _TRIGGERS | {"disagreement": students.missed_at_the_gate() + _MORE}
    workload = Workload.model_validate({"name": "reuters", "labels": labels, "triggers": triggers})
    played = {f"every {n}": every(n, rows, students) for n in EVERY}
    played["ours"] = by_triggers(rows, students, workload)
    truth = np.array([labels.index(row.label) for row in rows[FIRST:]])
    return truth, played, labels


def replay(pool: Executor, seeds: int, seed: int) -> dict[str, Any]:
    """Play, print and return the figures; ours is compared with the N that retrains least while still more often."""
    if not stories():
        print("\nThe replay was left out: the Reuters data is not here (benchmarks/real_text.py says where it may be).")
        return {}
    games = list(pool.map(play, range(seed, seed + seeds)))
    figures = _Figures(games)
    names = ["ours", *(f"every {n}" for n in EVERY)]
    print(f"\nReuters 1987 with planted shifts, {seeds} replays of {len(games[0][0]):,} rows")
    print(f"{'retrain':12}{'retrains':>10}{'macro-F1':>10}{'accuracy':>10}   ours minus it, macro-F1 (95 % interval)")
    found = dict(_rows(figures, names))
    asked = sum((played["ours"].asked_by for _, played, _ in games), Counter[str]())
    print("ours was asked for by " + ", ".join(f"{name} {count}" for name, count in asked.most_common()))
    oftener = [name for name in names if found[name]["retrains"] > found["ours"]["retrains"]]
    rival = min(oftener, key=lambda name: float(found[name]["retrains"]), default=names[-1])
    return {
        "ours": found["ours"] | {"asked_by": dict(asked)},
        "every_n": found[rival] | {"n": int(rival.split()[1])},
        "all": found,
        "replays": seeds,
        "rows": len(games[0][0]),
    }


def _rows(figures: _Figures, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names:
        retrains, f1, accuracy = figures.retrains(name), figures.f1(name), figures.accuracy(name)
        shown = ""
        values = dict[str, Any](retrains=retrains, f1=f1, accuracy=accuracy)
        if name != "ours":
            gain = figures.gain("ours", name)
            values |= {"ours_minus_it": [gain.value, gain.low, gain.high]}
            shown = f"   {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
        print(f"{name:12}{retrains:10.1f}{f1:10.3f}{accuracy:10.3f}{shown}")
        yield name, values


class _Figures:
    """Macro-F1 over the rows of all replays; a block of consecutive rows is one cluster, in every replay the same."""

    def __init__(self, games: list[tuple[NDArray[np.int64], dict[str, Played], list[str]]]) -> None:
        self._games = games
        self._truth = np.concatenate([truth for truth, _, _ in games])
        counts = np.bincount(self._truth, minlength=len(games[0][2]))
        self._classes = np.flatnonzero(counts >= LEAST_ROWS * len(games))
        blocks = np.concatenate([np.arange(len(truth)) // _BLOCK for truth, _, _ in games])
        self._draws = ClusterBootstrap([str(block) for block in blocks], draws=_DRAWS, seed=13)

    def retrains(self, name: str) -> float:
        return float(np.mean([played[name].retrains for _, played, _ in self._games]))

    def accuracy(self, name: str) -> float:
        return float((self._predicted(name) == self._truth).mean())

    def f1(self, name: str) -> float:
        return float(self._macro(self._draws.totals(self._columns(name)).point[None])[0])

    def gain(self, name: str, other: str) -> Any:
        mine, theirs = (self._draws.totals(self._columns(each)) for each in (name, other))
        drawn = self._macro(mine.draws) - self._macro(theirs.draws)
        return interval(self.f1(name) - self.f1(other), drawn)

    def _predicted(self, name: str) -> NDArray[np.int64]:
        return np.concatenate([played[name].predicted for _, played, _ in self._games])

    def _columns(self, name: str) -> NDArray[np.float64]:
        """Return for each row and class: right, said, true (rows, 3 x classes)."""
        said = self._predicted(name)[:, None] == self._classes
        true = self._truth[:, None] == self._classes
        return np.concatenate([said & true, said, true], axis=1).astype(np.float64)

    def _macro(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        right, said, true = np.split(sums, 3, axis=1)
        found: NDArray[np.float64] = np.nanmean(2 * right / np.where(said + true > 0, said + true, np.nan), axis=1)
        return found


def _record(at: int, row: Row, said: str | None, epoch: int) -> LabelRecord:
    asked: Mapping[str, Any] = {} if said is None else {"student_label": said, "student_version": f"v{epoch}"}
    return LabelRecord(
        record_id=f"r{at}",
        workload="reuters",
        origin=Origin(topic="curated", partition=0, offset=at),
        event_time=row.time,
        text=row.text,
        cluster_id=f"r{at}",
        label=row.label,
        audit=True,
        **asked,
    )
