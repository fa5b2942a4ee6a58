"""Dead letters of every stage: one maker, the same fields, nothing personal, our own numbers untouched."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.edge.process.settings import Settings
from schemas import ids
from schemas.codec import encode
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.records import DeadLetter, Outcome, TrafficRecord
from schemas.rules.normalise import normalise
from schemas.rules.places import REPLAYED_HEADER
from schemas.topics import CURATED, LABELS, OUTCOMES, TRAFFIC
from streams.core.dead_letter import KEPT_BYTES, dead_letter, failed, redacted_bytes
from streams.core.stage import Message, Stage
from streams.curate.stage import CurateStage
from streams.label.stage import LabelStage
from streams.rollout.stage import RolloutStage
from streams.window.stage import WindowStage
from tests.schemas.rules.privacy.personal import PERSONAL, SECRETS
from tests.streams.doubles import NAME, PARTITION, START, MemoryReader, curated, label, message, workload

OUTCOME = Outcome(request_id="r", workload=NAME, text_key="t", latency_seconds=0.1, time=START, record_id="record-1")
# By stage: a record it takes, and the id that record has.
GOOD: dict[str, tuple[Message, str]] = {
    "curate": (
        message(TRAFFIC, 1, TrafficRecord(workload=NAME, event_time=START, text="Acme rises", id="own")),
        ids.record_id(NAME, "own", PARTITION, 1),
    ),
    "label": (message(CURATED, 1, curated(1)), "record-1"),
    "window": (message(LABELS, 1, label(1, "other")), "record-1"),
    "rollout": (message(OUTCOMES, 1, OUTCOME), "record-1"),
}
OFFSETS = count(2)
TEXTS = [(text, expected) for text, expected in PERSONAL + SECRETS if "<" in expected]


@pytest.fixture(scope="module", params=list(GOOD))
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    settings, workloads = Settings(state_dir=folder, artefacts_dir=folder / "artefacts"), {NAME: workload()}
    if request.param == "window":
        window = WindowStage(settings, workloads)
        window.assign(PARTITION, MemoryReader())
        yield window
        asyncio.run(window.close())
    else:
        yield {"curate": CurateStage, "label": LabelStage, "rollout": RolloutStage}[request.param](settings, workloads)


def poisoned(stage: Stage, one: Message, error: Exception, attempts: int = 3) -> DeadLetter:
    """Return the letter of a message that our own code failed on."""
    return _letter(stage.poison(one, error, attempts).outputs)


def rejected(stage: Stage, value: bytes) -> DeadLetter:
    """Return the letter of bytes that are none of the stage's records."""
    (good, _), work = GOOD[stage.name], stage.process
    return _letter(asyncio.run(_settled(work, good._replace(offset=next(OFFSETS), value=value))))


async def _settled(work: Callable[[Any], Awaitable[Any]], one: Message) -> Any:
    return (await work([one])).outputs


def _letter(outputs: Any) -> DeadLetter:
    (output,) = outputs
    assert isinstance(output.record, DeadLetter)
    return output.record


def personal_in(text: str, expected: str) -> list[str]:
    """Return the parts of a text that placeholders replace."""
    kept = [re.escape(part) for part in re.split(r"<[A-Z]+>", expected)]
    found = re.fullmatch("(.+?)".join(kept), normalise(text))
    assert found is not None
    return list(found.groups())


def test_dead_letter__of_any_stage__says_all_there_is_to_say(stage: Stage) -> None:
    """Why, whose, where, when, how often and by which version: the same fields, whichever stage gives up."""
    good, record_id = GOOD[stage.name]
    one = good._replace(headers=(("trace", b"7f"), ("none", None)))
    letter = poisoned(stage, one, ValueError("no"))
    value = one.value or b""

    assert (letter.reason, letter.detail, letter.stage) == ("processing_failed", "ValueError: no", stage.name)
    assert (letter.workload, letter.record_id, letter.key) == (NAME, record_id, NAME.encode())
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset) == (one.topic.name, PARTITION, 1)
    assert (letter.time, letter.attempts, letter.code_version) == (one.appended, 3, metadata.version("millrace"))
    assert [(header.name, header.value) for header in letter.headers] == [("trace", b"7f"), ("none", None)]
    assert (letter.payload_bytes, letter.payload_sha256) == (len(value), sha256(value).hexdigest())
    assert (letter.payload, letter.truncated) == (value, False)


def test_dead_letter__of_bytes_that_cannot_be_read__still_says_whose_and_when(stage: Stage) -> None:
    """The key names the workload; there is no id."""
    letter = rejected(stage, b"garbage")

    assert (letter.reason, letter.workload, letter.record_id) == ("bad_encoding", NAME, None)
    assert (letter.time, letter.attempts) == (GOOD[stage.name][0].appended, 1)
    assert letter.code_version == metadata.version("millrace")


def test_dead_letter__too_large__keeps_hash_size_and_the_first_64_kb(stage: Stage) -> None:
    """One limit for every stage."""
    value = b"garbage " * 100_000
    letter = rejected(stage, value)

    assert (len(letter.payload), letter.truncated) == (KEPT_BYTES, True)
    assert (letter.payload_bytes, letter.payload_sha256) == (len(value), sha256(value).hexdigest())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(TEXTS), st.sampled_from(["", "at 0: ", "'", "{'text': '"]))
def test_dead_letter__of_any_stage_and_any_kind__holds_nothing_personal(
    stage: Stage, caplog: pytest.LogCaptureFixture, personal: tuple[str, str], before: str
) -> None:
    """Neither what an error quotes, nor headers, nor bytes that cannot be read; and no log says it."""
    text = normalise(personal[0])
    good, _ = GOOD[stage.name]
    caplog.set_level(logging.DEBUG)
    one = good._replace(headers=(("x-user", text.encode()),))
    letters = [poisoned(stage, one, ValueError(before + text)), rejected(stage, f"{before}{text}".encode())]
    written = b"".join(map(encode, letters)).decode(errors="replace") + caplog.text

    assert [part for part in personal_in(*personal) if part in written] == []


@pytest.mark.parametrize("size", [4_155_550_123, 2_125_550_199, 5_551_234])
def test_detail__with_a_number_of_ours__keeps_it(size: int) -> None:
    """A size that reads like a phone number is a size; the same digits in what is quoted are not trusted."""
    why = RecordRejected(DeadLetterReason.TOO_LARGE, f"{size} bytes; 1000000 are allowed", f"call {size}")
    letter = _letter([dead_letter(GOOD["curate"][0], "curate", why, b"", workload=NAME, record_id=None)])

    assert letter.detail == f"{size} bytes; 1000000 are allowed: call <PHONE>"
    assert str(why) == f"too_large: {size} bytes; 1000000 are allowed"  # what a log would say


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("personal", ["+49 151 23456789", "192.168.10.5", "john.smith@example.com"])
def test_dead_letter__in_utf_16__holds_nothing_personal(stage: Stage, personal: str, encoding: str) -> None:
    """The zeros between the digits of a number hide it neither in a payload nor in a key or a header."""
    value = b"\xff" + personal.encode(encoding)
    one = GOOD[stage.name][0]._replace(value=value, key=value, headers=(("user", value), (f"u_{personal}", None)))
    why = RecordRejected(DeadLetterReason.BAD_ENCODING, "no text", personal)
    letter = _letter([dead_letter(one, stage.name, why, redacted_bytes(value), workload=NAME, record_id=None)])

    assert personal not in encode(letter).replace(b"\0", b"").decode(errors="replace")


def test_header__that_names_a_place__keeps_it() -> None:
    """Where a record stood before is our own number, however long; anything else in such a header is not."""
    one = GOOD["curate"][0]._replace(
        headers=((REPLAYED_HEADER, b"3:4155550123"), (REPLAYED_HEADER, b"call +1 415 555 0123"))
    )
    letter = _letter([dead_letter(one, "curate", failed(ValueError()), b"", workload=NAME, record_id=None)])

    assert [header.value for header in letter.headers] == [b"3:4155550123", b"call <PHONE>"]


def test_key__of_a_known_workload__is_its_name() -> None:
    """A workload named by a date keeps its name; a key that is no workload's is redacted."""
    one = GOOD["curate"][0]._replace(key=b"ratings-20250101")
    why = failed(ValueError())
    known, other = (
        _letter([dead_letter(one, "curate", why, b"", workload=name, record_id=None)])
        for name in ("ratings-20250101", NAME)
    )

    assert (known.key, known.workload) == (b"ratings-20250101", "ratings-20250101")
    assert other.key == b"ratings-<PHONE>"
