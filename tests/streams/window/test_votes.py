"""Votes of a cluster against its label, on paper and in a snapshot of a real DuckDB file."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import LabelKind, LabelRecord, Provenance, Split
from streams.window.columns import Labelled
from streams.window.rows import Row
from streams.window.selection import select, training_limits
from streams.window.store import Store
from streams.window.votes import Voice, resolve
from tests.streams.doubles import PARTITION, label, workload

LABELS = ("earnings", "mergers", "other")
NEWS = workload(LABELS, window={"rows": 10, "quota": 5})
SOFT = st.none() | st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(
    lambda parts: {name: part / sum(parts) for name, part in zip(LABELS, parts, strict=True)}
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "window.duckdb")
    yield one
    one.close()


def chosen(store: Store, records: Sequence[LabelRecord]) -> list[Row]:
    store.drop(PARTITION)
    store.write([Labelled(PARTITION, at, record) for at, record in enumerate(records)], "topic")
    below = len(records)
    return select(store, NEWS, PARTITION, below, training_limits(store, NEWS, PARTITION, below))


def said(number: int, answer: str, kind: LabelKind = LabelKind.VOTE, **fields: Any) -> LabelRecord:
    return label(number, answer, kind=kind, cluster_id="c", **({"split": Split.TRAIN} | fields))


@pytest.mark.parametrize(
    ("voices", "winner"),
    [
        (["other", "mergers"], "other"),
        (["other", "mergers", "mergers"], "mergers"),
        (["other", "mergers", "earnings", "earnings", "mergers"], "mergers"),
    ],
    ids=["one against the label", "majority", "of equals the first"],
)
def test_resolve__by_the_most_voices(voices: Sequence[str], winner: str) -> None:
    """Most voices win, of equals the one named first; without soft labels the shares of the voices are the soft one."""
    found, shares = resolve(LABELS, [Voice(voice, None) for voice in voices])

    assert found == winner
    assert shares == {name: voices.count(name) / len(voices) for name in LABELS}


def test_resolve__weighs_a_soft_label() -> None:
    """A teacher that was hardly sure gives way to one vote; a soft label over another set is none."""
    unsure = Voice("other", {"earnings": 0.1, "mergers": 0.4, "other": 0.5})

    assert resolve(LABELS, [unsure, Voice("mergers", None)])[0] == "mergers"
    assert resolve(LABELS, [Voice("other", {"other": 0.1, "gone": 0.9}), Voice("mergers", None)])[0] == "other"


@given(st.lists(st.builds(Voice, st.sampled_from(LABELS), SOFT), min_size=1, max_size=9), st.randoms())
def test_resolve__any_voices(voices: list[Voice], order: random.Random) -> None:
    """The soft label sums to 1, does not depend on the order of the voices, and the winner is named by one of them."""
    winner, shares = resolve(LABELS, voices)
    shuffled = list(voices)
    order.shuffle(shuffled)

    assert sum(shares.values()) == pytest.approx(1)
    assert shares == resolve(LABELS, shuffled)[1]
    assert winner in {voice.label for voice in voices}
    assert shares[winner] == max(shares[voice.label] for voice in voices)


def test_snapshot__resolves_the_votes_of_a_cluster(store: Store) -> None:
    """The cluster's row has the voices' label, and their shares as its soft label."""
    (row,) = chosen(store, [said(1, "other", LabelKind.LABEL), said(2, "mergers"), said(3, "mergers")])

    assert (row.record_id, row.label) == ("record-1", "mergers")
    assert row.class_probabilities == [0, pytest.approx(2 / 3), pytest.approx(1 / 3)]


def test_snapshot__leaves_other_clusters_alone(store: Store) -> None:
    """Without votes, or where they agree, a label and its soft label stay as they were; so it is at a later offset."""
    soft = {"earnings": 0.0, "mergers": 0.1, "other": 0.9}
    records = [
        said(1, "other", LabelKind.LABEL, class_probabilities=soft), said(2, "other"),
        label(4, "earnings", split=Split.TRAIN),
        said(5, "mergers"), said(6, "mergers"),
    ]  # fmt: skip
    later = chosen(store, records)
    before = select(store, NEWS, PARTITION, 3, training_limits(store, NEWS, PARTITION, 3))

    assert [(row.label, row.class_probabilities) for row in before] == [("other", [0, 0.1, 0.9]), ("earnings", None)]
    assert [row.label for row in later] == ["mergers", "earnings"]


def test_snapshot__an_audited_duplicate_that_took_the_label_is_no_voice(store: Store) -> None:
    """Audits repeat the cluster's label without asking: however many, they outvote nobody."""
    audits = [said(n, "other", provenance=Provenance.CLUSTER) for n in range(10, 20)]
    (row,) = chosen(store, [said(1, "other", LabelKind.LABEL), said(2, "mergers"), said(3, "mergers"), *audits])

    assert row.label == "mergers"


def test_snapshot__counts_the_quota_by_the_resolved_label(store: Store) -> None:
    """Votes resolve before quotas count, so a class never has more rows than its quota."""
    records = [
        label(n, answer, cluster_id=f"c{n % 10}", kind=kind, split=Split.TRAIN)
        for n, (answer, kind) in enumerate(
            [("other", LabelKind.LABEL)] * 10 + [("mergers", LabelKind.VOTE)] * 20
        )
    ]  # fmt: skip

    assert [row.label for row in chosen(store, records)] == ["mergers"] * 5
