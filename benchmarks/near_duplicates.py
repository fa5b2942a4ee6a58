"""Prints how well near duplicates are found, what the step costs at a full horizon, and what a member takes.

Run `python -m benchmarks.near_duplicates` from the repository's root; about three minutes on one core. Planted: the
simulator's newswire with its ledger, several seeds. Real: Reuters headlines of 1987, many of them sent more than once,
from `../shared/data` or the folder in MILLRACE_DATA; without it that part is left out. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import csv
import gzip
import os
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from math import sqrt
from pathlib import Path
from statistics import median
from typing import Any

import click
import orjson

from deploy.trial.simulate.grammar import Writer
from deploy.trial.simulate.newswire import classes
from deploy.trial.simulate.traffic import TrafficPlan, traffic
from schemas.records import DiscardReason
from schemas.rules.normalise import normalise
from schemas.rules.privacy.redact import redact
from schemas.workload import Workload
from streams.curate.duplicates import Duplicate, DuplicateIndex, Kept, Overlay, Recalled
from streams.curate.duplicates.grams import grams_of
from streams.curate.duplicates.sketches import band_keys, minima_per_band

SIMILARITY = 0.7
BATCH = 5_000


def wilson(hits: int, n: int) -> dict[str, float]:
    """Return a share with its 95 % Wilson interval."""
    z, share = 1.959964, hits / n
    centre, half = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return {
        "n": n,
        "value": share,
        "low": (centre - half) / (1 + z * z / n),
        "high": min(1.0, (centre + half) / (1 + z * z / n)),
    }


def show(name: str, found: dict[str, float]) -> None:
    print(f"  {name:34} {found['value']:8.3%}  ({found['low']:.3%}-{found['high']:.3%})  n = {found['n']:.0f}")


def put(index: DuplicateIndex, records: Sequence[tuple[str, str]]) -> list[Duplicate | None]:
    """Put ids and texts through an index, in batches."""
    answers: list[Duplicate | None] = []
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        overlay = index.overlay((text.casefold(), text) for _, text in batch)
        answers += answered(overlay, batch)
        overlay.merge()
    return answers


def answered(overlay: Overlay, batch: Sequence[tuple[str, str]]) -> list[Duplicate | None]:
    answers = []
    for record_id, text in batch:
        key = text.casefold()
        found = overlay.find(record_id, key, None)
        if found is None:
            overlay.add(record_id, key, None)
        answers.append(found)
    return answers


def rewording(one: str, other: str) -> str:
    """Name what an outlet changed."""
    before, after = one.split(), other.split()
    if " ".join(before).endswith(" ".join(after[1:])) or " ".join(after).endswith(" ".join(before[1:])):
        return "another prefix"
    if len(after) < len(before) and [word.rstrip(",;-") for word in before[: len(after)]] == after:
        return "cut short"
    if len(after) == len(before) + 1 and any(after[:i] + after[i + 1 :] == before for i in range(len(after))):
        return "a word inserted"
    if len(after) == len(before) and sum(x != y for x, y in zip(before, after, strict=True)) == 1:
        return "a word replaced"
    return "several changes"


def planted(seeds: int, records: int) -> dict[str, Any]:
    """Print recall by rewording, and precision, over several draws of the newswire."""
    workload = Workload.parse(Path("workloads/newswire.toml").read_bytes())
    right: Counter[str] = Counter()
    due: Counter[str] = Counter()
    true = said = 0
    for seed in range(seeds):
        entries = [one.entry for one in traffic(TrafficPlan(seed=seed, records=records), workload) if one.truth]
        texts = {entry.id: normalise(redact(entry.text or "").text) for entry in entries}
        origin = {entry.id: entry.of or entry.id for entry in entries}
        found = put(DuplicateIndex(SIMILARITY, 200_000), list(texts.items()))
        for entry, answer in zip(entries, found, strict=True):
            hit = answer is not None and origin[answer.record_id] == origin[entry.id]
            if entry.kind == "near_duplicate":
                kind = rewording(texts[entry.of or ""], texts[entry.id])
                due[kind] += 1
                right[kind] += hit
            if answer is not None and answer.reason == DiscardReason.NEAR_DUPLICATE:
                said += 1
                true += hit
    print(f"planted newswire, {seeds} seeds of {records} records, similarity {SIMILARITY}")
    for kind, n in due.most_common():
        show(f"recall, {kind}", wilson(right[kind], n))
    recall, precision = wilson(right.total(), due.total()), wilson(true, said)
    show("recall", recall)
    show("precision", precision)
    return {"recall": recall, "precision": precision}


def reuters() -> list[str] | None:
    """Return the headlines, in the order in which they were sent; None where the data is not there."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    file = Path(os.environ.get("MILLRACE_DATA", beside)) / "reuters21578-topics" / "data.csv.gz"
    if not file.exists():
        return None
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: row["timestamp"])
    return [normalise(row["title"]) for row in rows if row["title"].strip()]


def syndicated(headlines: Sequence[str], shown: int) -> dict[str, Any]:
    """Print what is found in real headlines, held against the exact comparison of all pairs."""
    records = [(str(n), text) for n, text in enumerate(headlines)]
    found = put(DuplicateIndex(SIMILARITY, 200_000), records)
    members = [n for n, one in enumerate(found) if one is None]
    exact = every_pair(headlines, set(members))
    near = {n: int(one.record_id) for n, one in enumerate(found) if one and one.reason == DiscardReason.NEAR_DUPLICATE}
    same = sum(one is not None and one.reason == DiscardReason.DUPLICATE_TEXT for one in found)
    recall = wilson(len(near.keys() & exact.keys()), len(exact))
    print(f"Reuters headlines: {len(headlines)}, of them {same} exact duplicates and {len(near)} near duplicates")
    show("recall against all pairs", recall)
    other = sum(re.findall(r"\d+", headlines[n]) != re.findall(r"\d+", headlines[m]) for n, m in near.items())
    print(f"  found that all pairs do not show: {len(near.keys() - exact.keys())}")
    print(f"  pairs whose numbers differ (most are another story): {other} of {len(near)}; some pairs:")
    both = sorted(near.keys() & exact.keys())
    for n in random.Random(3).sample(both, min(shown, len(both))):
        print(f"    {exact[n]:.2f}  {headlines[near[n]]}\n          {headlines[n]}")
    return {
        "headlines": len(headlines),
        "exact": same,
        "near": len(near),
        "other_numbers": other,
        "recall_of_all_pairs": recall,
    }


def every_pair(texts: Sequence[str], members: set[int]) -> dict[int, float]:
    """Return which texts are near an earlier member but no exact copy of one: plain sets, no sketch, no hash."""
    holding: dict[str, list[int]] = defaultdict(list)
    sizes: dict[int, int] = {}
    near, seen = {}, set()
    for n, text in enumerate(texts):
        words = re.findall(r"\w+", text.casefold())
        grams = set(words) | {f"{one} {two}" for one, two in pairwise(words)}
        common = Counter(member for gram in grams for member in holding.get(gram, ()))
        best = max((c / (len(grams) + sizes[m] - c) for m, c in common.items()), default=0.0)
        if best >= SIMILARITY and text.casefold() not in seen:
            near[n] = best
        if n in members:
            seen.add(text.casefold())
            sizes[n] = len(grams)
            for gram in grams:
                holding[gram].append(n)
    return near


def written(seed: int) -> Iterator[str]:
    """Yield headlines of the newswire, each once."""
    rng, seen = random.Random(seed), set()
    writer, labels = Writer(rng, 1), classes(rng)
    while True:
        text = writer.headline(next(labels))
        if text not in seen:
            seen.add(text)
            yield text


def spliced(headlines: Sequence[str], seed: int) -> Iterator[str]:
    """Yield headlines made of two real ones: as many families of like texts as a wire of the same form has."""
    rng, seen = random.Random(seed), set()
    while True:
        one, other = rng.choice(headlines).split(), rng.choice(headlines).split()
        text = " ".join(one[: max(1, len(one) // 2)] + other[len(other) // 2 :])
        if text not in seen:
            seen.add(text)
            yield text


def cost(name: str, texts: Iterator[str], members: int, batches: int) -> dict[str, Any]:
    """Print microseconds per record by step at a full horizon, and bytes per member."""
    before, index, sent = resident(), DuplicateIndex(SIMILARITY, members), 0
    while sent < 2 * members + BATCH:  # ids are remembered twice as long as texts
        batch = [(f"{sent + n:032x}", text) for n, text in enumerate(islice(texts, BATCH))]
        put(index, batch)
        sent += len(batch)
    size = (resident() - before) / len(index)
    steps: dict[str, list[float]] = defaultdict(list)
    for start in range(batches):
        batch = [(f"{sent + start * BATCH + n:032x}", text) for n, text in enumerate(islice(texts, BATCH))]
        for step, seconds in timed(index, batch):
            steps[step].append(seconds / BATCH * 1e6)
    costs = {step: median(values) for step, values in steps.items()}
    whole = costs["look up"] + costs["answer"] + costs["merge"]
    print(f"{name}: {members} members, batches of {BATCH}, CPU microseconds per record (median of {batches})")
    print("  " + ", ".join(f"{step} {value:.1f}" for step, value in costs.items()) + f"; whole step {whole:.1f}")
    print(f"  {size:.0f} bytes per member, resident")
    return {"microseconds": costs | {"whole": whole}, "bytes_a_member": size, "rebuild_microseconds": rebuilt(texts)}


def timed(index: DuplicateIndex, batch: Sequence[tuple[str, str]]) -> Iterator[tuple[str, float]]:
    """Yield the CPU seconds of each step; `grams` and `minhash` are parts of `look up`, taken apart once more."""
    texts = [text for _, text in batch]
    seconds, grams = clocked(lambda: grams_of(texts))
    yield "grams", seconds
    yield "minhash", clocked(lambda: band_keys(grams, minima_per_band(SIMILARITY)))[0]
    seconds, overlay = clocked(lambda: index.overlay((text.casefold(), text) for text in texts))
    yield "look up", seconds
    yield "answer", clocked(lambda: answered(overlay, batch))[0]
    yield "merge", clocked(overlay.merge)[0]


def rebuilt(texts: Iterator[str]) -> float:
    """Print what a record costs when an index is rebuilt, decoding left aside."""
    kept = [
        Kept(f"{n:032x}", f"{n:032x}", text.casefold(), text, None, vote=False)
        for n, text in enumerate(islice(texts, 20_000))
    ]

    def rebuild() -> DuplicateIndex:
        recalled = Recalled(200_000)
        for record in kept:
            recalled.take(record)
        return DuplicateIndex(SIMILARITY, 200_000, recalled)

    value = clocked(rebuild)[0] / len(kept) * 1e6
    print(f"  rebuild: {value:.1f} CPU microseconds per record")
    return value


def clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@click.command()
@click.option("--seeds", default=10, show_default=True)
@click.option("--records", default=6_000, show_default=True, help="Records of each planted draw.")
@click.option("--members", default=200_000, show_default=True, help="Horizon at which the cost is taken.")
@click.option("--batches", default=9, show_default=True)
def main(seeds: int, records: int, members: int, batches: int) -> None:
    """Measure and print."""
    figures = {"planted": planted(seeds, records)}
    headlines = reuters()
    if headlines is None:
        print("no Reuters headlines beside the repository: that part is left out")
    else:
        figures["reuters"] = syndicated(headlines, 12)
        figures["cost_reuters_spliced"] = cost("spliced Reuters headlines", spliced(headlines, 5), members, batches)
    figures["cost_newswire"] = cost("newswire headlines", written(5), members, batches)
    print(orjson.dumps(figures).decode())


if __name__ == "__main__":
    main()
