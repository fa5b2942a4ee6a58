"""The way of a record on paper: what belongs together, in which order, and what has not ended."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.commands.verify.way import SeenOutput, Step, ending, in_order, related, state_of
from schemas.rules.places import TopicOffset

FIRST: TopicOffset = ("traffic", 3, 10)
REKEYED: TopicOffset = ("traffic", 5, 40)
REPLAYED: TopicOffset = ("traffic", 5, 90)
CURATED: TopicOffset = ("curated", 5, 7)
AGAIN: TopicOffset = ("curated", 5, 12)
WAY = {
    FIRST, REKEYED, REPLAYED, CURATED, AGAIN, ("dead-letters", 5, 1), ("dead-letters", 5, 2), ("labels", 5, 4),
}  # fmt: skip
CAME_FROM = {REKEYED: FIRST, REPLAYED: REKEYED, AGAIN: CURATED, ("traffic", 6, 1): ("traffic", 6, 0)}
OUTPUTS = [
    SeenOutput(("dead-letters", 5, 1), REKEYED, None),  # its id could not be read
    SeenOutput(CURATED, REPLAYED, "id"),
    SeenOutput(("dead-letters", 5, 2), CURATED, None),
    SeenOutput(AGAIN, REPLAYED, "id"),
    SeenOutput(("labels", 5, 4), AGAIN, "id"),
    SeenOutput(("curated", 5, 8), ("traffic", 5, 41), "another"),
    SeenOutput(("discarded", 6, 0), ("traffic", 6, 1), "third"),
]


@pytest.mark.parametrize("place", [None, FIRST, REKEYED, REPLAYED])
def test_way__is_the_same_from_the_id_and_from_every_place(place: TopicOffset | None) -> None:
    """Sent on, dead letter, replayed, curated, dead letter again, replayed again, labelled: one record."""
    found = related(OUTPUTS, CAME_FROM, {place} if place else set(), set() if place else {"id"})

    assert found == (WAY, {"id"})


def test_way__of_a_record_without_any_output__is_where_it_stands() -> None:
    """A record in flight is found by its place, and nothing of others with it."""
    assert related(OUTPUTS, CAME_FROM, {("traffic", 5, 99)}, set()) == ({("traffic", 5, 99)}, set())


def test_steps__of_one_moment__stand_in_the_order_of_the_flow() -> None:
    """By the broker's clock; a transaction writes its outputs within one millisecond."""
    steps = [Step(topic=topic, partition=0, offset=0, appended_ms=at, what="")
             for topic, at in (("labels", 5), ("curated", 5), ("dead-letters", 9), ("traffic", 5))]  # fmt: skip

    assert [step.topic for step in in_order(steps)] == ["traffic", "curated", "labels", "dead-letters"]


def test_state__tells_what_is_on_its_way_from_what_has_no_ending() -> None:
    """Below the committed offset an ending must be there; at or above it is only in flight."""
    committed = {"traffic": {5: 90}, "curated": {}}

    assert state_of([FIRST, REKEYED, REPLAYED, CURATED], [FIRST], committed) == [
        "curated/5 at offset 7 is in flight: its stage has not come to it yet",
        "traffic/5 at offset 40 was settled, and no ending of it is kept; see `millrace verify`",
        "traffic/5 at offset 90 is in flight: its stage has not come to it yet",
    ]


SAYS: list[tuple[str, dict[str, Any], str]] = [
    ("curated", {"kind": "RECORD"}, "curated"),
    ("curated", {"kind": "VOTE", "duplicate_of": "a"}, "a vote on a"),
    ("curated", {"kind": "ANCHOR"}, "an anchor, to be asked again"),
    ("discarded", {"stage": "CURATE", "reason": "NEAR_DUPLICATE", "duplicate_of": "a"},
     "discarded by curate: near_duplicate of a"),
    ("discarded", {"stage": "LABEL", "reason": "VOTE", "duplicate_of": None}, "discarded by label: vote"),
    ("labels", {"kind": "LABEL", "label": "up", "provenance": "HARVEST", "split": "TEST"},
     "labelled up by harvest, split test"),
    ("labels", {"kind": "ERASURE", "label": "", "provenance": "UNKNOWN", "split": "TEST"}, "erased"),
    ("labels", {"kind": "CORRECTION", "label": "down", "provenance": "TEACHER", "split": "TRAIN"}, "asked again: down"),
    ("dead-letters", {"stage": "label", "reason": "unknown_label"}, "dead letter of label: unknown_label"),
]  # fmt: skip


@pytest.mark.parametrize(("topic", "fields", "says"), SAYS)
def test_ending__says_what_became_of_the_record_and_never_its_text(
    topic: str, fields: dict[str, Any], says: str
) -> None:
    """Why, of whom, what and by whom; not even the redacted text."""
    shared = {"record_id": "id", "workload": "news", "text": "T", "payload": b"P", "answer": "A"}
    what, facts = ending(topic, shared | fields)

    assert what == says
    assert facts["record_id"] == "id"
    assert not {"text", "payload", "answer"} & facts.keys()
