"""How well personal data is redacted, and at what cost.

Run `python -m benchmarks.redaction [--seed 1] [--each 400]` from the repository's root. It prints:

- on a planted set, recall and precision by kind with 95 % Wilson intervals, and the errors;
- on real text (`../shared/data`, or the folder that MILLRACE_DATA names; left out where it is absent), the texts in
  which something was found, with the first finds for a person to judge;
- the median processor time of a headline without personal data, one by one and as a batch, over interleaved rounds.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.planted_privacy import Case, cases
from deploy.trial.simulate.grammar import Writer
from deploy.trial.simulate.newswire import classes
from schemas.rules.normalise import normalise
from schemas.rules.privacy.kinds import PLACEHOLDER
from schemas.rules.privacy.redact import redact, redact_all

DATA: Final = Path(os.environ.get("MILLRACE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SETS: Final[tuple[tuple[str, str, str], ...]] = (
    ("banking77", "text", "bank queries"),
    ("twitter-financial-news-topic", "text", "tweets"),
    ("twitter-financial-news-sentiment", "text", "tweets"),
    ("sentfin-headlines", "text", "headlines"),
    ("forex-news-chatgpt", "title", "headlines without punctuation"),
    ("cfpb-llm-teachers", "text", "complaints"),
    ("reuters21578-topics", "title", "newswire titles"),
    ("reuters21578-topics", "body", "newswire bodies"),
)
HEADLINES: Final = ("bank queries", "tweets", "headlines", "newswire titles")
BATCH: Final = 5_000
ROUNDS: Final = 11
SHOWN: Final = 5


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share."""
    if not n:
        return 0.0, 1.0
    z, share = 1.96, hits / n
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def judged(case: Case) -> tuple[bool, Counter[str]]:
    """Return whether the planted value went as what it is, and the finds that were none, by kind."""
    redacted = redact(case.text)
    wrong = Counter(redacted.counts)
    found = case.kind is not None and wrong[case.kind] > 0 and normalise(case.value) not in redacted.text
    if found and case.kind:
        wrong[case.kind] -= 1
    return found, +wrong


def planted(seed: int, each: int, show: int) -> dict[str, dict[str, float]]:
    """Print and return recall and precision by kind."""
    found: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    missed: list[str] = []
    drawn = cases(seed, each)
    for case in drawn:
        right, errors = judged(case)
        wrong += errors
        if case.kind:
            asked[case.kind] += 1
            found[case.kind] += right
        if errors or (case.kind and not right):
            missed.append(f"{case.kind or 'near miss'}: {case.text!r} -> {redact(case.text).text!r}")
    print(
        f"planted set, seed {seed}: {asked.total()} texts with personal data, {len(drawn) - asked.total()} near misses"
    )
    figures = {}
    for kind in (*asked, "all"):
        n, hits, errors_n = (
            (asked.total(), found.total(), wrong.total()) if kind == "all" else (asked[kind], found[kind], wrong[kind])
        )
        low, high = wilson(hits, n)
        least, most = wilson(hits, hits + errors_n)
        precision = hits / (hits + errors_n) if hits + errors_n else 1.0
        figures[kind] = {"n": n, "recall": round(hits / n, 4), "precision": round(precision, 4)}
        print(
            f"  {kind:9s} n {n:5d}  recall {hits / n:.4f} ({low:.4f}-{high:.4f})  "
            f"precision {precision:.4f} ({least:.4f}-{most:.4f})"
        )
    for line in missed[:show]:
        print("   ", line)
    return figures


def texts_of(name: str, column: str) -> list[str]:
    """Return a column of a real set."""
    csv.field_size_limit(10_000_000)
    with gzip.open(DATA / name / "data.csv.gz", "rt", encoding="utf-8", newline="") as rows:
        return [row[column] for row in csv.DictReader(rows) if row[column]]


def real() -> dict[str, dict[str, Any]]:
    """Print and return what is found in real text."""
    figures: dict[str, dict[str, Any]] = {}
    for name, column, what in SETS:
        if not (DATA / name).is_dir():
            print(f"{name}: left out, {DATA} does not hold it")
            continue
        texts = texts_of(name, column)
        finds = [(text, one) for text, one in zip(texts, redact_all(texts), strict=True) if one.counts]
        rate = 10_000 * len(finds) / len(texts)
        kinds: Counter[str] = sum((Counter(one.counts) for _, one in finds), Counter())
        figures[f"{name}.{column}"] = {"n": len(texts), "finds_per_10000": round(rate, 2), "kinds": dict(kinds)}
        print(
            f"{name}, {column} ({what}): n {len(texts)}, texts with a find {len(finds)}, "
            f"{rate:.2f} per 10,000 {dict(kinds)}"
        )
        for text, one in finds[:SHOWN]:
            place = PLACEHOLDER.search(one.text)
            at = place.start() if place else 0
            print(f"    {normalise(text)[max(0, at - 50) : at + 50]!r} -> {one.text[max(0, at - 50) : at + 20]!r}")
    return figures


def headlines() -> dict[str, list[str]]:
    """Return batches of headlines in which nothing is found."""
    rng = random.Random(1)
    writer = Writer(rng, 1)
    kinds = classes(rng)
    batches = {
        "newswire": [writer.headline(next(kinds)) for _ in range(BATCH)],
        "a headline full of figures": ["Apple rises 3.2% to $187.50 on volume of 52,114,000 shares in 2025"] * BATCH,
    }
    for name, column, what in SETS:
        if what in HEADLINES and (DATA / name).is_dir():
            batches[f"{name} {what}"] = texts_of(name, column)[:BATCH]
    return {name: [text for text in texts if not redact(text).counts] for name, texts in batches.items()}


def timed(run: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """Return the processor's microseconds per text: other programs of a shared machine count little."""
    began = time.process_time()
    run(texts)
    return (time.process_time() - began) / len(texts) * 1e6


def costs(rounds: int) -> dict[str, dict[str, float]]:
    """Print and return the median cost of a headline, one by one and in batches of up to 5,000."""
    ways: dict[str, Callable[[Sequence[str]], object]] = {
        "one by one": lambda texts: [redact(text) for text in texts],
        "batch": redact_all,
    }
    print(
        f"processor microseconds per headline without personal data: median of {rounds} interleaved rounds (least-most)"
    )
    figures: dict[str, dict[str, float]] = {}
    for name, texts in headlines().items():
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                taken[way].append(timed(run, texts))
        medians = {way: statistics.median(times) for way, times in taken.items()}
        figures[name] = {way.replace(" ", "_"): round(median, 2) for way, median in medians.items()}
        shown = ", ".join(
            f"{way} {medians[way]:.2f} ({min(times):.2f}-{max(times):.2f})" for way, times in taken.items()
        )
        length = sum(map(len, texts)) / len(texts)
        print(
            f"  {name}: n {len(texts)} of {length:.0f} characters: {shown}, "
            f"ratio {medians['one by one'] / medians['batch']:.1f}"
        )
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--each", type=int, default=400, help="texts of each kind")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--show", type=int, default=10, help="errors on the planted set to print")
    given = options.parse_args()
    figures = {
        "planted": planted(given.seed, given.each, given.show),
        "real": real(),
        "microseconds": costs(given.rounds),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
