"""Which letters are meant, and which of them can be replayed: on paper."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.commands.dead_letters.letters import Filter, Letter, place_of, time_of
from deploy.commands.dead_letters.plan import OriginState, ReplayPlan, origin_of, plan
from deploy.commands.dead_letters.show import line, payload_of, printable
from deploy.edge.topics.framing import Framing
from schemas.codec import encode
from schemas.errors import BadInput
from schemas.records import DeadLetter, Origin, TrafficRecord

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def letter(offset: int = 0, topic: str = "traffic", at: int = 0, **fields: Any) -> Letter:
    values: dict[str, Any] = {
        "reason": "no_text", "detail": "", "stage": "curate", "origin": Origin(topic=topic, partition=3, offset=at),
        "time": NOW, "payload": b"", "payload_bytes": 0, "payload_sha256": "", "workload": "news",
    } | fields  # fmt: skip
    return Letter((3, offset), NOW + timedelta(minutes=offset), DeadLetter(**values))


KEPT = OriginState(100)


def planned(*letters: Letter, state: OriginState = KEPT, again: bool = False) -> ReplayPlan:
    return plan(letters, {origin_of(each): state for each in letters}, again=again)


def test_filter__narrows_by_all_that_is_given() -> None:
    """Reason, stage, workload and the broker's time; what is not given does not narrow."""
    letters = [letter(0), letter(1, reason="too_long"), letter(2, stage="label"), letter(3, workload="filings")]

    def taken(**given: Any) -> list[int]:
        return [each.place[1] for each in letters if Filter(**given).takes(each)]

    assert taken() == [0, 1, 2, 3]
    assert taken(reasons={"too_long", "too_deep"}) == [1]
    assert taken(stage="label") == [2]
    assert taken(workload="filings") == [3]
    assert taken(since=NOW + timedelta(minutes=1), until=NOW + timedelta(minutes=3)) == [1, 2]
    assert taken(workload="news", stage="label", reasons={"too_long"}) == []


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        (None, None),
    ],
)
def test_time__is_an_age_or_an_iso_time(text: str | None, time: datetime | None) -> None:
    """People write either; a time without a zone is UTC."""
    assert time_of("--since", text, NOW) == time


@pytest.mark.parametrize("text", ["2 h", "yesterday", "-2h", "2w", ""])
def test_time__of_anything_else_names_the_option_and_the_remedy(text: str) -> None:
    """A mistake is reported, never guessed at."""
    with pytest.raises(BadInput, match=r"--since = .*ISO 8601"):
        time_of("--since", text, NOW)


def test_place__of_anything_else_says_where_places_come_from() -> None:
    """A letter is named as `list` names it."""
    assert place_of("3:17") == (3, 17)
    with pytest.raises(BadInput, match="dead-letters list"):
        place_of("3/17")


def test_plan__takes_letters_of_traffic_and_curated_whose_origin_stands() -> None:
    """Both stages take a record that comes again."""
    found = planned(letter(0, at=5), letter(1, "curated", at=7, stage="label"))

    assert ([each.place[1] for each in found.ready], found.refused) == ([0, 1], [])


@pytest.mark.parametrize("topic", ["labels", "training-runs", "model-state", "outcomes", "no topic of ours"])
def test_plan__refuses_letters_of_what_is_read_back(topic: str) -> None:
    """A second copy of a label or of a control event would count twice."""
    ((_, why),) = planned(letter(topic=topic)).refused

    assert "would count twice" in why


def test_plan__refuses_what_is_gone_too_large_or_meant_twice() -> None:
    """Each with its reason; nothing is passed over in silence."""
    reasons = [
        planned(letter(at=5), state=OriginState(None)).refused,
        planned(letter(at=5), state=OriginState(1_000_001)).refused,
        planned(letter(0, at=5), letter(1, at=5)).refused,
    ]

    assert [why for ((_, why),) in reasons] == [
        "its origin traffic/3 at offset 5 is gone: the topic no longer keeps it",
        "with the replay's header it has 1000001 bytes; traffic takes 1000000",
        "another letter of the same record is replayed",
    ]


def test_plan__refuses_a_second_replay_unless_it_is_of_traffic_and_asked_for() -> None:
    """A traffic record that comes again is found to be a duplicate; a curated one would be labelled twice."""
    before = OriginState(100, ((3, 90),))
    ((_, why),) = planned(letter(at=5), state=before).refused
    curated = planned(letter(1, "curated", at=7), state=before, again=True)

    assert why == "it was replayed before, to traffic/3 at offset 90; --again replays it once more"
    assert len(planned(letter(at=5), state=before, again=True).ready) == 1
    assert "a second label would count twice" in curated.refused[0][1]


def test_payload__is_shown_in_the_form_it_has() -> None:
    """Our Avro and JSON are laid out, other bytes are escaped; none of them fails."""
    avro = encode(TrafficRecord(workload="news", event_time=NOW, text="<EMAIL>"))
    payloads = (avro, b'{"a": [1]}', b"\xc3\x01\xff", b"[" * 9_999)
    forms = [payload_of(letter(payload=payload), Framing()) for payload in payloads]

    assert [form for form, _ in forms] == ["TrafficRecord", "JSON", "bytes", "bytes"]
    assert json.loads(forms[0][1])["text"] == "<EMAIL>"
    assert forms[1][1] == '{\n  "a": [\n    1\n  ]\n}'
    assert forms[2][1] == "\\xc3\x01\\xff"


def test_text__cannot_steer_the_terminal() -> None:
    """Control and direction characters are escaped; what looks like markup is text."""
    assert printable("a\x1b[2J\u202e\n[red]ü").plain == "a\\x1b[2J\\u202e\\n[red]ü"
    assert "\\u001b" in line(letter(detail="\x1b[2J"))
