"""Whether a settlement ends each of its inputs exactly once: the residual that `verify` recomputes, live. Pure.

An ending names its input by place: as the origin in the record, or, for a record that was sent on, in the header. Only
`curate` and `label` promise one ending an input. An anchor that goes out to be asked comes from `gold` and ends none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from schemas.records import Origin
from schemas.rules.places import REKEYED_HEADER, PartitionOffset, TopicOffset, passages
from schemas.topics import GOLD
from streams.core.stage import Message, Output

ACCOUNTED: Final = frozenset({"curate", "label"})


def residual(inputs: Sequence[Message], outputs: Sequence[Output]) -> int:
    """Return how many inputs end not at all or more than once, with the endings that name none of them.

    Counted by place, so that a lost record and a doubled one do not make each other good.
    """
    places: list[TopicOffset] = [(message.topic.name, message.partition, message.offset) for message in inputs]
    endings = [ended(output) for output in outputs]
    if endings == places:  # the usual case, and a hundredth of the work
        return 0
    left: Counter[TopicOffset | None] = Counter(places)
    left.subtract(end for end in endings if end is None or end[0] != GOLD.name)
    return sum(map(abs, left.values()))


def ended(output: Output) -> TopicOffset | None:
    """Return the place of the input that an output ends; None for an output that says none."""
    origin = getattr(output.record, "origin", None)
    if isinstance(origin, Origin):
        return (origin.topic, origin.partition, origin.offset)
    sent_on: list[PartitionOffset] = [place for name, place in passages(output.headers)[-1:] if name == REKEYED_HEADER]
    return (output.topic.name, *sent_on[0]) if sent_on else None
