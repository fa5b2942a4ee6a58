"""Duplicates: the answers follow from `curated` and its order alone, however batches fell and whatever went between."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import DiscardReason
from streams.curate.duplicates import Duplicate, DuplicateIndex, Kept, Recalled, bands, near, similarity

WORDS = ("rate", "bank", "cuts", "profit", "oil", "deal", "falls", "q1")
TAIL = "of the quarter as analysts expected on monday"  # texts that share it are 0.5 to 0.9 alike

Record = tuple[str, str, str | None, bool]  # id, text, answer, drawn for audit

texts = st.builds(
    lambda words, tail: " ".join([*words, *TAIL.split()[tail:]]),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), st.sampled_from((0, 2, 8)),
)  # fmt: skip
records = st.lists(
    st.tuples(st.integers(0, 30).map(str), texts, st.sampled_from((None, "up", "down")), st.booleans()), max_size=50
)
FEW = settings(max_examples=150)


class Run:
    """A stage in small: an index, and the `curated` that it writes."""

    def __init__(self, horizon: int, similarity: float = 0.7) -> None:
        self._horizon = horizon
        self.index = DuplicateIndex(similarity, horizon)
        self.curated: list[Kept] = []
        self.found: list[Duplicate | None] = []

    def put(self, batch: Sequence[Record], *, commit: bool = True) -> None:
        overlay = self.index.overlay((text.casefold(), text) for _, text, _, _ in batch)
        curated, answers = [], []
        for record_id, text, answer, audit in batch:
            found = overlay.find(record_id, text.casefold(), answer)
            answers.append(found)
            vote = found is not None
            if found is None:
                overlay.add(record_id, text.casefold(), answer)
            elif found.reason == DiscardReason.DUPLICATE_ID or not (audit or found.another_answer):
                continue
            else:
                overlay.add_vote(record_id, found.cluster_id, answer)
            cluster = found.cluster_id if found else record_id
            curated.append(Kept(record_id, cluster, text.casefold(), text, answer, vote))
        if commit:
            overlay.merge()
            self.curated += curated
            self.found += answers

    def rebuild(self) -> None:
        self.index = rebuilt(self.curated, self._horizon)


def rebuilt(curated: Sequence[Kept], horizon: int) -> DuplicateIndex:
    recalled = Recalled(horizon)
    for record in curated:
        recalled.take(record)
    return DuplicateIndex(0.7, horizon, recalled)


def member(record_id: str, text: str, answer: str | None = None) -> Kept:
    return Kept(record_id, record_id, text.casefold(), text, answer, vote=False)


def ask(index: DuplicateIndex, record_id: str, text: str, answer: str | None = None) -> Duplicate | None:
    return index.overlay([(text.casefold(), text)]).find(record_id, text.casefold(), answer)


@FEW
@given(records, st.integers(1, 60), st.data())
def test_answers__do_not_hang_on_batches_aborts_evictions_or_rebuilds(
    stream: list[Record], horizon: int, data: st.DataObject
) -> None:
    """Any cut into batches, with aborted attempts and rebuilds between, decides as one record at a time does."""
    undisturbed, disturbed = Run(horizon), Run(horizon)
    for record in stream:
        undisturbed.put([record])
    start = 0
    while start < len(stream):
        size = data.draw(st.integers(1, len(stream)))
        if data.draw(st.booleans()):
            disturbed.put(stream[start : start + data.draw(st.integers(1, len(stream)))], commit=False)
        if data.draw(st.booleans()):
            disturbed.rebuild()
        disturbed.put(stream[start : start + size])
        start += size

    assert disturbed.found == undisturbed.found
    assert disturbed.curated == undisturbed.curated


@FEW
@given(records, st.integers(1, 60))
def test_answers__are_those_of_comparing_with_every_remembered_member(stream: list[Record], horizon: int) -> None:
    """MinHash, bands and prefilters change nothing: the most similar of the last `horizon` members is found."""
    run = Run(horizon)
    run.put(stream)
    plain: list[str | None] = []
    members: list[tuple[str, str]] = []
    known: set[str] = set()
    for record, found in zip(stream, run.found, strict=True):
        alike = [(-plain_similarity(text, record[1]), n, of) for n, (of, text) in enumerate(members[-horizon:])]
        best = min((one for one in alike if -one[0] >= 0.7), default=None)
        if found is not None and found.reason == DiscardReason.DUPLICATE_ID:
            assert record[0] in known
            plain.append(found.record_id)
            continue
        plain.append(best[2] if best else None)
        if found is None:
            members.append((record[0], record[1]))
        known.add(record[0])

    assert [found.record_id if found else None for found in run.found] == plain


def plain_similarity(one: str, two: str) -> float:
    ones, twos = plain_grams(one), plain_grams(two)
    return len(ones & twos) / len(ones | twos) if ones & twos else 0.0


def plain_grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {(word,) for word in words} | set(pairwise(words))


@FEW
@given(st.text(max_size=60), st.text(max_size=60))
def test_similarity__is_jaccard_over_word_1_and_2_grams(one: str, two: str) -> None:
    """Hashing does not show, in any script."""
    assert similarity(one, two) == plain_similarity(one, two)


def test_overlay__that_is_never_merged__leaves_no_trace() -> None:
    """An aborted batch was never there."""
    index = DuplicateIndex(0.7, 10)
    overlay = index.overlay([("a", "profit falls")])
    overlay.add("1", "a", None)
    overlay.add_vote("2", "1", "up")

    assert len(index) == 0
    assert ask(index, "1", "profit falls") is None
    assert ask(index, "2", "oil") is None


def test_rebuilt__with_an_id_that_stands_twice_in_curated() -> None:
    """A label stage's dead letter that was replayed keeps its id: its second record becomes no second member."""
    text = [f"{word} {TAIL} {word}" for word in ("alpha beta gamma", "delta epsilon zeta")]
    once = [member("1", text[0], "up"), member("2", text[1])]
    index = rebuilt([*once, once[0]], 3)

    assert len(index) == 2
    assert ask(index, "3", text[1]) == Duplicate(DiscardReason.DUPLICATE_TEXT, "2", "2", another_answer=False)
    assert ask(index, "4", text[0], "down") == Duplicate(DiscardReason.DUPLICATE_TEXT, "1", "1", another_answer=True)


def test_rebuilt__from_many_votes__still_knows_every_member() -> None:
    """Votes do not push first members out of the horizon, nor out of the ids."""
    votes = [Kept(f"v{n}", "1", "profit", "profit", "up", vote=True) for n in range(50)]
    index = rebuilt([member("1", "profit"), *votes], 3)

    assert ask(index, "1", "other words") == Duplicate(DiscardReason.DUPLICATE_ID, "1", "1", another_answer=False)
    assert ask(index, "2", "profit") == Duplicate(DiscardReason.DUPLICATE_TEXT, "1", "1", another_answer=False)
    assert ask(index, "v49", "other words") is not None
    assert ask(index, "v1", "other words") is None


def test_contested__cluster_hears_every_answer() -> None:
    """An answer like the first adds nothing until another is heard; then all count, or those that differ would win."""
    run = Run(10)
    run.put([("1", "alpha", "up", False), ("2", "alpha", "up", False)])
    run.put([("3", "alpha", "down", False), ("4", "alpha", "up", False), ("5", "alpha", None, False)])
    run.rebuild()
    run.put([("6", "alpha", "up", False), ("7", "beta", "up", False), ("8", "beta", "up", False)])

    assert [kept.record_id for kept in run.curated] == ["1", "3", "4", "6", "7"]


def test_eviction__takes_the_first_seen__though_it_was_found_last() -> None:
    """A cluster that is found again and again goes when its turn comes: what is kept follows from `curated`."""
    run = Run(2)
    run.put([("1", "alpha", None, False), ("2", "beta", None, False), ("3", "alpha", None, False)])
    run.put([("4", "gamma", None, False), ("5", "alpha", None, False)])

    assert [found.record_id if found else None for found in run.found] == [None, None, "1", None, None]


@pytest.mark.parametrize("text", ["", "!!!", "... ?"])
def test_text__without_a_word__is_near_to_nothing(text: str) -> None:
    """No grams are no likeness; the same text again is an exact duplicate."""
    index = rebuilt([member("1", "***"), member("2", text + "-")], 10)

    assert ask(index, "3", text) is None
    assert ask(index, "4", "***") is not None


@pytest.mark.parametrize("least", [0.3, 0.5, 0.6, 0.7, 0.9, 1.0])
def test_similarity_asked__is_found_at_any_setting(least: float) -> None:
    """Bands follow the least similarity: pairs at it are found, and none below it."""
    words = [f"w{n}" for n in range(400)]
    recalled, asked = Recalled(1_000), []
    for n in range(300):
        first = words[n : n + 30]
        recalled.take(member(str(n), " ".join(f"{n}x{word}" for word in first)))
        for kept in range(30, 0, -3):
            asked.append((n, " ".join(f"{n}x{word}" for word in first[:kept])))  # noqa: PERF401 - reads as it is meant
    index = DuplicateIndex(least, 1_000, recalled)
    overlay = index.overlay((text, text) for _, text in asked)
    pairs = [(similarity(recalled.firsts[n].text, text), overlay.find("new", text, None), n) for n, text in asked]
    due = [found for alike, found, _ in pairs if alike >= least]

    assert all(found is None for alike, found, _ in pairs if alike < least)
    assert sum(found is None for found in due) <= 0.01 * len(due)
    assert all(found is None or found.record_id == str(n) for _, found, n in pairs)


def test_family_of_like_texts__is_searched_in_bounded_steps__and_a_pair_in_it_is_found() -> None:
    """3,000 texts of one form share bands without being near; the near one among them is found all the same."""
    form = "{} says q1 net profit rose to {} million"
    recalled = Recalled(10_000)
    for n in range(3_000):
        recalled.take(member(str(n), form.format(f"a{n} b{n} c{n}", f"d{n}")))
    index = DuplicateIndex(0.7, 10_000, recalled)
    asked = [(n, form.format(f"a{n} b{n} c{n}", f"d{n}") + " again") for n in range(0, 3_000, 10)]
    overlay = index.overlay((text, text) for _, text in asked)
    found: list[Any] = [overlay.find("new", text, None) for _, text in asked]

    assert [one and one.record_id for one in found] == [str(n) for n, _ in asked]


@pytest.mark.parametrize("newest", [1, 8])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_family_of_like_texts__in_other_batches__is_told_apart_alike(
    size: int, newest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a frequent band the same newest members count, whether they are in the index or came in the batch."""
    monkeypatch.setattr(bands, "NEWEST", newest)
    monkeypatch.setattr(near, "NEWEST", newest)
    form = "{} says q1 net profit rose to {} million in the year"
    stream: list[Record] = []
    for n in range(300):
        stream.append((f"{n}", form.format(f"a{n} b{n} c{n}", f"d{n}"), None, False))
        stream.append((f"{n}-again", form.format(f"a{n // 2} b{n // 2} c{n // 2}", f"e{n}"), None, False))
    whole, cut = Run(200), Run(200)
    whole.put(stream)
    for start in range(0, len(stream), size):
        cut.put(stream[start : start + size])

    assert cut.found == whole.found
    assert {found.reason if found else None for found in cut.found} == {None, DiscardReason.NEAR_DUPLICATE}


def test_members_of_the_batch__count_before_those_of_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member whose every band newer ones share is not found: whether they came before or in the same batch."""
    monkeypatch.setattr(bands, "NEWEST", 1)
    monkeypatch.setattr(near, "NEWEST", 1)
    words = [f"w{n}" for n in range(40)]
    first = ("first", " ".join(words), None, False)
    newer = [(str(n), " ".join(words[:n] + words[n + 1 :]), None, False) for n in range(30)]
    again = ("again", " ".join(words) + "!", None, False)
    whole, cut = Run(100, similarity=1.0), Run(100, similarity=1.0)
    whole.put([first])
    whole.put([*newer, again])
    for record in (first, *newer, again):
        cut.put([record])

    assert whole.found == cut.found == [None] * 32


key_lists = st.lists(st.lists(st.tuples(*[st.sampled_from((0, 1, 2, 2**32 - 1))] * 3), max_size=30), max_size=8)


@FEW
@given(key_lists, st.lists(st.tuples(*[st.sampled_from((0, 1, 2, 3))] * 3), max_size=5), st.integers(1, 40))
def test_bands__give_the_newest_members_of_a_key(added: list[Any], asked: list[Any], size: int) -> None:
    """Chains through ring and buckets find what a list of all members shows, newest first, with its rank."""
    index, members = bands.Bands(size, 3), [key for some in added for key in some]
    for some in added:
        index.add(np.array(some, np.uint32).reshape(-1, 3))
    hits = index.newest(np.array(asked, np.uint32).reshape(-1, 3))
    plain = set()
    for row, keys in enumerate(asked):
        for band, key in enumerate(keys):
            same = [n for n, other in enumerate(members) if other[band] == key and n >= len(members) - size]
            plain |= {(row, band, n, rank) for rank, n in enumerate(same[::-1][: bands.NEWEST])}

    assert (
        set(zip(*(column.tolist() for column in (hits.row, hits.band, hits.number, hits.rank)), strict=True)) == plain
    )


def test_bands__that_grow__keep_every_chain() -> None:
    """Room is doubled without losing who came after whom."""
    index = bands.Bands(10_000, 2)
    keys = np.arange(5_000, dtype=np.uint32) % 700
    for start in range(0, 5_000, 450):
        index.add(np.stack([keys, keys * 7], axis=1)[start : start + 450])
    hits = index.newest(np.array([[3, 21], [699, 4_893]], np.uint32))

    expected = {(row, n) for row, key in ((0, 3), (1, 699)) for n in range(5_000) if n % 700 == key}
    assert set(zip(hits.row.tolist(), hits.number.tolist(), strict=True)) == expected
