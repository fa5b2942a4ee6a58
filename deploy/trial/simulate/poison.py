"""Records that can never be processed, each in its own way: every one of them must end as a dead letter."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from deploy.trial.simulate.forms import RecordContent, Wire, bare
from schemas.manifest import canonical
from schemas.topics import RECORD_BYTES
from schemas.workload import Workload

UNKNOWN: Final = "ghostwire"  # a workload that no file names
_CHARACTERS: Final = RECORD_BYTES // 8  # far below what the topic takes, in any encoding

Poison = Callable[[RecordContent, Workload, random.Random], Wire]


def poisoned(content: RecordContent, workload: Workload, kind: str, rng: random.Random) -> Wire:
    """Return a record of that kind of poison."""
    return POISONS[kind](content, workload, rng)


def _malformed(_: RecordContent, workload: Workload, rng: random.Random) -> Wire:
    return Wire(workload.name, b"\xfe" + rng.randbytes(rng.randint(8, 200)))


def _truncated(content: RecordContent, workload: Workload, rng: random.Random) -> Wire:
    value = bare(content, workload).value
    return Wire(workload.name, value[: rng.randint(12, len(value) // 2)])


def _wrong_types(content: RecordContent, workload: Workload, _: random.Random) -> Wire:
    value = _json(content, workload) | {"timestamp": "the other day", "request": 17}
    return Wire(workload.name, canonical(value))


def _invalid_utf8(content: RecordContent, workload: Workload, _: random.Random) -> Wire:
    return Wire(workload.name, canonical(_json(content, workload)).replace(b"user", b"us\xff\xfer", 1))


def _too_deep(content: RecordContent, workload: Workload, _: random.Random) -> Wire:
    nested: Any = content.text
    for _level in range(10 * workload.limits.depth):
        nested = [nested]
    value = _json(content, workload)
    return Wire(workload.name, canonical(value | {"request": value["request"] | {"metadata": nested}}))


def _too_long(content: RecordContent, workload: Workload, _: random.Random) -> Wire:
    characters = min(4 * workload.limits.characters, _CHARACTERS)
    text = (content.text + " ") * (characters // len(content.text) + 1)
    return bare(dataclasses.replace(content, text=text), workload)


def _in_future(content: RecordContent, workload: Workload, rng: random.Random) -> Wire:
    later = datetime(2099, 1, 1, rng.randint(0, 23), tzinfo=UTC)
    return bare(dataclasses.replace(content, event_time=later), workload)


def _unknown_workload(content: RecordContent, workload: Workload, _: random.Random) -> Wire:
    return bare(content, workload.model_copy(update={"name": UNKNOWN}))


def _empty(content: RecordContent, workload: Workload, rng: random.Random) -> Wire:
    return bare(dataclasses.replace(content, text=rng.choice(("", "   ", "\n\t"))), workload)


def _json(content: RecordContent, workload: Workload) -> dict[str, Any]:
    return {
        "timestamp": int(content.event_time.timestamp()),
        "workload_id": workload.name,
        "client_id": content.client,
        "request": {"messages": [{"role": "user", "content": content.text}]},
        "response": None,
    }


POISONS: Final[dict[str, Poison]] = {
    "malformed_bytes": _malformed,
    "truncated_avro": _truncated,
    "wrong_types": _wrong_types,
    "invalid_utf8": _invalid_utf8,
    "too_deep": _too_deep,
    "too_long": _too_long,
    "in_future": _in_future,
    "unknown_workload": _unknown_workload,
    "empty_text": _empty,
}
