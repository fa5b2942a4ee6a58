"""The window made again from `labels` alone, and however batches, kills and prunings fell: one snapshot digest."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.records import LabelKind, LabelRecord, Origin
from streams.window import snapshot
from streams.window.columns import Labelled
from streams.window.selection import select, training_limits
from streams.window.store import Store
from tests.streams.doubles import PARTITION, START, label, workload

LABELS = ("earnings", "mergers", "other")
COUNT: Final = 900
BELOW: Final = 850  # of the snapshot: what comes behind it must change nothing
NEWS = workload(LABELS, window={"rows": 120, "quota": 50, "source_rows": 20, "age_days": 20})


def labels() -> list[LabelRecord]:
    """Return 40 days with votes, second labels, corrections, near duplicates, labels gone from the set and erasures."""
    draw = random.Random(3)
    records: list[LabelRecord] = []
    for number in range(COUNT):
        fields: dict[str, Any] = {"event_time": START + timedelta(hours=number), "source": draw.choice("ab")}
        if number > 100 and draw.random() < 0.1:
            old = records[number - draw.randrange(50, 100)]
            record = label(0, "", record_id=old.record_id, cluster_id=old.cluster_id, text="", kind=LabelKind.ERASURE)
        elif number > 50 and draw.random() < 0.2:
            place = number - draw.randrange(1, 50)
            record = correction(records[place], place, draw.choice(LABELS))
        elif number > 10 and draw.random() < 0.2:
            old = records[number - draw.randrange(1, 10)]
            text, kind = f"{old.text} today", draw.choice([LabelKind.VOTE, LabelKind.LABEL])
            record = label(number, draw.choice(LABELS), cluster_id=old.cluster_id, text=text, kind=kind, **fields)
        elif number > 10 and draw.random() < 0.1:
            record = label(number - draw.randrange(1, 10), draw.choice(LABELS), **fields)
        else:
            text = f"{draw.randrange(300)} Company {number // 3} reports {draw.choice(['gains', 'losses'])} of a year"
            record = label(number, draw.choice([*LABELS, "gone"]), text=text, **fields)
        records.append(record)
    return records


def correction(of: LabelRecord, place: int, said: str) -> LabelRecord:
    """Return another label for what is at a place: a vote, an evaluation row, something erased or corrected too."""
    origin = Origin(topic="labels", partition=PARTITION, offset=2 * place)
    return replace(of, kind=LabelKind.CORRECTION, label=said, text="", origin=origin)


ITEMS: Final = [Labelled(PARTITION, 2 * at, record) for at, record in enumerate(labels())]  # markers leave gaps


def digest(store: Store, folder: Path, below: int = 2 * BELOW) -> str:
    rows = select(store, NEWS, PARTITION, below, training_limits(store, NEWS, PARTITION, below))
    assert 100 < len(rows) < 300
    return snapshot.write(folder, NEWS, rows, epoch=1, partition=PARTITION, below=below).manifest.digest()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a store that got exactly what is below the snapshot's offset, at once."""
    folder = tmp_path_factory.mktemp("at-once")
    store = Store(folder / "window.duckdb")
    store.write(ITEMS[:BELOW], "topic")
    found = digest(store, folder)
    store.close()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_digest__however_batches_kills_and_prunings_fell(tmp_path: Path, expected: str, seed: int) -> None:
    """Random batches, batches that come again after a kill, erasures and prunings between: the digest is the same."""
    draw = random.Random(seed)
    store, settled, at = Store(tmp_path / "window.duckdb"), 0, 0
    while at < len(ITEMS):
        at = min(at + draw.randrange(1, 250), len(ITEMS))
        store.write(ITEMS[settled:at], "topic")
        if draw.random() < 0.3:  # a kill before Kafka's commit: what is not settled is cut and comes again
            store.close()
            store = Store(tmp_path / "window.duckdb")
            store.cut(PARTITION, 2 * settled)
            at = settled
            continue
        settled = min(at, BELOW)  # so that the snapshot's offset is never behind what is settled
        if draw.random() < 0.5:
            store.erase(PARTITION, 2 * settled)
            store.prune(PARTITION, NEWS, 2 * settled)
    found = digest(store, tmp_path)
    store.close()

    assert found == expected


def test_digest__of_a_file_made_again(tmp_path: Path, expected: str) -> None:
    """A worker that lost its disk, or got other tables, reads `labels` from the start and has the same window."""
    file = tmp_path / "window.duckdb"
    store = Store(file)
    store.write(ITEMS[: BELOW // 2], "topic")
    store.close()
    file.unlink()
    again = Store(file)
    again.write(ITEMS, "topic")
    found = digest(again, tmp_path)
    again.close()

    assert found == expected


@pytest.mark.parametrize("kind", [LabelKind.ERASURE, LabelKind.CORRECTION])
def test_digest__tells_an_erasure_and_a_correction(tmp_path: Path, expected: str, kind: LabelKind) -> None:
    """The same labels without some of these are another snapshot: the digests above do not agree for nothing."""
    store = Store(tmp_path / "window.duckdb")
    some = [item for item in ITEMS[:BELOW] if item.record.kind is kind]
    store.write([item for item in ITEMS[:BELOW] if item not in some[-20:]], "topic")
    found = digest(store, tmp_path)
    store.close()

    assert found != expected
