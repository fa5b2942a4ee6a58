"""A real curate worker that breaks one promise on purpose: `python -m tests.deploy.commands.verify.wrong_worker FAULT`.

Everything is the worker's own but what the stage hands to the source: its settlements pass through the fault first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from schemas.records import DiscardedRecord
from schemas.topics import DEAD_LETTERS
from streams.__main__ import main
from streams.core.stage import Message, Output, Settlement
from streams.curate.stage import CurateStage

VICTIM: Final = 5  # the traffic offset whose ending is removed or doubled

_process: Final = CurateStage.process


def _is_victim(output: Output) -> bool:
    origin: Any = getattr(output.record, "origin", None)
    return origin is not None and origin.offset == VICTIM


def _without_dead_letters(outputs: Sequence[Output]) -> list[Output]:
    return [output for output in outputs if output.topic != DEAD_LETTERS]


def _one_removed(outputs: Sequence[Output]) -> list[Output]:
    return [output for output in outputs if not _is_victim(output)]


def _one_doubled(outputs: Sequence[Output]) -> list[Output]:
    return [output for output in outputs for _ in range(2 if _is_victim(output) else 1)]


def _duplicates_of_nobody(outputs: Sequence[Output]) -> Iterable[Output]:
    for output in outputs:
        if isinstance(output.record, DiscardedRecord):
            yield output._replace(record=replace(output.record, duplicate_of="nobody"))
        else:
            yield output


def _changed(change: Callable[[Sequence[Output]], Iterable[Output]]) -> Callable[..., Any]:
    async def process(stage: CurateStage, messages: Sequence[Message]) -> Settlement:
        settlement = await _process(stage, messages)
        return replace(settlement, outputs=list(change(settlement.outputs)))

    return process


async def _without_memory(stage: CurateStage, messages: Sequence[Message]) -> Settlement:
    """Forget the duplicate index before every message: deduplication is off."""
    outputs: list[Output] = []
    for message in messages:
        stage.revoke(message.partition)
        outputs += (await _process(stage, [message])).outputs
    return Settlement(outputs)


FAULTS: Final[Mapping[str, Callable[..., Any]]] = {
    "none": _process,
    "deduplication is off": _without_memory,
    "dead-lettering is off": _changed(_without_dead_letters),
    "one record is removed": _changed(_one_removed),
    "one record is doubled": _changed(_one_doubled),
    "a duplicate names nobody": _changed(_duplicates_of_nobody),
}

if __name__ == "__main__":
    setattr(CurateStage, "process", FAULTS[sys.argv[1]])  # noqa: B010 - mypy knows methods for what they are
    main(["--stages", "curate"], prog_name="millrace worker")
