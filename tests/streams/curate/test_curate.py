"""The curate stage, without a broker: every form of traffic, every reason to end, and duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.edge.process.settings import Settings
from schemas import ids
from schemas.codec import encode
from schemas.errors import SettingsError
from schemas.records import (
    AnsweredBy,
    CuratedKind,
    CuratedRecord,
    DeadLetter,
    DiscardedRecord,
    DiscardReason,
    TrafficRecord,
)  # fmt: skip
from schemas.rules.partition import partition_of
from schemas.rules.places import REKEYED_HEADER, REPLAYED_HEADER
from schemas.sections.intake import Privacy, SourcePrivacy
from schemas.topics import CURATED, DEAD_LETTERS, DISCARDED, PARTITIONS, TRAFFIC, Topic
from schemas.workload import Workload
from streams.core.stage import Message, Output, Settlement
from streams.curate.stage import CurateStage

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOME = partition_of("news", PARTITIONS)
FED = "Federal Reserve keeps its key rate unchanged as inflation cools toward target"
FED_AGAIN = "Federal Reserve keeps its key rate unchanged as inflation cools toward goal"
NEWS = Workload(name="news", labels=["up", "down"])


def stage(**changes: Any) -> CurateStage:
    return CurateStage(Settings(), {"news": NEWS.model_copy(update=changes)})


def message(value: bytes | None, offset: int = 0, partition: int = HOME, headers: Sequence[Any] = ()) -> Message:
    return Message(TRAFFIC, partition, offset, b"news", value, tuple(headers), NOW)


def traffic(offset: int = 0, text: str | None = FED, partition: int = HOME, **fields: Any) -> Message:
    values: dict[str, Any] = {"workload": "news", "event_time": NOW, "text": text} | fields
    return message(encode(TrafficRecord(**values)), offset, partition)


async def curate(one: CurateStage, *messages: Message) -> list[Any]:
    """Process one batch, commit it, and return its records."""
    settlement = await one.process(messages)
    settlement.committed()
    return [output.record for output in settlement.outputs]


def nvidia(**changes: Any) -> bytes:
    request = {"model": "big", "messages": [{"role": "user", "content": FED}]}
    response = {"model": "big-1", "choices": [{"message": {"role": "assistant", "content": "up"}}]}
    fields = {"timestamp": 1_772_452_800, "workload_id": "news", "client_id": "desk", "request": request}
    return json.dumps(fields | {"response": response} | changes).encode()


async def test_avro_record__is_redacted_normalised_and_enriched() -> None:
    """Text, answer and free fields lose personal data; words, tickers and ids stay."""
    text = "Analyst   a.b@c.com lifts $AAPL target,  call +1 (415) 555-0134"
    one = traffic(7, text, client="x@y.com", answer="up  x@y.com", attributes={"k": '"x@y.com"'})
    (record,) = await curate(stage(), one)

    assert isinstance(record, CuratedRecord)
    assert record.text == "Analyst <EMAIL> lifts $AAPL target, call <PHONE>"
    assert record.redactions == {"email": 1, "phone": 1}
    assert (record.tickers, record.client, record.answer) == (["AAPL"], "<EMAIL>", "up <EMAIL>")
    assert record.attributes == {"k": '"<EMAIL>"'}
    assert (record.origin.topic, record.origin.offset, record.cluster_id) == ("traffic", 7, record.record_id)


async def test_nvidia_json__keeps_answer_model_time_and_unknown_fields() -> None:
    """NVIDIA's five fields are taken unchanged; what else there is, is kept."""
    (record,) = await curate(stage(), message(nvidia(trace="t-1")))

    assert isinstance(record, CuratedRecord)
    assert (record.text, record.answer, record.model, record.client) == (FED, "up", "big-1", "desk")
    assert (record.answered_by, record.attributes) == (AnsweredBy.UNKNOWN, {"trace": '"t-1"'})
    assert record.event_time == datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("bare", [True, False])
async def test_openai_json__with_a_workload_header__is_taken(bare: bool) -> None:
    """A logger of OpenAI exchanges needs no envelope of ours."""
    found = json.loads(nvidia())
    body = found["request"] if bare else {"request": found["request"], "response": found["response"]}
    (record,) = await curate(stage(), message(json.dumps(body).encode(), headers=[("workload", b"news")]))

    assert (record.text, record.answer) == (FED, None if bare else "up")


async def test_workload_with_a_key__links_the_mentions_of_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text, client and attributes carry the same token for the same address; a source that keeps it is let be."""
    monkeypatch.setenv("PRIVACY_KEY", "a key of the deployment")
    section = Privacy(token_key_env="PRIVACY_KEY", sources={"open": SourcePrivacy(kinds=[])})
    one = stage(privacy=section)
    (linked,) = await curate(one, traffic(1, "mail a@b.com", client="A@B.com", attributes={"cc": "a@b.com"}))
    (kept,) = await curate(one, traffic(2, "write a@b.com", source="open"))

    token = linked.text.removeprefix("mail ")
    assert token.startswith("<EMAIL:")
    assert (linked.client, linked.attributes, linked.redactions) == (token, {"cc": token}, {"email": 1})
    assert (kept.text, kept.redactions) == ("write a@b.com", {})


def test_workload_whose_key_is_not_set__ends_the_start() -> None:
    """No worker runs without the key it is configured to use."""
    with pytest.raises(SettingsError, match="MILLRACE_NO_SUCH_KEY"):
        stage(privacy=Privacy(token_key_env="MILLRACE_NO_SUCH_KEY"))


BAD = [
    (b"\x07\x08garbage", "bad_encoding"),
    (b"", "bad_encoding"),
    (None, "bad_encoding"),
    (b"\xc3\x01" + b"\x00" * 12, "bad_schema"),
    (encode(TrafficRecord(workload="news", event_time=NOW, text=FED))[:30], "bad_schema"),
    (b"[1, 2]", "bad_field"),
    (b'{"request": {}}', "bad_field"),
    (nvidia(workload_id=7), "bad_field"),
    (nvidia(timestamp="yesterday"), "bad_field"),
    (nvidia(timestamp=True), "bad_field"),
    (nvidia(timestamp=1e300), "bad_field"),
    (nvidia(request="[]"), "bad_field"),
    (nvidia(workload_id="nobody"), "unknown_workload"),
    (nvidia(request={}), "no_text"),
    (nvidia(request=None), "no_text"),
    (nvidia(request={"messages": [{"role": "user", "content": " "}]}), "no_text"),
    (nvidia(request={"messages": [{"role": "user", "content": "x" * 8_001}]}), "too_long"),
    (nvidia(response={"a": json.loads("[" * 30 + "]" * 30)}), "too_deep"),
    (b'{"workload_id":' + b"[" * 5_000, "bad_encoding"),
    (nvidia(timestamp=(NOW - timedelta(days=4_000)).timestamp()), "too_old"),
    (nvidia(timestamp=(NOW + timedelta(hours=1)).timestamp()), "in_future"),
    (b"x" * 1_000_001, "too_large"),
]


@pytest.mark.parametrize(("value", "reason"), BAD, ids=[f"{n}-{reason}" for n, (_, reason) in enumerate(BAD)])
async def test_bad_input__becomes_a_dead_letter_with_its_reason(value: bytes | None, reason: str) -> None:
    """Nothing is dropped and nothing stops the stream."""
    (letter,) = await curate(stage(), message(value, 3))

    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.origin.offset, letter.payload_bytes) == (reason, 3, len(value or b""))
    assert len(letter.payload) <= 65_536
    assert letter.truncated == (len(value or b"") > 65_536)


PERSONAL = (
    b"jane.doe@example.com", b"4111111111111111", b"555-0134", b"DE89370400440532013000", b"203.0.113.77", b"31926819",
    b"ghp_16C7e42F292c6912E7710c838347Ae178B4a", b"hunter2#", b"9f86d081884c7d659a2feaa0c55ad015",
)  # fmt: skip
TELLING = (
    "Jane jane.doe@example.com +1 (415) 555-0134 4111111111111111 DE89370400440532013000 from 203.0.113.77 account no. "
    "31926819 ghp_16C7e42F292c6912E7710c838347Ae178B4a password: hunter2# api_key=9f86d081884c7d659a2feaa0c55ad015"
)
BESIDE = {
    "account_number": 31926819,
    "password": "hunter2#",
    "headers": {"x-api-key": "9f86d081884c7d659a2feaa0c55ad015"},
}


@pytest.mark.parametrize(
    "bad",
    [
        encode(TrafficRecord(workload="nobody", event_time=NOW, text=TELLING, id=TELLING, attributes={"k": TELLING})),
        encode(TrafficRecord(workload="nobody", event_time=NOW, request=json.dumps({"messages": [TELLING]}))),
        encode(TrafficRecord(workload="news", event_time=NOW, text=TELLING))[:-4],
        b"\xff\xfe" + TELLING.encode() + b"\x00",
        json.dumps({"workload_id": TELLING, "timestamp": 1, "n": 4111111111111111, TELLING: [TELLING]}).encode(),
        json.dumps({"workload_id": "nobody", "timestamp": 1} | BESIDE).encode(),
        encode(
            TrafficRecord(workload="nobody", event_time=NOW, attributes={k: json.dumps(v) for k, v in BESIDE.items()})
        ),
        b'{"broken": "' + TELLING.encode(),
    ],
)
async def test_dead_letter__of_a_record_with_personal_data__holds_none_of_it(bad: bytes) -> None:
    """Payload, headers, key and detail are redacted, whether the bytes decode or not."""
    one = message(bad, headers=[("x-user", TELLING.encode()), ("password", b"hunter2#")])
    (output,) = (await stage().process([one])).outputs
    written = encode(output.record) + output.workload.encode()

    assert isinstance(output.record, DeadLetter)
    assert [secret for secret in PERSONAL if secret in written] == []


async def test_request__that_only_the_teacher_can_answer__is_filtered_with_its_reason() -> None:
    """No student is taught on a request that no student may answer."""
    request = {"messages": [{"role": "user", "content": FED}], "tools": [{"type": "function"}]}
    (record,) = await curate(stage(), message(nvidia(request=request)))

    assert isinstance(record, DiscardedRecord)
    assert (record.reason, record.detail) == (DiscardReason.FILTERED, "only the teacher can answer: tools")


async def test_duplicates__in_one_batch_and_over_batches__name_the_first_of_their_cluster() -> None:
    """By id, by exact text after normalising, and nearly; each names a record that is in `curated`."""
    one = stage()
    first, same, near = await curate(one, traffic(0, id="a"), traffic(1, FED.upper() + "  "), traffic(2, FED_AGAIN))
    again, later = await curate(one, traffic(3, "another text altogether", id="a"), traffic(4, FED_AGAIN))

    assert [r.reason for r in (same, near, again, later)] == [
        DiscardReason.DUPLICATE_TEXT, DiscardReason.NEAR_DUPLICATE, DiscardReason.DUPLICATE_ID,
        DiscardReason.NEAR_DUPLICATE,
    ]  # fmt: skip
    assert {r.duplicate_of for r in (same, near, again, later)} == {first.record_id}


async def test_duplicate__with_another_recorded_answer_or_drawn_for_audit__goes_on_as_a_vote() -> None:
    """What a duplicate says anew is not lost, nor who agrees with the first from then on; a student says nothing."""
    one = stage()
    records = await curate(
        one,
        traffic(0, answer="up"),
        traffic(1, answer="up"),
        traffic(2, answer="down", id="v"),
        traffic(3, answer="up", answered_by=AnsweredBy.STUDENT),
        traffic(4, FED_AGAIN, audit=True, propensity=0.05),
        traffic(5, answer="down", id="v"),
        traffic(6, answer="up"),
    )

    kinds = [getattr(record, "kind", None) for record in records]
    vote = CuratedKind.VOTE
    assert kinds == [CuratedKind.RECORD, None, vote, None, vote, None, vote]
    assert {record.cluster_id for record in records} == {records[0].record_id}
    assert records[5].reason == DiscardReason.DUPLICATE_ID


async def test_aborted_batch__leaves_no_trace_in_the_index() -> None:
    """A batch that comes again after an abort is decided as if it had never come."""
    one = stage()
    dropped = await one.process([traffic(0)])
    dropped.aborted()
    (record,) = await curate(one, traffic(0))

    assert isinstance(record, CuratedRecord)


async def test_record_on_a_wrong_partition__is_sent_on_once() -> None:
    """A producer with another partitioner is put right; a record that is wrong again is a dead letter, no loop."""
    wrong = (HOME + 1) % PARTITIONS
    (output,) = (await stage().process([traffic(9, partition=wrong)])).outputs
    (header,) = output.headers
    (letter,) = await curate(stage(), message(encode(output.record), 0, wrong, [header]))
    (record,) = await curate(stage(), message(encode(output.record), 0, output.partition, [header]))

    assert (output.topic, output.partition, header) == (TRAFFIC, HOME, (REKEYED_HEADER, f"{wrong}:9".encode()))
    assert isinstance(letter, DeadLetter)
    assert isinstance(record, CuratedRecord)


def poisoned(one: Message) -> DeadLetter:
    """Return the dead letter of a message that our own code failed on."""
    (output,) = stage().poison(one, ValueError("x@y.com"), 3).outputs
    assert isinstance(output.record, DeadLetter)
    return output.record


@pytest.mark.parametrize("passed", [REKEYED_HEADER, REPLAYED_HEADER])
async def test_record_written_again__keeps_the_id_of_its_first_place(passed: str) -> None:
    """A record without an id of its own that is sent on or replayed is the record it was; what it repeats is found."""
    headers = [(passed, b"3:17"), (REPLAYED_HEADER, f"{HOME}:40".encode())]
    again = message(traffic().value, 90, headers=headers)
    record, repeated = await curate(stage(), again, message(traffic().value, 91, headers=headers))

    assert record.record_id == ids.record_id("news", None, 3, 17) == poisoned(again).record_id
    assert (record.origin.partition, record.origin.offset) == (HOME, 90)
    assert (repeated.reason, repeated.duplicate_of) == (DiscardReason.DUPLICATE_ID, record.record_id)


async def test_dead_letter__says_the_id_the_record_would_have_had() -> None:
    """Where the record could be read, also if its workload is unknown; garbage has no id."""
    nobodys = traffic(5, workload="nobody", id="request-7")
    letter, garbage = await curate(stage(), nobodys, message(b"garbage", 6))

    assert (letter.reason, letter.record_id) == ("unknown_workload", ids.record_id("nobody", "request-7", HOME, 5))
    assert garbage.record_id is None
    assert poisoned(message(b"garbage")).record_id is None


class Kept:
    """Reads back what a test wrote, in the place of the broker."""

    def __init__(self, outputs: Sequence[Output], headers: Sequence[Any] = ()) -> None:
        self._outputs = [output for output in outputs if output.topic == CURATED]
        self._headers = tuple(headers)

    def read(self, topic: Topic, partition: int, start: int | None = None) -> Iterator[Message]:
        for offset, output in enumerate(self._outputs):
            yield Message(topic, partition, offset, b"news", encode(output.record), self._headers, NOW)

    def topic_id(self, topic: Topic) -> str:
        return "id"

    def committed(self, topic: Topic, partition: int) -> int:
        return 0


@pytest.mark.parametrize("horizon", [200_000, 5])
async def test_rebuilt_index__decides_like_one_that_was_never_interrupted(horizon: int) -> None:
    """From `curated` alone, also where the horizon has evicted clusters."""
    messages = [
        traffic(n, f"{FED} {' '.join(f'w{n * n % 11}{i}' for i in range(9))}", answer="up" if n % 3 else "down")
        for n in range(60)
    ]
    whole = stage(duplicates=NEWS.duplicates.model_copy(update={"horizon": horizon}))
    undisturbed = await _in_batches(whole, messages)
    first = stage(duplicates=NEWS.duplicates.model_copy(update={"horizon": horizon}))
    outputs = await _in_batches(first, messages[:30])
    second = stage(duplicates=NEWS.duplicates.model_copy(update={"horizon": horizon}))
    second.assign(HOME, Kept(outputs))
    outputs += await _in_batches(second, messages[30:])

    assert [output.record for output in outputs] == [output.record for output in undisturbed]
    assert {output.topic for output in outputs} == {CURATED, DISCARDED}


async def test_rebuilt_index__takes_a_replayed_curated_record_for_no_second_member() -> None:
    """A dead letter of the label stage that was replayed is twice in `curated`; its text was seen once."""
    written = await _in_batches(stage(), [traffic(0)])
    one = stage()
    one.assign(HOME, Kept(written, [(REPLAYED_HEADER, f"{HOME}:0".encode())]))
    (record,) = await curate(one, traffic(1))

    assert isinstance(record, CuratedRecord)


async def _in_batches(one: CurateStage, messages: list[Message]) -> list[Output]:
    outputs: list[Output] = []
    for start in range(0, len(messages), 10):
        settlement: Settlement = await one.process(messages[start : start + 10])
        settlement.committed()
        outputs += settlement.outputs
    return outputs


async def test_poison__becomes_a_dead_letter_that_says_how_often_it_was_tried() -> None:
    """Our own failure is reported by the kind of the error, without personal data."""
    (output,) = stage().poison(traffic(4), ValueError("x@y.com"), 3).outputs
    letter = poisoned(traffic(4))

    assert (output.topic, letter.attempts, letter.detail) == (DEAD_LETTERS, 3, "ValueError: <EMAIL>")
