"""Prints the resident memory of the curate stage over millions of records: flat once the horizon is full.

Run `python -m benchmarks.memory` from the repository's root; some ten minutes on one core for 2 million records. The
stage runs in this process on messages made as they are needed: no broker, no client, nothing else that could grow.
Ids are remembered for twice the horizon; samples count from three times on, when every place was given away once.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import mean

import click
import orjson

from deploy.edge.process.settings import Settings
from schemas.codec import encode
from schemas.records import TrafficRecord
from schemas.rules.partition import partition_of
from schemas.sections.intake import Duplicates
from schemas.topics import CURATED, PARTITIONS, TRAFFIC
from schemas.workload import Workload
from streams.core.stage import Message
from streams.curate.stage import BATCH_RECORDS, CurateStage

NAME = "memory"
PARTITION = partition_of(NAME, PARTITIONS)
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
WORDS = tuple(f"{start}{end}" for start in ("ban", "pro", "mar", "div", "oil", "tra") for end in range(700))


def messages(count: int, seed: int) -> Iterator[Message]:
    """Yield traffic of 12 words per text: one in ten texts is a repetition, one in twenty was reworded."""
    rng, text = random.Random(seed), "first text"
    for offset in range(count):
        kind = rng.random()
        if kind >= 0.15:
            text = " ".join(rng.choices(WORDS, k=12))
        sent = f"{text} again" if kind < 0.05 else text
        record = TrafficRecord(workload=NAME, event_time=NOW, text=sent, answer=rng.choice(("up", "down")))
        yield Message(TRAFFIC, PARTITION, offset, NAME.encode(), encode(record), (), NOW)


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def samples(records: int, horizon: int, every: int) -> list[tuple[int, int, int]]:
    """Return records put through, members curated so far and bytes resident, again and again."""
    duplicates = Duplicates(horizon=horizon)
    stage = CurateStage(Settings(), {NAME: Workload(name=NAME, labels=["up", "down"], duplicates=duplicates)})
    source, taken, curated = messages(records, 1), [(0, 0, resident())], 0
    done = 0
    while batch := list(islice(source, BATCH_RECORDS)):
        settlement = await stage.process(batch)
        settlement.committed()
        curated += sum(output.topic == CURATED for output in settlement.outputs)
        done += len(batch)
        del settlement, batch
        if done % every < BATCH_RECORDS:
            taken.append((done, curated, resident()))
            print(f"  {done:9} records  {curated:9} curated  {taken[-1][2] / 2**20:7.1f} MiB", flush=True)
    return taken


def spread(taken: Sequence[tuple[int, int, int]], horizon: int) -> dict[str, float]:
    """Return how far the samples with a full horizon, each place of it given away once, lie from their mean."""
    full = [size for _, curated, size in taken if curated >= 3 * horizon]
    if len(full) < 2:
        raise click.UsageError(f"too few records for a horizon of {horizon}: give more than {4 * horizon}")
    centre = mean(full)
    return {
        "samples": len(full),
        "mean_mib": centre / 2**20,
        "lowest": min(full) / centre - 1,
        "highest": max(full) / centre - 1,
        "last_to_first": full[-1] / full[0] - 1,
    }


@click.command()
@click.option("--records", default=2_000_000, show_default=True)
@click.option("--horizon", default=200_000, show_default=True)
@click.option("--every", default=50_000, show_default=True, help="Records between two samples.")
def main(records: int, horizon: int, every: int) -> None:
    """Measure and print."""
    taken = asyncio.run(samples(records, horizon, every))
    found = spread(taken, horizon)
    print(
        f"horizon {horizon} full: {found['mean_mib']:.1f} MiB on average over {found['samples']:.0f} samples, "
        f"from {found['lowest']:+.1%} to {found['highest']:+.1%} (promised: within 5 %)"
    )
    print(orjson.dumps({"records": records, "horizon": horizon, "start_mib": taken[0][2] / 2**20} | found).decode())


if __name__ == "__main__":
    main()
