"""What a snapshot holds, asked of a real DuckDB file."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.manifest import rows_digest
from schemas.records import LabelKind, LabelRecord, Split
from schemas.workload import Workload
from streams.window.columns import Labelled
from streams.window.rows import Row, class_limits
from streams.window.selection import select, training_limits
from streams.window.snapshot import as_columns
from streams.window.store import Store
from tests.streams.doubles import PARTITION, START, label, workload

LABELS = ("earnings", "mergers", "other")
_TOPICS = count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    one = Store(tmp_path_factory.mktemp("window") / "window.duckdb")
    yield one
    one.close()


def fill(store: Store, records: Sequence[LabelRecord]) -> None:
    store.drop(PARTITION)
    store.write([Labelled(PARTITION, at, record) for at, record in enumerate(records)], f"topic-{next(_TOPICS)}")


def chosen(store: Store, records: Sequence[LabelRecord], of: Workload) -> list[Row]:
    fill(store, records)
    below = len(records)
    return select(store, of, PARTITION, below, training_limits(store, of, PARTITION, below))


def window(**fields: Any) -> Workload:
    return workload(LABELS, window={"rows": 10, "quota": 5, "age_days": 30} | fields)


def train(number: int, said: str = "other", **fields: Any) -> LabelRecord:
    return label(number, said, split=fields.pop("split", Split.TRAIN), **fields)


def classes(rows: Sequence[Row]) -> Counter[str]:
    return Counter(row.label for row in rows if row.split == Split.TRAIN)


@pytest.mark.parametrize(
    ("given_rows", "kept"),
    [
        ({}, {}),
        ({"other": 3}, {"other": 3}),
        ({"other": 1}, {"other": 1}),
        ({"other": 1, "mergers": 1}, {"other": 1, "mergers": 1}),
        ({"other": 5, "mergers": 5}, {"other": 5, "mergers": 5}),
        ({"other": 72, "mergers": 1}, {"other": 5, "mergers": 1}),
        ({"other": 72, "mergers": 4, "earnings": 72}, {"other": 3, "mergers": 4, "earnings": 3}),
        ({"other": 72, "mergers": 1, "earnings": 72}, {"other": 4, "mergers": 1, "earnings": 5}),
    ],
    ids=["no rows", "1 class", "1 singleton", "2 singletons", "n = quota", "72:1", "cap bites", "cap spares the rare"],
)
def test_training__quota_and_cap(store: Store, given_rows: dict[str, int], kept: dict[str, int]) -> None:
    """A class keeps at most its quota, all classes the cap; a rare class keeps all it has."""
    records = [train(1_000 * at + n, said) for at, (said, rows) in enumerate(given_rows.items()) for n in range(rows)]
    found = classes(chosen(store, records, window()))

    assert sum(found.values()) == sum(kept.values())
    assert sorted(found.values()) == sorted(kept.values())
    assert found["mergers"] == kept.get("mergers", 0)


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 500), max_size=30), st.integers(1, 100), st.integers(1, 400))
def test_limits__are_fair_and_full(counts: dict[str, int], quota: int, rows: int) -> None:
    """No class above what it has or the quota, the cap is used up, and what is cut is cut to one level."""
    limits = class_limits(counts, quota, rows)
    wanted = {name: min(number, quota) for name, number in counts.items()}

    assert limits.keys() == counts.keys()
    assert sum(limits.values()) == min(rows, sum(wanted.values()))
    assert all(0 <= limits[name] <= wanted[name] for name in counts)
    cut = [limits[name] for name in counts if limits[name] < wanted[name]]
    assert all(limits[name] <= min(cut) + 1 for name in counts) if cut else True


def test_evaluation__keeps_all_its_rows(store: Store) -> None:
    """Quota and cap act on training rows only."""
    starts = {Split.TEST: 0, Split.VALIDATION: 100, Split.CERTIFICATION: 200}
    records = [train(n, split=split) for split, at in starts.items() for n in range(at, at + 50)]
    found = chosen(store, [*records, *(train(n) for n in range(300, 350))], window())

    assert Counter(row.split for row in found) == {"TEST": 50, "VALIDATION": 50, "CERTIFICATION": 50, "TRAIN": 5}


def test_limits__from_before_another_question(store: Store) -> None:
    """What was counted for one snapshot is not mixed up with the tables of a question that came between."""
    records = [train(n, LABELS[n % 2]) for n in range(40)]
    of = window(rows=50, quota=50)
    expected = chosen(store, records[:20], of)
    fill(store, records)
    limits = training_limits(store, workload(LABELS, triggers={"least_rows": 1}, window={"rows": 50}), PARTITION, 20)
    training_limits(store, workload(LABELS, triggers={"least_rows": 1}), PARTITION, 40)

    assert select(store, of, PARTITION, 20, limits) == expected
    assert len(expected) == 20


def test_age__counts_back_from_the_newest_event(store: Store) -> None:
    """Rows older than the limit before the newest one are out, whatever today is."""
    records = [train(n, event_time=START + timedelta(days=n)) for n in range(50)]
    found = chosen(store, records, window(rows=100, quota=100))

    assert {row.record_id for row in found} == {f"record-{n}" for n in range(19, 50)}


def test_recency__newer_days_come_first(store: Store) -> None:
    """Where a class is cut, its newer days stay."""
    records = [train(n, event_time=START + timedelta(days=n)) for n in range(20)]

    assert {row.record_id for row in chosen(store, records, window())} == {f"record-{n}" for n in range(15, 20)}


def test_draw__within_a_day_is_as_good_as_random(store: Store) -> None:
    """Within a day the choice follows neither the order of arrival nor that of ids."""
    records = [train(n, event_time=START) for n in range(2_000)]
    found = [int(row.record_id.removeprefix("record-")) for row in chosen(store, records, window(rows=500, quota=500))]

    assert len(found) == 500
    assert 900 < sum(found) / 500 < 1_100


def test_leak__same_text_on_both_sides(store: Store) -> None:
    """A training cluster that shares a text with an evaluation row is left out whole, however it is spelled."""
    records = [
        train(1, text="Acme Buys Bolt", cluster_id="old", split=Split.TEST),
        train(2, text="acme buys bolt", cluster_id="new"),
        train(3, text="Acme buys Bolt for cash", cluster_id="new", kind=LabelKind.VOTE),
        train(4, text="Unrelated"),
    ]

    assert [row.record_id for row in chosen(store, records, window())] == ["record-1", "record-4"]


def test_leak__cluster_whose_split_changed(store: Store) -> None:
    """Rows of a cluster that is in an evaluation split under other shares never train."""
    records = [train(1, cluster_id="c", split=Split.TEST), train(2, cluster_id="c"), train(3)]

    assert [(row.record_id, row.split) for row in chosen(store, records, window())] == [
        ("record-1", "TEST"), ("record-3", "TRAIN"),
    ]  # fmt: skip


def test_cluster__gives_one_row(store: Store) -> None:
    """Of a cluster one row stays: a label before a vote."""
    records = [
        train(1, cluster_id="c", kind=LabelKind.VOTE, split=Split.TEST), train(2, cluster_id="c", split=Split.TEST),
        train(3, cluster_id="d", kind=LabelKind.VOTE), train(4, cluster_id="d"),
        train(5, cluster_id="e", kind=LabelKind.VOTE),
    ]  # fmt: skip

    assert [row.record_id for row in chosen(store, records, window())] == ["record-2", "record-4", "record-5"]


def test_labels__no_longer_in_the_set(store: Store) -> None:
    """Rows of a label that the workload no longer has are out, and so is a soft label over another set."""
    soft = {"earnings": 0.2, "gone": 0.8}
    found = chosen(store, [train(1, "gone"), train(2, "earnings", class_probabilities=soft)], window())

    assert [(row.record_id, row.class_probabilities) for row in found] == [("record-2", None)]


def test_soft_label__in_the_order_of_the_labels(store: Store) -> None:
    """A soft label is a list in the order of the workload's labels."""
    soft = {"other": 0.7, "earnings": 0.1, "mergers": 0.2}
    (row,) = chosen(store, [train(1, class_probabilities=soft)], window())

    assert row.class_probabilities == [0.1, 0.2, 0.7]


@settings(max_examples=15)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 40), st.sampled_from(LABELS), st.sampled_from(Split), st.integers(0, 20), st.booleans()
        ),
        max_size=60,
    ),
    order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_selection__any_window(
    store: Store, rows: list[tuple[int, str, Split, int, bool]], order: random.Random
) -> None:
    """Whatever comes: no leak, one row per cluster and text, quota and cap hold, order of arrival is nothing."""
    records = [
        label(at, said, text=f"text {text}", cluster_id=f"cluster-{cluster}", split=split,
              kind=LabelKind.VOTE if vote else LabelKind.LABEL)
        for at, (cluster, said, split, text, vote) in enumerate(rows)
    ]  # fmt: skip
    found = chosen(store, records, window())
    shuffled = list(records)
    order.shuffle(shuffled)
    again = chosen(store, shuffled, window())

    assert rows_digest(map(as_columns, found)) == rows_digest(map(as_columns, again))
    assert len({row.cluster_id for row in found}) == len({row.text for row in found}) == len(found)
    evaluation = {record.cluster_id for record in records if record.split is not Split.TRAIN}
    texts = {record.text for record in records if record.split is not Split.TRAIN}
    training = [row for row in found if row.split == Split.TRAIN]
    assert not any(row.cluster_id in evaluation or row.text in texts for row in training)
    assert len(training) <= 10
    assert all(number <= 5 for number in classes(found).values())
    assert [row.record_id for row in found] == sorted(row.record_id for row in found)


def test_merge__of_two_clusters_moves_nothing_toward_training(store: Store) -> None:
    """A late vote of a training cluster that is near an evaluation row takes its whole cluster out; others stay."""
    a, c = (
        "acme buys bolt for two hundred million in cash today",
        "acme sells bolt for two hundred million in shares today",
    )
    late = "acme buys bolt for two hundred million in shares today"
    records = [
        train(1, text=a, split=Split.TEST), train(2, text=c, cluster_id="c"),
        train(3, text=late, cluster_id="c", kind=LabelKind.VOTE), train(4, text="unrelated"),
    ]  # fmt: skip

    assert [row.record_id for row in chosen(store, records[:2], window())] == ["record-1", "record-2"]
    assert [row.record_id for row in chosen(store, records, window())] == ["record-1", "record-4"]


def test_near__makes_room_for_the_next(store: Store) -> None:
    """Where near duplicates leave, the rows behind them take their places: the quota is filled all the same."""
    texts = [
        f"{word} report of a very long and quite ordinary year in numbers" for word in ("first", "second", "third")
    ]
    evaluation = [train(900 + at, text=f"{text} again", split=Split.TEST) for at, text in enumerate(texts)]
    near = [train(at, text=text, event_time=START + timedelta(days=9)) for at, text in enumerate(texts)]
    rest = [train(100 + at, text=f"story {at} of {at} and {at + 1}") for at in range(20)]
    found = [row for row in chosen(store, [*evaluation, *near, *rest], window()) if row.split == Split.TRAIN]

    assert len(found) == 5
    assert not {row.record_id for row in found} & {record.record_id for record in near}


def test_source__fills_no_more_than_its_share_of_a_class(store: Store) -> None:
    """Of one source at most `source_rows` training rows of a class stay; other sources take the places."""
    records = [train(n, "mergers", source="loud" if n < 40 else "quiet") for n in range(43)]
    found = [int(row.record_id.removeprefix("record-")) for row in chosen(store, records, window(source_rows=2))]

    assert (sum(number < 40 for number in found), sum(number >= 40 for number in found)) == (2, 2)


@settings(max_examples=15)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 15), st.sampled_from(LABELS), st.sampled_from(Split), st.sampled_from("xyz")),
        max_size=60,
    ),
    quota=st.integers(1, 6),
    source_rows=st.none() | st.integers(1, 3),
    cluster_rows=st.integers(1, 3),
)  # fmt: skip
def test_caps__act_on_training_rows_alone(
    store: Store,
    rows: list[tuple[int, str, Split, str]],
    quota: int,
    source_rows: int | None,
    cluster_rows: int,
) -> None:
    """Whatever the caps, evaluation rows are the same; each cap holds; of single clusters every class keeps a row."""
    records = [
        label(at, said, text=f"text {at} of {at}", cluster_id=f"{split}-{cluster}", split=split, source=source)
        for at, (cluster, said, split, source) in enumerate(rows)
    ]  # fmt: skip
    free = chosen(store, records, window(rows=1_000, quota=1_000, cluster_rows=1_000))
    found = chosen(
        store, records, window(rows=9, quota=quota, source_rows=source_rows, cluster_rows=cluster_rows)
    )  # fmt: skip
    training = [row for row in found if row.split == Split.TRAIN]
    source_of = {f"record-{at}": source for at, (_, _, _, source) in enumerate(rows)}

    assert [row for row in found if row.split != Split.TRAIN] == [row for row in free if row.split != Split.TRAIN]
    assert len(training) <= 9
    assert all(number <= quota for number in classes(found).values())
    sources = Counter((row.label, source_of[row.record_id]) for row in training)
    assert all(number <= (source_rows or 1_000) for number in sources.values())
    assert all(number <= cluster_rows for number in Counter(row.cluster_id for row in training).values())
    if len({row.cluster_id for row in free}) == len(free):
        assert classes(found).keys() == classes(free).keys()
