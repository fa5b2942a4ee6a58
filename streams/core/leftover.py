"""What a stage leaves of a batch, and how it becomes the head of the next. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from streams.core.membership import SourcePartition, Taken
from streams.core.stage import Message

NOTHING: Final = Taken([], None, {})


def without(messages: Sequence[Message], left: Sequence[Message]) -> Sequence[Message]:
    """Return the messages of a batch that are settled, in order."""
    if not left:
        return messages
    waiting = {(message.topic.name, message.partition, message.offset) for message in left}
    return [message for message in messages if (message.topic.name, message.partition, message.offset) not in waiting]


def joined(left: Taken, taken: Taken | None, metadata: Any, place: Callable[[Message], SourcePartition]) -> Taken:
    """Return one batch: what was left, then what was consumed since.

    Each partition keeps the epoch it was consumed under. What was left of one that has changed hands since is dropped:
    it was consumed again.

    Args:
        left: of the batch before, with its epochs.
        taken: consumed since, if anything was.
        metadata: the group's, asked for after `taken` was consumed; the epochs are compared once more before it fences.
        place: says where a message came from.
    """
    since = taken or NOTHING
    kept = [m for m in left.messages if since.epochs.get(place(m), left.epochs[place(m)]) == left.epochs[place(m)]]
    return Taken([*kept, *since.messages], metadata, left.epochs | since.epochs)
