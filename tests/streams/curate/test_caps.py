"""Caps: how much one party may bring in, and that a restart, an abort or another batch size changes no decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.records import CuratedKind, CuratedRecord, Origin
from schemas.sections.intake import Caps
from streams.curate.caps import CapCounts

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def record(minutes: float = 0, **fields: Any) -> CuratedRecord:
    values: dict[str, Any] = {
        "record_id": "r", "workload": "news", "origin": Origin(topic="traffic", partition=0, offset=0),
        "event_time": NOON, "arrival_time": NOON + timedelta(minutes=minutes), "text": "t", "text_key": "k",
        "cluster_id": "c",
    }  # fmt: skip
    return CuratedRecord(**values | fields)


def admitted(counts: CapCounts, records: list[CuratedRecord], batch: int = 1) -> list[str | None]:
    """Admit records in batches, each of which is committed."""
    found: list[str | None] = []
    for start in range(0, len(records), batch):
        overlay = counts.overlay()
        found += [overlay.admit(one) for one in records[start : start + batch]]
        overlay.merge()
    return found


def test_source__above_its_cap__waits_for_the_next_hour() -> None:
    """The cap counts within an hour of arrival; another source has its own, and so has the next hour."""
    counts = CapCounts(Caps(source=2))
    records = [record(5, source="a"), record(6, source="a"), record(7, source="a"), record(8, source="b")]

    assert admitted(counts, [*records, record(60, source="a")]) == [None, None, "cap.source", None, None]


def test_each_cap__has_its_name_and_its_party() -> None:
    """Source, key and client count records and votes; a cluster counts its votes only."""
    vote = CuratedKind.VOTE
    pairs = [
        (Caps(source=1), record(source="a"), "cap.source"),
        (Caps(api_key=1), record(api_key_hash="k"), "cap.api_key"),
        (Caps(client=1), record(client="desk"), "cap.client"),
        (Caps(cluster=1), record(kind=vote), "cap.cluster"),
    ]

    assert [admitted(CapCounts(caps), [one, one]) for caps, one, _ in pairs] == [[None, rule] for _, _, rule in pairs]
    assert admitted(CapCounts(Caps(cluster=1)), [record(), record(), record(kind=vote)]) == [None, None, None]
    assert admitted(CapCounts(Caps()), [record()] * 100) == [None] * 100


def test_refused_record__uses_up_no_other_cap() -> None:
    """What one cap refuses does not count toward the others."""
    counts = CapCounts(Caps(source=1, client=2))
    records = [record(source="a", client="x"), record(source="a", client="x"), record(source="b", client="x")]

    assert admitted(counts, records) == [None, "cap.source", None]


def test_nameless__share_one_cap() -> None:
    """Leaving the name out helps nobody."""
    assert admitted(CapCounts(Caps(api_key=1)), [record(), record()]) == [None, "cap.api_key"]


def test_new_name_for_each_record__ends_in_the_cap_of_the_nameless() -> None:
    """The parties remembered are bounded, and those known before keep their own cap."""
    counts = CapCounts(Caps(client=3), parties=10)
    known = [record(client="desk")]
    found = admitted(counts, [*known, *(record(client=f"c{n}") for n in range(100)), *known], batch=7)

    assert found == [None] * (1 + 9 + 3) + ["cap.client"] * 88 + [None]
    assert {len(counted) for counted in counts.by_stretch.values()} == {11}


def test_aborted_batch__leaves_no_trace() -> None:
    """What was admitted in a batch that is dropped is admitted again."""
    counts = CapCounts(Caps(source=1))
    dropped = counts.overlay().admit(record())

    assert (dropped, admitted(counts, [record()])) == (None, [None])


def test_clock__that_steps_back__finds_its_counts() -> None:
    """A broker's clock that goes back over a border opens no new room; older still counts in the oldest remembered."""
    counts = CapCounts(Caps(source=1))

    assert admitted(counts, [record(59), record(61), record(59), record(-200), record(121), record(61)]) == [
        None, None, "cap.source", "cap.source", None, "cap.source",
    ]  # fmt: skip
    assert len(counts.by_stretch) == 2


ARRIVALS = st.lists(
    st.builds(
        record,
        st.integers(-90, 400),
        source=st.sampled_from(["a", "b", ""]),
        client=st.sampled_from(["x", "y", "z", "w"]),
        api_key_hash=st.sampled_from([None, "k"]),
        cluster_id=st.sampled_from(["c1", "c2"]),
        kind=st.sampled_from(CuratedKind),
    ),
    max_size=60,
)
CAPS = st.builds(
    Caps, hours=st.integers(1, 2), source=st.none() | st.integers(1, 6), client=st.none() | st.integers(1, 6),
    api_key=st.none() | st.integers(1, 6), cluster=st.none() | st.integers(1, 3),
)  # fmt: skip


@given(ARRIVALS, CAPS, st.integers(0, 60), st.integers(1, 20), st.integers(1, 4))
def test_restart_at_any_point__changes_no_decision(
    records: list[CuratedRecord], caps: Caps, stop: int, batch: int, parties: int
) -> None:
    """Counts rebuilt from what was curated decide like those of a worker that was never interrupted."""
    undisturbed = CapCounts(caps, parties)
    expected = admitted(undisturbed, records)
    before = admitted(CapCounts(caps, parties), records[:stop], batch)
    rebuilt = CapCounts(caps, parties)
    for one, rule in zip(records[:stop], before, strict=True):
        if rule is None:  # it is in `curated`
            rebuilt.add(one)

    assert before + admitted(rebuilt, records[stop:], batch) == expected
    assert rebuilt.by_stretch == undisturbed.by_stretch
    assert len(rebuilt.by_stretch) <= 2
