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


def poisoned(told: RecordContent, workload: Workload, kind: str, rng: random.Random) -> Wire:
    """Return a record of that kind of poison."""
    return POISONS[kind](told, workload, rng)


def _malformed(_: RecordContent, workload: Workload, rng: random.Random) -> Wire:
    return Wire(workload.name, b"\xfe" + rng.randbytes(rng.randint(8, 200)))


def _truncated(told: RecordContent, workload: Workload, rng: random.Random) -> Wire:
    value = bare(told, workload).value
    return Wire(workload.name, value[: rng.randint(12, len(value) // 2)])


def _wrong_types(told: RecordContent, workload: Workload, _: random.Random) -> Wire:
    value = _json(told, workload) | {"timestamp": "the other day", "request": 17}
    return Wire(workload.name, canonical(value))


def _invalid_utf8(told: RecordContent, workload: Workload, _: random.Random) -> Wire:
    return Wire(workload.name, canonical(_json(told, workload)).replace(b"user", b"us\xff\xfer", 1))


def _too_deep(told: RecordContent, workload: Workload, _: random.Random) -> Wire:
    nested: Any = told.text
    for _level in range(10 * workload.limits.depth):
        nested = [nested]
    value = _json(told, workload)
    return Wire(workload.name, canonical(value | {"request": value["request"] | {"metadata": nested}}))


def _too_long(told: RecordContent, workload: Workload, _: random.Random) -> Wire:
    characters = min(4 * workload.limits.characters, _CHARACTERS)
    text = (told.text + " ") * (characters // len(told.text) + 1)
    return bare(dataclasses.replace(told, text=text), workload)


def _in_future(told: RecordContent, workload: Workload, rng: random.Random) -> Wire:
    later = datetime(2099, 1, 1, rng.randint(0, 23), tzinfo=UTC)
    return bare(dataclasses.replace(told, event_time=later), workload)


def _unknown_workload(told: RecordContent, workload: Workload, _: random.Random) -> Wire:
    return bare(told, workload.model_copy(update={"name": UNKNOWN}))


def _empty(told: RecordContent, workload: Workload, rng: random.Random) -> Wire:
    return bare(dataclasses.replace(told, text=rng.choice(("", "   ", "\n\t"))), workload)


def _json(told: RecordContent, workload: Workload) -> dict[str, Any]:
    return {
        "timestamp": int(told.event_time.timestamp()),
        "workload_id": workload.name,
        "client_id": told.client,
        "request": {"messages": [{"role": "user", "content": told.text}]},
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
