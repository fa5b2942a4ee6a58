"""Does it pay to ask the teacher again about suspect labels? `python -m benchmarks.label_noise`.

Banking77 with planted errors: a label is wrong with the rate 0, 10, 20 or 30 % on average, more often in some classes
than in others (rates spread from a third to five thirds of it), and then always says the class most like its own in a
linear model's eyes: as a teacher errs, not as a die does. A row is suspect by the rule of trainers/label_errors.py.
Suspects are asked again; the second answer repeats a first error with probability 0.5, and errs on a right label at
half its class's rate. Four students (linear) learn from: the labels as they are, without the suspects, with the
suspects asked again, and, for as many second answers, with as many rows chosen uniformly asked again. Each is scored by
macro-F1 on gold test rows that hold no planted error. Intervals: t over seeds; differences are paired by seed.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

import numpy as np
from scipy.stats import t
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

from benchmarks.real_text import real_rows
from schemas.arrays import Ints
from trainers.label_errors import out_of_fold, suspects

RATES: Final = (0.0, 0.1, 0.2, 0.3)
REPEATS: Final = 0.5
TREATMENTS: Final = ("as they are", "dropped", "asked again", "uniform again")


class Teacher:
    """Errs on each class at another rate, each time with the class most like the true one."""

    def __init__(self, gold: Ints, likest: Ints, rate: float, generator: np.random.Generator) -> None:
        rates = rate * generator.permutation(np.linspace(1 / 3, 5 / 3, len(likest)))
        self._gold, self._wrong, self._rates, self._generator = gold, likest[gold], rates[gold], generator
        self.labels: Ints = np.where(generator.random(len(gold)) < self._rates, self._wrong, gold)

    def again(self, rows: Ints) -> Ints:
        """Return the labels after rows were asked a second time."""
        labels = self.labels.copy()
        erred = self.labels[rows] != self._gold[rows]
        errs = self._generator.random(len(rows)) < np.where(erred, REPEATS, self._rates[rows] * REPEATS)
        labels[rows] = np.where(errs, self._wrong[rows], self._gold[rows])
        return labels


def seed_runs(data: str, seed: int, train: int, test: int) -> list[dict[str, Any]]:
    """Return the scores of one seed, at every rate."""
    pairs = real_rows(data)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(pairs))[: train + test]
    texts = [pairs[place][0] for place in order]
    gold = np.unique([pairs[place][1] for place in order], return_inverse=True)[1].astype(np.int64)
    features = FeatureUnion(
        [
            ("word", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32)),
            (
                "character",
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=3, dtype=np.float32),
            ),
        ]
    ).fit_transform(texts)
    known, unseen = features[:train], features[train:]
    likest = _likest(known, gold[:train])

    def score(rows: Ints, labels: Ints) -> float:
        model = LinearSVC(random_state=0).fit(known[rows], labels[rows])
        return float(f1_score(gold[train:], model.predict(unseen), average="macro"))

    found = []
    everyone = np.arange(train)
    for rate in RATES:
        teacher = Teacher(gold[:train], likest, rate, generator)
        labels = teacher.labels
        flagged = suspects(out_of_fold(known, labels, len(likest), seed), labels)
        wrong = labels != gold[:train]
        uniform = generator.choice(train, len(flagged), replace=False)
        again = teacher.again(flagged)
        found.append(
            {
                "seed": seed,
                "rate": rate,
                "suspects": len(flagged),
                "precision": float(wrong[flagged].mean()) if len(flagged) else None,
                "recall": float(np.isin(np.flatnonzero(wrong), flagged).mean()) if wrong.any() else None,
                "as they are": score(everyone, labels),
                "dropped": score(np.setdiff1d(everyone, flagged), labels),
                "asked again": score(everyone, again),
                "uniform again": score(everyone, teacher.again(uniform)),
            }
        )
    return found


def _likest(features: Any, gold: Ints) -> Ints:
    """Return for each class the other class that its rows look most like: by the cosine of their mean rows."""
    classes = int(gold.max()) + 1
    means = np.stack([np.asarray(features[gold == one].mean(axis=0)).ravel() for one in range(classes)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = means @ means.T
    np.fill_diagonal(alike, -1.0)
    return np.asarray(alike.argmax(axis=1), dtype=np.int64)


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval by t."""
    mean = float(np.mean(values))
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


def summary(runs: Sequence[Mapping[str, Any]], rate: float) -> dict[str, Any]:
    """Return the figures of one rate."""
    own = [run for run in runs if run["rate"] == rate]
    rates: dict[str, Any] = {"rate": rate, "n": len(own), "suspects": float(np.mean([run["suspects"] for run in own]))}
    for name in ("precision", "recall"):
        values = [run[name] for run in own if run[name] is not None]
        rates[name] = float(np.mean(values)) if values else None
    for name in TREATMENTS:
        rates[name] = interval([run[name] for run in own])
        rates[f"{name} - as they are"] = interval([run[name] - run["as they are"] for run in own])
    return rates


def main() -> None:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(description="Macro-F1 on gold with planted label errors, suspects asked again.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", default="banking77")
    parser.add_argument("--train", type=int, default=4_000)
    parser.add_argument("--test", type=int, default=3_000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if not real_rows(options.data):
        raise SystemExit(f"skipped: no labelled text {options.data}; set MILLRACE_DATA to its folder")
    started = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = [
            pool.submit(seed_runs, options.data, seed, options.train, options.test) for seed in range(options.seeds)
        ]
        runs = [run for each in waiting for run in each.result()]
    rates = [summary(runs, rate) for rate in RATES]
    print(f"{options.data}, {options.train} training rows, {options.seeds} seeds: macro-F1 on gold, mean (95 %)")
    print(
        f"{'errors':>7}{'suspects':>10}{'of them wrong':>15}{'errors found':>14}  "
        + "".join(f"{name:<24}" for name in TREATMENTS)
    )
    for one in rates:
        shares = ["-" if one[name] is None else f"{one[name]:.0%}" for name in ("precision", "recall")]
        scores = ["{:.3f} ({:.3f} to {:.3f})".format(*one[name]) for name in TREATMENTS]
        print(
            f"{one['rate']:>7.0%}{one['suspects']:>10.0f}{shares[0]:>15}{shares[1]:>14}  "
            + "".join(f"{score:<24}" for score in scores)
        )
    print("paired differences to the labels as they are")
    for one in rates:
        print(
            f"{one['rate']:>7.0%}  "
            + "; ".join(
                "{}: {:+.3f} ({:+.3f} to {:+.3f})".format(name, *one[f"{name} - as they are"])
                for name in TREATMENTS[1:]
            )
        )
    print(json.dumps({"benchmark": "label_noise", "seconds": round(time.monotonic() - started), "rates": rates}))


if __name__ == "__main__":
    main()
