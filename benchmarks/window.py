"""`python -m benchmarks.window`: what the window takes in, what its triggers cost, how long a snapshot takes.

- Rows a second: batches of 5,000 labels with soft labels over 20 classes into the store's file, each batch with the
  partition's offset in its transaction. All rows over all seconds; in brackets the slowest and the fastest batch.
  `with decoding` is the whole stage, from the Avro bytes of `labels`.
- Triggers: one label at which the count is due, and a tick, at 10^4 and 10^7 rows in the window. The rows are of one
  class, so that the request is refused each time; one that is made reads the window, once.
- Snapshot: a window of 35,000 labels, of which at least 25,000 are chosen, checked for leaks, hashed and written.

Texts are real headlines where they are there. Brackets hold the least and the most of the rounds. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import duckdb

from benchmarks.figures import Spread, paired, spread
from benchmarks.real_text import real_texts
from deploy.edge.process.settings import Settings
from schemas.codec import encode
from schemas.records import LabelRecord, Origin, Provenance, Split
from schemas.rules.splits import split_of
from schemas.topics import LABELS, Topic
from schemas.workload import Workload
from streams.core.stage import Message, Reader
from streams.window import snapshot
from streams.window.columns import Labelled
from streams.window.selection import select, training_limits
from streams.window.stage import WindowStage
from streams.window.store import Store

BATCH: Final = 5_000
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES: Final = 20
SMALL, LARGE = 10_000, 10_000_000
SNAPSHOT: Final = 25_000
_OFFERED: Final = 35_000  # labels: what the caps leave of them is at least SNAPSHOT
_NAME: Final = "bench"
_TOPIC: Final = "id"

_FILL: Final = """
INSERT INTO rows BY NAME
SELECT 0 AS partition, n AS label_offset, 'bench' AS workload, 'r' || n AS record_id, 'r' || n AS cluster_id,
    n::UHUGEINT AS text_key, 'text ' || n AS text, 'class 0' AS label, false AS vote, 'TRAIN' AS split, '' AS client,
    '' AS source, NULL AS class_probabilities, 1.0 AS propensity, 'TEACHER' AS provenance, NULL AS teacher_model,
    NULL AS prompt_sha256, TIMESTAMP '2026-01-01' AS event_time
FROM range($rows) numbers(n)
"""


class Log:
    """A reader of topics that hold nothing but an offset."""

    def __init__(self, committed: int) -> None:
        self._committed = committed

    def read(self, *_: object) -> Iterator[Message]:
        return iter(())

    def topic_id(self, _: Topic) -> str:
        return _TOPIC

    def committed(self, topic: Topic, _: int) -> int:
        return self._committed if topic is LABELS else 0


def texts(count: int, seed: int) -> list[str]:
    """Return so many texts: real headlines, with another subject in front once they are used up."""
    real = real_texts("twitter-financial-news-topic") or [f"Company {n} reports its year" for n in range(10_000)]
    draw = random.Random(seed)
    names = (f"{draw.choice('BCDFGHKLMNPRST')}{draw.randrange(10**6)}" for _ in itertools.count())
    return [
        f"{next(names)} {next(names)} {next(names)}: {real[at % len(real)]}" if at >= len(real) else real[at]
        for at in range(count)
    ]


def workload(rows: int = 3_000, quota: int = 1_000, count: int = 10**9) -> Workload:
    return Workload.model_validate(
        {
            "name": _NAME,
            "labels": [f"class {n}" for n in range(CLASSES)],
            "teacher": {"may_train": True},
            "window": {"rows": rows, "quota": quota},
            "triggers": {"count": count, "cooldown_hours": 1.0},
        }
    )


def labels(of: Workload, count: int, seed: int) -> Iterator[LabelRecord]:
    """Yield labels with class probabilities, a minute apart."""
    draw = random.Random(seed)
    soft = dict.fromkeys(of.labels, 1 / CLASSES)
    for at, text in enumerate(texts(count, seed)):
        said = of.labels[min(int(draw.expovariate(0.3)), CLASSES - 1)]
        yield LabelRecord(
            record_id=f"{seed}-{at:08d}",
            workload=of.name,
            origin=Origin(topic="curated", partition=0, offset=at),
            event_time=START + timedelta(minutes=at),
            text=text,
            cluster_id=f"{seed}-{at:08d}",
            label=said,
            class_probabilities=soft,
            provenance=Provenance.TEACHER,
            teacher_model="teacher",
            split=split_of(of.name, f"{seed}-{at:08d}", of.splits),
        )


def taken_in(folder: Path, batches: int) -> tuple[Spread, Spread]:
    """Return rows per second into the store, and the same with decoding."""
    of = workload()
    records = list(labels(of, batches * BATCH, 1))
    values = [encode(record) for record in records]
    stage, store = started(folder, of), Store(folder / "store" / "window.duckdb")
    alone, whole = [], []
    for begin in range(0, len(values), BATCH):
        batch = range(begin, begin + BATCH)
        items = [Labelled(0, at, records[at]) for at in batch]
        messages = [message(at, values[at]) for at in batch]
        alone.append(seconds(store.write, items, _TOPIC))
        whole.append(seconds(lambda messages=messages: asyncio.run(stage.process(messages))))
    asyncio.run(stage.close())
    store.close()
    return rate(alone[1:]), rate(whole[1:])  # the first batch meets what is imported late


def triggers(folder: Path, rounds: int) -> tuple[dict[int, Spread], Spread]:
    """Return the milliseconds of a due label and a tick by rows in the window, and the ratio of most to fewest."""
    of = workload(count=1)
    stages, took = {}, {}
    for rows in (SMALL, LARGE):
        filled(folder / str(rows), rows)
        stages[rows] = started(folder / str(rows), of, rows)
        due(stages[rows], of, rows)  # the first look counts the rows
        took[rows] = list[float]()
    for at in range(1, rounds + 1):
        for rows, stage in stages.items():
            took[rows].append(1e3 * due(stage, of, rows + at))
    for stage in stages.values():
        asyncio.run(stage.close())
    return {rows: spread(values) for rows, values in took.items()}, paired(took[LARGE], took[SMALL])


def due(stage: WindowStage, of: Workload, at: int) -> float:
    """Return the seconds that a label at which the trigger is due takes, with a tick."""
    record = LabelRecord(
        record_id=f"due-{at}",
        workload=of.name,
        origin=Origin(topic="curated", partition=0, offset=at),
        event_time=START,
        text=f"due {at}",
        cluster_id=f"due-{at}",
        label="class 0",
        split=Split.TRAIN,
    )
    messages = [message(at, encode(record))]

    async def play() -> float:
        begun = time.perf_counter()
        settlement = await stage.process(messages)
        settlement.committed()
        await stage.tick(START)
        return time.perf_counter() - begun

    return asyncio.run(play())


def snapshots(folder: Path, rounds: int) -> tuple[Spread, int]:
    """Return the seconds of a snapshot, and how many rows it holds."""
    store = Store(folder / "window.duckdb")
    of = workload(_OFFERED, _OFFERED)
    store.write([Labelled(0, at, record) for at, record in enumerate(labels(of, _OFFERED, 2))], _TOPIC)

    def take(epoch: int) -> snapshot.WrittenSnapshot:
        rows = select(store, of, 0, _OFFERED, training_limits(store, of, 0, _OFFERED))
        return snapshot.write(folder / "snapshots", of, rows, epoch=epoch, partition=0, below=_OFFERED)

    held = take(0).manifest.rows
    took = [seconds(take, epoch) for epoch in range(1, rounds + 1)]
    store.close()
    return spread(took), held


def started(folder: Path, of: Workload, committed: int = 0) -> WindowStage:
    stage = WindowStage(Settings(state_dir=folder, artefacts_dir=folder / "artefacts"), {of.name: of})
    stage.assign(0, cast("Reader", Log(committed)))
    return stage


def filled(folder: Path, rows: int) -> None:
    """Fill a worker's store with so many rows."""
    file = folder / "window" / "window.duckdb"
    Store(file).close()
    with duckdb.connect(str(file)) as connection:
        connection.execute(_FILL, {"rows": rows})
        connection.execute("INSERT INTO positions VALUES (0, ?, ?)", [_TOPIC, rows])


def message(offset: int, value: bytes) -> Message:
    return Message(LABELS, 0, offset, _NAME.encode(), value, (), START)


def rate(took: list[float]) -> Spread:
    """Return rows per second from the seconds of batches."""
    return Spread(BATCH * len(took) / sum(took), BATCH / max(took), BATCH / min(took), len(took))


def seconds(work: Callable[..., object], *arguments: Any) -> float:
    begun = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=31, help="of 5,000 labels that are taken in")
    parser.add_argument("--rounds", type=int, default=10, help="of snapshots; of the triggers ten times as many")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        alone, whole = taken_in(Path(folder) / "in", arguments.batches)
        print(f"rows per second, n = {alone.n} batches: {alone.text()}; with decoding {whole.text()}", flush=True)
        cost, ratio = triggers(Path(folder) / "triggers", 10 * arguments.rounds)
        shown = "; ".join(f"{rows:,} rows {found.text('.1f')} ms" for rows, found in cost.items())
        print(f"a due label and a tick, n = {ratio.n}: {shown}; ratio {ratio.text('.2f')}", flush=True)
        took, held = snapshots(Path(folder) / "snapshots", arguments.rounds)
        print(f"a snapshot of {held:,} rows, n = {took.n}: {took.text('.2f')} s")
    if held < SNAPSHOT:
        raise SystemExit(f"the snapshot holds {held:,} rows, fewer than {SNAPSHOT:,}")
    print(
        json.dumps(
            {
                "rows_per_second": alone.median,
                "trigger_ratio_1e7_to_1e4": ratio.median,
                "snapshot_25k_seconds": took.median,
                "snapshot_rows": held,
                "spread": {
                    "rows_per_second": asdict(alone),
                    "with_decoding": asdict(whole),
                    "trigger_ratio": asdict(ratio),
                    "snapshot_seconds": asdict(took),
                },
            }
        )
    )


if __name__ == "__main__":
    main()
