"""Second answers that correct labels of the window, asked of a real DuckDB file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import LabelKind, LabelRecord, Origin, Provenance, Split
from streams.window.columns import Labelled
from streams.window.rows import Row
from streams.window.selection import select, training_limits
from streams.window.store import Store
from tests.streams.doubles import PARTITION, label, workload

LABELS = ("earnings", "mergers", "other")
NEWS = workload(LABELS, window={"rows": 100, "quota": 50})
_TOPICS = count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    one = Store(tmp_path_factory.mktemp("window") / "window.duckdb")
    yield one
    one.close()


def taught(number: int, said: str = "other", **fields: Any) -> LabelRecord:
    return label(number, said, **({"split": Split.TRAIN, "provenance": Provenance.HARVEST} | fields))


def corrected(number: int, said: str, corrects: int, **fields: Any) -> LabelRecord:
    """Return what the teacher said of the label at an offset when it was asked again."""
    values = {
        "text": "", "kind": LabelKind.CORRECTION, "provenance": Provenance.TEACHER, "teacher_model": "teacher-7b",
        "prompt_sha256": "again", "origin": Origin(topic="labels", partition=PARTITION, offset=corrects),
    } | fields  # fmt: skip
    return taught(number, said, **values)


def erased(number: int) -> LabelRecord:
    return taught(number, "", text="", kind=LabelKind.ERASURE)


def fill(store: Store, records: Sequence[LabelRecord]) -> None:
    store.drop(PARTITION)
    store.write([Labelled(PARTITION, at, record) for at, record in enumerate(records)], f"topic-{next(_TOPICS)}")


def chosen(store: Store, below: int) -> list[Row]:
    return select(store, NEWS, PARTITION, below, training_limits(store, NEWS, PARTITION, below))


def said(store: Store, below: int) -> dict[str, str]:
    return {row.record_id: row.label for row in chosen(store, below)}


def test_correction__counts_past_its_offset_and_for_none_below(store: Store) -> None:
    """The second answer replaces label, soft label and question; row, text, cluster and split stay as they were."""
    soft = {"earnings": 0.1, "mergers": 0.7, "other": 0.2}
    first = taught(1, paraphrases=["in other words"], propensity=0.5, prompt_sha256="first", source="desk")
    fill(store, [first, taught(2), corrected(1, "mergers", 0, class_probabilities=soft), taught(3)])
    (before,) = [row for row in chosen(store, 2) if row.record_id == "record-1"]
    (after,) = [row for row in chosen(store, 3) if row.record_id == "record-1"]

    assert (before.label, before.class_probabilities, before.prompt_sha256) == ("other", None, "first")
    assert (after.label, after.class_probabilities) == ("mergers", [0.1, 0.7, 0.2])
    assert (after.prompt_sha256, after.teacher_model, after.provenance) == ("again", "teacher-7b", "TEACHER")
    assert (after.text, after.cluster_id, after.split, after.propensity, after.event_time) == (
        before.text, before.cluster_id, before.split, before.propensity, before.event_time,
    )  # fmt: skip
    assert (list(before.paraphrases), list(after.paraphrases)) == (["in other words"], [])


def test_correction__that_repeats_the_label_leaves_the_row(store: Store) -> None:
    """A label that was confirmed keeps its soft label; after another answer it is what it was at first."""
    soft = {"earnings": 0.0, "mergers": 0.1, "other": 0.9}
    first = taught(1, class_probabilities=soft, paraphrases=["so"])
    fill(store, [first, corrected(1, "other", 0), corrected(1, "mergers", 0), corrected(1, "other", 0)])
    before, confirmed, other, again = (chosen(store, below)[0] for below in (1, 2, 3, 4))

    assert store.counts(PARTITION).total() == 3
    assert confirmed == before
    assert other.label == "mergers"
    assert (again.label, again.class_probabilities, again.paraphrases) == ("other", [0.0, 0.1, 0.9], ["so"])


@pytest.mark.parametrize(
    ("records", "label_of_1"),
    [
        ([taught(1, split=Split.TEST), corrected(1, "mergers", 0, split=Split.TEST)], "other"),
        ([taught(1, split=Split.TEST), corrected(1, "mergers", 0)], "other"),
        ([taught(1), corrected(1, "mergers", 0, origin=Origin(topic="curated", partition=0, offset=0))], "other"),
        ([taught(1), taught(2), corrected(1, "mergers", 1)], "other"),
        ([taught(1), taught(1, "earnings"), corrected(1, "mergers", 0)], "earnings"),
        ([taught(1), corrected(1, "mergers", 0), taught(1, "earnings")], "earnings"),
        ([taught(1), erased(1), corrected(1, "mergers", 0)], None),
        ([taught(1), corrected(1, "mergers", 0), erased(1)], None),
        ([taught(1), corrected(1, "mergers", 0), erased(1), taught(1, "earnings")], "earnings"),
        ([corrected(1, "mergers", 7), taught(1)], "other"),
    ],
    ids=[
        "evaluation row", "evaluation row, says training", "not of labels", "another record", "of an earlier label",
        "labelled anew", "erased before", "erased after", "erased and labelled anew", "of nothing",
    ],
)  # fmt: skip
def test_correction__of_what_it_must_not_change(store: Store, records: list[LabelRecord], label_of_1: str) -> None:
    """Evaluation rows, labels that are not the record's last, and erased records are not corrected; in any batches."""
    fill(store, records)
    at_once = said(store, len(records)).get("record-1")
    store.drop(PARTITION)
    for at, record in enumerate(records):
        store.write([Labelled(PARTITION, at, record)], "one by one")
        store.erase(PARTITION, at + 1)

    assert at_once == said(store, len(records)).get("record-1") == label_of_1


def test_correction__of_an_evaluation_row_is_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """What is ignored is counted in the log, once per batch."""
    with caplog.at_level(logging.WARNING):
        fill(store, [taught(1, split=Split.TEST), *[corrected(1, "mergers", 0, split=Split.TEST)] * 3])

    assert [record.message for record in caplog.records] == [
        "3 corrections name no training label of their partition; ignored"
    ]


def test_correction__goes_with_its_row(store: Store) -> None:
    """Erased, cut and pruned, nothing of a corrected row stays in the file; cut back, the label is what it was."""
    fill(store, [taught(1), taught(2), corrected(1, "mergers", 0), corrected(2, "mergers", 1), erased(2)])
    store.erase(PARTITION, 5)
    assert dict(store.counts(PARTITION)) == {("news", "other", "TRAIN"): 1, ("news", "mergers", "TRAIN"): 1}
    store.cut(PARTITION, 2)
    assert said(store, 2) == {"record-1": "other"}
    fill(store, [taught(1), corrected(1, "mergers", 0), taught(100_000)])
    store.prune(PARTITION, workload(LABELS, window={"age_days": 30}), 3)
    assert said(store, 3) == {"record-100000": "other"}
    assert store.counts(PARTITION).total() == 1


def test_correction__is_in_the_counts(store: Store) -> None:
    """What was counted before is counted again: a class may have enough rows by second answers alone."""
    fill(store, [taught(1), taught(2)])
    assert store.training_counts(PARTITION, NEWS)["mergers"] == 0
    store.write([Labelled(PARTITION, 2, corrected(1, "mergers", 0))], "topic")

    assert store.training_counts(PARTITION, NEWS)["mergers"] == 1


def test_correction__is_what_people_see(store: Store, tmp_path: Path) -> None:
    """The copy for `millrace window` has the corrected label, and the offset of the one it corrects."""
    fill(store, [taught(1), taught(2), corrected(1, "mergers", 0)])
    store.copy(tmp_path / "copy.parquet")
    seen = store.query(f"SELECT record_id, label, corrects FROM '{tmp_path}/copy.parquet' ORDER BY 1")  # noqa: S608

    assert seen == [("record-1", "mergers", 0), ("record-2", "other", None)]


def test_correction__is_one_voice_of_its_cluster(store: Store) -> None:
    """A corrected label votes as it is now: it can tip a cluster, and be outvoted."""
    votes = [taught(n, answer, cluster_id="c", kind=LabelKind.VOTE) for n, answer in ((2, "other"), (3, "mergers"))]
    fill(store, [taught(1, cluster_id="c"), *votes, corrected(1, "mergers", 0, cluster_id="c")])

    assert (said(store, 3), said(store, 4)) == ({"record-1": "other"}, {"record-1": "mergers"})


def effective(records: Sequence[LabelRecord]) -> dict[str, str]:
    """Return each record's label by the rule on paper: its last label, corrected by the last that names its place."""
    last: dict[str, tuple[int, str]] = {}
    for at, record in enumerate(records):
        if record.kind is LabelKind.ERASURE:
            last.pop(record.record_id, None)
        elif record.kind is not LabelKind.CORRECTION:
            last[record.record_id] = (at, record.label)
        elif record.record_id in last and last[record.record_id][0] == record.origin.offset:
            last[record.record_id] = (record.origin.offset, record.label)
    return {record_id: name for record_id, (_, name) in last.items()}


@st.composite
def histories(draw: st.DrawFn) -> list[LabelRecord]:
    """Draw labels of a few records, erasures, and corrections of any earlier place."""
    records: list[LabelRecord] = []
    for at in range(draw(st.integers(6, 24))):
        number, answer = draw(st.integers(1, 3)), draw(st.sampled_from(LABELS))
        kind = draw(st.sampled_from([LabelKind.LABEL, LabelKind.LABEL, LabelKind.ERASURE, *[LabelKind.CORRECTION] * 3]))
        if kind is LabelKind.ERASURE:
            records.append(erased(number))
        elif kind is LabelKind.CORRECTION and at:
            place = draw(st.integers(0, at - 1))
            number = int(records[place].record_id.removeprefix("record-"))
            records.append(corrected(number, answer, place))
        else:
            records.append(taught(number, answer))
    return records


@settings(max_examples=15)
@given(histories(), st.data())
def test_window__is_the_same_however_batches_kills_and_deletions_fell(
    store: Store, records: list[LabelRecord], data: st.DataObject
) -> None:
    """Corrections and erasures in any order and any batches, cut back and fed again: each offset has one answer."""
    items = [Labelled(PARTITION, at, record) for at, record in enumerate(records)]
    below = data.draw(st.integers(1, len(items)))
    ends = [*sorted(data.draw(st.sets(st.integers(1, len(items) - 1), max_size=2))), len(items)]
    kills = data.draw(st.sets(st.sampled_from(ends), max_size=1))
    store.drop(PARTITION)
    topic, settled = f"topic-{next(_TOPICS)}", 0
    for end in ends:
        store.write(items[settled:end], topic)
        if end in kills:  # before Kafka's commit: what is not settled is cut and comes again
            store.cut(PARTITION, settled)
            store.write(items[settled:end], topic)
        settled = min(end, below)  # so that the question's offset is never behind what is settled
        store.erase(PARTITION, settled)

    assert said(store, below) == effective(records[:below])
