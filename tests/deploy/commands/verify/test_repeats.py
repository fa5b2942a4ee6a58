"""Doubled content on paper: by text and by id, within the horizon and not beyond it."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from deploy.commands.verify.repeats import Repeats

ENTRIES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40)  # which text, whether it is a vote


def looked(entries: list[tuple[str, str, bool]], horizon: int = 3) -> list[int]:
    """Return the offsets of what is reported as repeated among (id, text, vote)."""
    repeats = Repeats({"news": horizon})
    for offset, (record_id, text, vote) in enumerate(entries):
        repeats.look("news", (2, offset), record_id, text, vote=vote)
    return [place[1] for _, place, _ in repeats.found]


def test_repeats__of_a_text__are_found_up_to_the_horizon() -> None:
    """The first member is forgotten when as many others came after it as the horizon holds."""
    others = [(f"o{n}", f"other {n}", False) for n in range(3)]

    assert looked([("a", "same", False), *others[:2], ("b", "same", False)]) == [3]
    assert looked([("a", "same", False), *others, ("b", "same", False)]) == []


def test_repeats__of_an_id__are_found_also_among_votes() -> None:
    """No two entries of `curated` are the same record; a vote's text is another's by its own word."""
    assert looked([("a", "one", False), ("b", "one", True), ("a", "two", False), ("b", "one", True)]) == [2, 3]


def test_repeats__tell_workloads_and_partitions_apart_and_say_what_they_cannot_judge() -> None:
    """The same text of another workload is no repeat; a workload without a file is named, not passed over."""
    repeats = Repeats({"news": 3, "filings": 3})
    for name, partition in (("news", 2), ("filings", 2), ("news", 3), ("others", 2), ("others", 2)):
        repeats.look(name, (partition, 0), f"{name}-{partition}", "same", vote=False)

    assert repeats.found == []
    assert repeats.unchecked == {"others"}


def test_repeats__leave_an_input_that_ended_twice_to_the_accounts() -> None:
    """One offence is counted once."""
    repeats = Repeats({"news": 3})
    for _ in range(2):
        repeats.look("news", (2, 7), "a", "same", vote=False)

    assert repeats.found == []


@given(ENTRIES, st.integers(1, 6))
def test_repeats__agree_with_an_index_that_remembers_the_last_records(
    entries: list[tuple[int, bool]], horizon: int
) -> None:
    """What a bounded memory of first members still holds is a repeat, and nothing else is."""
    remembered: deque[int] = deque(maxlen=horizon)
    expected = []
    for offset, (text, vote) in enumerate(entries):
        if vote:
            continue
        if text in remembered:
            expected.append(offset)
        remembered.append(text)

    assert looked([(f"id-{n}", str(text), vote) for n, (text, vote) in enumerate(entries)], horizon) == expected
