"""Where a record was before: Millrace writes some records again, and names in a header the place each came from.

A record that was sent on to its workload's partition names the place it was sent from, a replayed one the place it was
read from; each adds its header behind those that are there. So the first header names the record's first place, and the
last one how this copy was made. Headers are trusted as `traffic` is: whoever may write there may also choose a record's
id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

REKEYED_HEADER: Final = "millrace-rekeyed-from"
REPLAYED_HEADER: Final = "millrace-replayed-from"

PartitionOffset = tuple[int, int]  # partition and offset, within one topic
TopicOffset = tuple[str, int, int]  # topic, partition and offset
Headers = Sequence[tuple[str, bytes | None]]

_PLACE = re.compile(rb"(\d{1,9}):(\d{1,18})")


def shown(place: TopicOffset) -> str:
    """Return a place as people read it."""
    return f"{place[0]}/{place[1]} at offset {place[2]}"


def place_header(partition: int, offset: int) -> bytes:
    """Return the value of a header that names a place."""
    return f"{partition}:{offset}".encode()


def place_in(value: bytes | None) -> PartitionOffset | None:
    """Return the place a header's value names, or None where it names none: an application may send anything."""
    found = _PLACE.fullmatch(value or b"")
    return (int(found[1]), int(found[2])) if found else None


def passages(headers: Headers) -> list[tuple[str, PartitionOffset]]:
    """Return the (header, place) of each time the record was written again, oldest first."""
    return [
        (name, place)
        for name, value in headers
        if name in (REKEYED_HEADER, REPLAYED_HEADER) and (place := place_in(value)) is not None
    ]


def first_place(headers: Headers, partition: int, offset: int) -> PartitionOffset:
    """Return a record's first place: a record without an id of its own gets its id from it.

    Args:
        headers: of the record.
        partition: where it is now.
        offset: where it is now.
    """
    found = passages(headers) if headers else ()
    return found[0][1] if found else (partition, offset)


def replayed_from(headers: Headers) -> PartitionOffset | None:
    """Return the place of which this record is a replay; None for any other."""
    found = passages(headers)
    return found[-1][1] if found and found[-1][0] == REPLAYED_HEADER else None
