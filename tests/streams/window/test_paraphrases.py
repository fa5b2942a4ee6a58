"""Paraphrases in a snapshot: of which rows, how many, and never beside an evaluation row they are like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import LabelKind, LabelRecord, Split
from schemas.workload import Workload
from streams.window import snapshot
from streams.window.columns import Labelled
from streams.window.paraphrases import PARAPHRASE, candidates, topped_up
from streams.window.rows import Row
from streams.window.selection import select, training_limits
from streams.window.store import Store
from tests.streams.doubles import PARTITION, START, label, workload

LABELS = ("earnings", "mergers", "other")


def news(paraphrases: int = 2, rows: int = 4, **window: Any) -> Workload:
    return workload(
        LABELS, augment={"paraphrases": paraphrases, "rows": rows}, window={"rows": 20, "quota": 9} | window
    )


def taught(number: int, said: str = "mergers", **fields: Any) -> LabelRecord:
    words = [f"Deal {number} in other words", f"Of deal {number}, once more"]
    values = {"split": Split.TRAIN, "text": f"Deal {number} is done", "paraphrases": words} | fields
    return label(number, said, **values)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "window.duckdb")
    yield one
    one.close()


def chosen(store: Store, records: Sequence[LabelRecord], of: Workload) -> list[Row]:
    store.drop(PARTITION)
    store.write([Labelled(PARTITION, at, record) for at, record in enumerate(records)], "topic")
    below = len(records)
    return select(store, of, PARTITION, below, training_limits(store, of, PARTITION, below))


def paraphrases(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.provenance == PARAPHRASE]


def test_snapshot__tops_a_rare_class_up(store: Store) -> None:
    """First one of each row, then a second; each is marked, and in the cluster and split of its row."""
    rows = chosen(store, [taught(1, class_probabilities={"earnings": 0.1, "mergers": 0.8, "other": 0.1})], news())
    two = chosen(store, [taught(n) for n in range(3)], news())

    assert [(row.record_id, row.text, row.provenance) for row in rows] == [
        ("record-1", "Deal 1 is done", "UNKNOWN"),
        ("record-1/1", "Deal 1 in other words", PARAPHRASE),
        ("record-1/2", "Of deal 1, once more", PARAPHRASE),
    ]
    assert {(row.cluster_id, row.split, row.label, row.event_time) for row in rows} == {
        ("record-1", "TRAIN", "mergers", rows[0].event_time)
    }
    assert [row.class_probabilities for row in rows] == [[0.1, 0.8, 0.1]] * 3
    assert len(two) == 4
    assert [row.record_id[-2:] for row in paraphrases(two)] == ["/1"]


def test_snapshot__off_takes_none(store: Store) -> None:
    """Switched off, a snapshot is as if nothing had ever been paraphrased; so is a class that has enough rows."""
    records = [taught(n) for n in range(3)]
    off, enough = chosen(store, records, news(paraphrases=0)), chosen(store, records, news(rows=3))
    never = chosen(store, [taught(n, paraphrases=[]) for n in range(3)], news())

    assert [snapshot.as_columns(row) for row in off] == [snapshot.as_columns(row) for row in never]
    assert not paraphrases(enough)


def test_snapshot__never_of_evaluation_rows_votes_or_what_is_left_out(store: Store) -> None:
    """Only training rows of the snapshot itself have paraphrases in it."""
    records = [
        *(taught(n, split=split) for n, split in enumerate(Split) if split is not Split.TRAIN),
        taught(10, cluster_id="c"), taught(11, cluster_id="c"), label(10, "", kind=LabelKind.ERASURE, text=""),
        taught(12), taught(12, "gone"),
    ]  # fmt: skip

    assert {row.record_id.split("/")[0] for row in paraphrases(chosen(store, records, news()))} == {"record-11"}


def test_snapshot__no_paraphrase_near_an_evaluation_row(store: Store) -> None:
    """The teacher's words may come near an evaluation text though the row's own do not: they stay out."""
    leaked = "Acme to take over Bolt for two hundred million in cash"
    test = label(90, "other", text=f"{leaked} today", split=Split.TEST)
    rows = chosen(store, [test, taught(1, paraphrases=[leaked, leaked.upper(), "Bolt bought"])], news())

    assert [row.text for row in paraphrases(rows)] == ["Bolt bought"]


def test_snapshot__says_so_and_is_the_same_again(store: Store, tmp_path: Path) -> None:
    """The manifest names the rule; effective n counts what was labelled; class counts what is learnt from."""
    rows = chosen(store, [taught(n) for n in range(2)], news())
    written = [
        snapshot.write(tmp_path / name, news(), list(some), epoch=1, partition=PARTITION, below=2).manifest
        for name, some in (("a", rows), ("b", chosen(store, [taught(n) for n in (0, 1)], news())))
    ]

    assert written[0].digest() == written[1].digest()
    assert written[0].policy["augment_rows"] == 4
    assert (written[0].effective_n["TRAIN"], written[0].class_counts["TRAIN"]["mergers"]) == (2, 4)


@given(
    st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(Split), st.integers(0, 3)), max_size=25),
    st.integers(1, 12), st.integers(1, 9),
)  # fmt: skip
def test_topped_up__any_rows(given_rows: list[tuple[str, Split, int]], rows: int, quota: int) -> None:
    """Every real row stays; no class passes what it is filled up to, nor all the snapshot's rows; none comes twice."""
    real = [
        Row(f"r{at:02}", f"c{at}", f"text {at}", said, None, split, 1.0, "TEACHER", START, None, None, at,
            [f"text {at} again {n % 2}" for n in range(number)])
        for at, (said, split, number) in enumerate(given_rows)
    ]  # fmt: skip
    of = workload(LABELS, augment={"paraphrases": 2, "rows": rows}, window={"rows": 30, "quota": quota})
    found = topped_up(real, candidates(real, of), of)
    added, before = Counter(row.label for row in paraphrases(found)), Counter(
        row.label for row in real if row.split == Split.TRAIN
    )  # fmt: skip

    assert [row for row in found if row.provenance != PARAPHRASE] == real
    assert all(before[said] + number <= min(rows, quota) for said, number in added.items())
    assert sum(added.values()) + sum(before.values()) <= 30
    assert len({row.text for row in found}) == len(found)
    assert all(row.split == Split.TRAIN for row in paraphrases(found))
