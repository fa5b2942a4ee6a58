"""What `traffic` accepts: each JSON form with its fields, and each limit of a workload."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.ids import key_hash
from schemas.records import TrafficRecord
from schemas.rules.chat import FoundText, Ineligible, template_fingerprint
from schemas.sections.intake import Limits
from schemas.topics import TRAFFIC
from schemas.workload import Workload
from streams.core.stage import Message
from streams.curate.decode import _FIELD_HEADERS, decode_traffic, depth, longest_string
from streams.curate.validate import check_exchange, find_text

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NEWS = Workload(name="news", labels=["up", "down"])
FED = "Federal Reserve keeps its key rate unchanged"
WORKLOAD = ("workload", b"news")
CALL = {"id": "call_1", "type": "function", "function": {"name": "quote", "arguments": '{"ticker": "AAPL"}'}}
TOOL = {"type": "function", "function": {"name": "quote", "parameters": {"type": "object", "properties": {}}}}


def message(body: dict[str, Any] | bytes, *headers: tuple[str, bytes | None]) -> Message:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(TRAFFIC, 0, 0, b"news", value, headers or (WORKLOAD,), NOW)


def response(**said: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"} | said}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_772_452_800, "model": "big-2026-01-01",
        "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    }  # fmt: skip


def asked(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "big", "messages": list(messages)} | more


USER = {"role": "user", "content": FED}
PARTS = {"role": "user", "content": [{"type": "text", "text": FED}]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (asked(USER), FED),
        (asked(PARTS), FED),
        (asked(USER, tools=[], temperature=0, metadata={"desk": "fx"}), FED),
        (asked(USER, tools=[TOOL], tool_choice="auto"), "tools"),
        (asked(USER, functions=[{"name": "quote"}]), "functions"),
        (asked(USER, response_format={"type": "json_object"}), "response_format"),
        (asked(USER, n=2), "n"),
        (asked(USER, {"role": "assistant", "content": "up"}, USER), "turns"),
        (asked(USER, {"role": "assistant", "content": None, "tool_calls": [CALL]},
               {"role": "tool", "tool_call_id": "call_1", "content": "189.3"}), "turns"),
        (asked({"role": "system", "content": "Be brief."}, USER), "system"),
        (asked({"role": "user", "content": [{"type": "text", "text": FED}, IMAGE]}), "modality"),
        (asked({"role": "user", "content": [IMAGE]}), "modality"),
        (asked({"role": "user", "content": [{"type": "text", "text": FED}] * 2}), "modality"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["openai", "request", "nvidia"])
def test_exchange__has_a_text_or_a_reason(form: str, request_: dict[str, Any], found: str) -> None:
    """Tool calls, conversations and parts decode; what a student may not answer says why, in each form."""
    bodies = {
        "openai": {"request": request_, "response": response(content="up")},
        "request": request_,
        "nvidia": {"timestamp": 1_772_452_800, "workload_id": "news", "client_id": "desk", "request": request_,
                   "response": response(content="up")},
    }  # fmt: skip
    record = decode_traffic(message(bodies[form]))
    check_exchange(record, 100, NEWS.limits)
    text = find_text(record, NEWS, template_fingerprint(NEWS))

    expected = FoundText(FED, template_fingerprint(NEWS)) if found == FED else Ineligible(found)
    assert text == expected


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"content": "up"}, "up"),
        ({"content": [{"type": "text", "text": "up"}]}, "up"),
        ({"content": None, "tool_calls": [CALL]}, None),
        ({"tool_calls": [CALL]}, None),
        ({"content": None, "refusal": "I cannot"}, None),
        ({"content": [{"type": "refusal", "refusal": "I cannot"}]}, None),
    ],
)
def test_response__has_an_answer_or_none(said: dict[str, Any], answer: str | None) -> None:
    """A tool call or a refusal is no answer; the model that answered is kept in any case."""
    record = decode_traffic(message({"request": asked(USER), "response": response(**said)}))

    assert (record.answer, record.model, record.id) == (answer, "big-2026-01-01", "chatcmpl-1")


def test_headers__tell_what_json_has_no_field_for() -> None:
    """Client, version, source and key come from headers; NVIDIA's own client_id goes before; Avro has fields."""
    headers = (
        WORKLOAD, ("Client", b"desk"), ("client-version", b"2.1"), ("source", b"wire-a"), ("api-key-hash", b"a" * 64),
        ("client", b"second"), ("client-version", b""),
    )  # fmt: skip
    bare = decode_traffic(message(asked(USER), *headers))
    five = {"timestamp": 1_772_452_800, "workload_id": "news", "client_id": "own", "request": asked(USER)}
    nvidia = decode_traffic(message(five, *headers))
    avro = decode_traffic(message(encode(TrafficRecord(workload="news", event_time=NOW, text=FED)), *headers))

    assert (bare.client, bare.client_version, bare.source, bare.api_key_hash) == ("desk", "2.1", "wire-a", "a" * 64)
    assert (nvidia.client, nvidia.client_version, nvidia.source) == ("own", "2.1", "wire-a")
    assert (avro.client, avro.client_version, avro.source, avro.api_key_hash) == ("", None, "", None)


@pytest.mark.parametrize(("header", "field"), _FIELD_HEADERS.items())
def test_header__fills_its_field(header: str, field: str) -> None:
    """Each header that names a field is that field of the record."""
    record = decode_traffic(message(asked(USER), WORKLOAD, (header, b"a" * 64)))

    assert getattr(record, field) == "a" * 64


@pytest.mark.parametrize("key", ["sk-proj-abc123", "A" * 64, "not hex at all", "a" * 40])
def test_raw_api_key__is_hashed_before_anything_is_kept(key: str) -> None:
    """A key that was sent in place of its hash is still distinguished, and is written nowhere."""
    record = decode_traffic(message(asked(USER), WORKLOAD, ("api-key-hash", key.encode())))

    assert record.api_key_hash == key_hash(key)
    assert key.encode() not in encode(record)
    assert key_hash(key_hash(key)) == key_hash(key)


def test_header__that_is_not_utf8() -> None:
    """It is a dead letter that names the header."""
    with pytest.raises(RecordRejected, match="client-version is not UTF-8"):
        decode_traffic(message(asked(USER), WORKLOAD, ("client-version", b"\xff")))


LONG = asked({"role": "user", "content": "x" * 300})
DEEP = asked(USER, metadata=json.loads('{"a":' * 20 + "1" + "}" * 20))


@pytest.mark.parametrize(
    ("limits", "request_", "answer", "reason", "says"),
    [
        ({"record_bytes": 200}, LONG, None, DeadLetterReason.TOO_LARGE, "200 are allowed"),
        ({"string_characters": 250}, LONG, None, DeadLetterReason.TOO_LONG, "request holds a string of 300"),
        ({"string_characters": 250}, asked(USER, **{"k" * 300: 1}), None, DeadLetterReason.TOO_LONG, "of 300"),
        ({"string_characters": 250}, asked(USER), "y" * 260, DeadLetterReason.TOO_LONG, "response holds a string"),
        ({"depth": 16}, DEEP, None, DeadLetterReason.TOO_DEEP, "request is nested deeper than 16"),
        ({"characters": 200}, LONG, None, DeadLetterReason.TOO_LONG, "300 characters; 200 are allowed"),
    ],
)
def test_limit__that_is_passed(limits: Any, request_: Any, answer: str | None, reason: str, says: str) -> None:
    """Each limit has its reason and says its number; the same record is taken where the limit is higher."""
    body = {"request": request_} | ({} if answer is None else {"response": response(content=answer)})
    sent = message(body)
    workload = NEWS.model_copy(update={"limits": Limits(**limits)})

    def judged(by: Workload) -> None:
        record = decode_traffic(sent)
        check_exchange(record, len(sent.value or b""), by.limits)
        find_text(record, by, template_fingerprint(by))

    with pytest.raises(RecordRejected) as caught:
        judged(workload)
    judged(NEWS.model_copy(update={"limits": Limits(depth=50)}))

    assert caught.value.reason == reason
    assert says in caught.value.detail


def test_recorded_answer__is_held_to_the_limit_too() -> None:
    """The answer of an Avro record is a string of its exchange."""
    record = TrafficRecord(workload="news", event_time=NOW, text=FED, answer="y" * 300)
    with pytest.raises(RecordRejected, match="answer holds a string of 300"):
        check_exchange(record, 100, Limits(string_characters=250))


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=12), JSON, max_size=3), st.integers(1, 6), st.integers(1, 12))
def test_quick_looks__pass_nothing_that_a_walk_would_stop(value: dict[str, Any], deep: int, long: int) -> None:
    """Counting brackets and characters first saves the walk and changes no decision."""
    limits = Limits(depth=deep, string_characters=long)
    record = TrafficRecord(workload="news", event_time=NOW, request=json.dumps(value, ensure_ascii=False))
    try:
        check_exchange(record, 10, limits)
        passed = True
    except RecordRejected:
        passed = False

    assert passed == (depth(value) <= deep and longest_string(value) <= long)
