"""Is it worth choosing what the teacher labels? `python -m benchmarks.active`.

Real labelled text passes by once, as traffic does. Three tenths are evaluation rows; of the rest each policy takes a
share, decided at once for each text: uniform, by the margin of the tier-0 model (what `select.policy = "active"` does,
with the product's own model, chances and cutoff), by a committee of four such models, or by margin with class quotas.
A student (linear, word and character n-grams) then learns from what was taken and is scored on the evaluation rows.

The figure: labels the policy needs to reach uniform's macro-F1, over uniform's labels, at each share; between two
shares the curve is read off linearly in the logarithm of the labels. Intervals: t over seeds of the logarithm.
What it does not show: a teacher's errors (the label column answers), and students of another kind than linear.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

from benchmarks.real_text import real_rows
from schemas.arrays import Floats
from schemas.records import Split
from schemas.sections.label import Select
from streams.label.selection.chance import choose, cutoff_of
from streams.label.selection.chooser import COMPARED, first_fit, next_fit
from streams.label.selection.tier0 import Tier0, features

SETS: Final = ("banking77", "twitter-financial-news-topic")
SHARES: Final = (0.08, 0.12, 0.18, 0.27, 0.4)
EVALUATED: Final = 0.3
BATCH: Final = 256
MEMBERS: Final = 4
TARGET: Final = 0.8


@dataclass(frozen=True)
class Run:
    """One policy at one share, with one seed."""

    data: str
    policy: str
    share: float
    seed: int
    labels: int
    macro_f1: float


class Stream:
    """The rows of a data set in a seed's order, with what policies and students need of them."""

    def __init__(self, data: str, seed: int, rows: int | None) -> None:
        pairs = real_rows(data)
        order = np.random.default_rng(seed).permutation(len(pairs))[:rows]
        self.texts = [pairs[place][0] for place in order]
        self.labels = np.array([pairs[place][1] for place in order])
        self.evaluated = np.random.default_rng(seed + 1_000).random(len(order)) < EVALUATED
        self.features = features(self.texts)
        self.words = FeatureUnion(
            [
                ("word", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)),
                (
                    "character",
                    TfidfVectorizer(
                        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2, dtype=np.float32
                    ),
                ),
            ]
        ).fit_transform(self.texts)

    def student(self, taken: NDArray[np.int64]) -> float:
        """Return the macro-F1 on the evaluation rows of a student that learnt from the rows taken."""
        model = LinearSVC(random_state=0).fit(self.words[taken], self.labels[taken])
        return float(f1_score(self.labels[self.evaluated], model.predict(self.words[self.evaluated]), average="macro"))


def taken(stream: Stream, policy: str, share: float, seed: int) -> NDArray[np.int64]:
    """Let the stream pass by once; return the training rows that the policy took."""
    select = Select(policy="active", train_share=share)
    found: list[int] = []
    due = first_fit(len(set(stream.labels)))
    scored: Scored | None = None
    for start in range(0, len(stream.texts), BATCH):
        batch = [row for row in range(start, min(start + BATCH, len(stream.texts))) if not stream.evaluated[row]]
        margins = None if scored is None else scored(batch, found)
        for place, row in enumerate(batch):
            margin = None if margins is None else float(margins[place])
            cutoff = None if scored is None else scored.cutoff
            if choose(select, Split.TRAIN, f"{seed}/{row}", margin, cutoff).chosen:
                found.append(row)
        if policy != "uniform" and len(found) >= due:
            due = next_fit(len(found))
            scored = Scored(stream, policy, np.array(found), start + BATCH, share, seed)
    return np.array(found)


class Scored:
    """How unsure a policy is of texts, lower: more so; with the cutoff that the share asks for."""

    def __init__(
        self, stream: Stream, policy: str, rows: NDArray[np.int64], seen: int, share: float, seed: int
    ) -> None:
        self._stream, self._policy = stream, policy
        generator = np.random.default_rng(seed)
        bags = [rows]
        if policy == "committee":
            bags = [generator.choice(rows, len(rows)) for _ in range(MEMBERS)]
        fitted = [Tier0.fit(stream.features[bag], list(stream.labels[bag])) for bag in bags]
        self._models = [
            (model, np.unique(stream.labels[bag])) for model, bag in zip(fitted, bags, strict=True) if model
        ]
        compared = np.flatnonzero(stream.evaluated[:seen])[-COMPARED:]
        self.cutoff = cutoff_of(self(compared, rows), [1.0] * len(compared), share)

    def __call__(self, rows: Any, found: Any) -> Floats:
        """Return a score for each row, given the rows taken so far."""
        seen = self._stream.features[rows]
        margins = np.mean([model.margins(seen) for model, _ in self._models], axis=0)
        if self._policy == "margin":
            return np.asarray(margins)
        votes = np.stack([classes[model.scores(seen).argmax(axis=1)] for model, classes in self._models])
        if self._policy == "committee":  # how many follow the majority; ties by the margin
            most = np.array([np.unique(column, return_counts=True)[1].max() for column in votes.T])
            return np.asarray(most + np.tanh(margins))
        counts = dict(zip(*np.unique(self._stream.labels[found], return_counts=True), strict=True))  # quotas
        return np.asarray(margins * np.sqrt([1 + counts.get(label, 0) for label in votes[0]]))


def runs_of(data: str, seed: int, policies: list[str], rows: int | None) -> list[Run]:
    """Return the runs of one seed."""
    stream = Stream(data, seed, rows)
    found = []
    for share in SHARES:
        for policy in policies:
            chosen = taken(stream, policy, share, seed)
            found.append(Run(data, policy, share, seed, len(chosen), stream.student(chosen)))
    return found


def needed(curve: list[Run], macro_f1: float) -> float:
    """Return the labels at which a curve reaches a macro-F1: its first and last labels bound the answer."""
    labels = np.log([run.labels for run in curve])
    reached = np.maximum.accumulate([run.macro_f1 for run in curve])
    return float(np.exp(np.interp(macro_f1, reached, labels)))


def ratio(runs: list[Run], data: str, policy: str, share: float) -> dict[str, Any]:
    """Return labels needed over uniform's at a share: the geometric mean over seeds with its 95 % interval."""
    logs = []
    for seed in sorted({run.seed for run in runs}):
        mine, uniform = (
            [run for run in runs if (run.data, run.policy, run.seed) == (data, name, seed)]
            for name in (policy, "uniform")
        )
        at = next(run for run in uniform if run.share == share)
        logs.append(math.log(needed(mine, at.macro_f1) / at.labels))
    half = (
        float(t.ppf(0.975, len(logs) - 1) * np.std(logs, ddof=1) / math.sqrt(len(logs))) if len(logs) > 1 else math.inf
    )
    return {
        "set": data,
        "policy": policy,
        "uniform_labels": round(
            np.mean([run.labels for run in runs if (run.data, run.policy, run.share) == (data, "uniform", share)])
        ),
        "ratio": math.exp(np.mean(logs)),
        "low": math.exp(np.mean(logs) - half),
        "high": math.exp(np.mean(logs) + half),
        "n": len(logs),
    }


def main() -> None:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(description="Labels that active choice spares, on real labelled text.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--policies", default="margin", help="of margin, committee, quota; uniform is always run")
    parser.add_argument("--rows", type=int, help="so many rows of each set only")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    policies, sets = options.policies.split(","), options.sets.split(",")
    missing = [name for name in sets if not real_rows(name)]
    if missing:
        raise SystemExit(f"skipped: no labelled text {', '.join(missing)}; set MILLRACE_DATA to its folder")
    started = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = [
            pool.submit(runs_of, data, seed, ["uniform", *policies], options.rows)
            for data in sets
            for seed in range(options.seeds)
        ]
        runs = [run for each in waiting for run in each.result()]
    print(f"{'set':<30}{'policy':<11}{'share':>6}{'labels':>8}{'macro-F1':>10}   mean of {options.seeds} seeds")
    for data in sets:
        for share in SHARES:
            for policy in ("uniform", *policies):
                own = [run for run in runs if (run.data, run.policy, run.share) == (data, policy, share)]
                labels, f1 = np.mean([run.labels for run in own]), np.mean([run.macro_f1 for run in own])
                print(f"{data:<30}{policy:<11}{share:>6.2f}{labels:>8.0f}{f1:>10.3f}")
    ratios = [
        ratio(runs, data, policy, share) for data in sets for policy in policies for share in SHARES[1:]
    ]  # uniform's lowest macro-F1 lies below the other curves' first point: there is nothing to read off
    print(f"\nlabels needed to reach uniform's macro-F1, over uniform's (target <= {TARGET})")
    for one in ratios:
        print(
            f"{one['set']:<30}{one['policy']:<11}{one['uniform_labels']:>6} labels: "
            f"{one['ratio']:.2f} ({one['low']:.2f} to {one['high']:.2f})"
        )
    print(
        json.dumps(
            {
                "benchmark": "active",
                "seeds": options.seeds,
                "seconds": round(time.monotonic() - started),
                "ratios": ratios,
                "runs": [vars(run) for run in runs],
            }
        )
    )


if __name__ == "__main__":
    main()
