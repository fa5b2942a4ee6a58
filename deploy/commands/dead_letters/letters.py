"""A dead letter with its place, and which letters are chosen: places, times and ages as people write them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.errors import BadInput
from schemas.records import DeadLetter
from schemas.rules.places import PartitionOffset, place_in

_AGE: Final = re.compile(r"(\d{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of `dead-letters`."""

    place: PartitionOffset  # in dead-letters
    appended: datetime  # by the broker's clock; the record's own time is when its origin was appended
    record: DeadLetter

    @property
    def age(self) -> tuple[datetime, PartitionOffset]:
        """The sort key of letters, oldest first."""
        return self.appended, self.place

    def without_payload(self) -> Letter:
        """Return the letter without its bytes, where many are held at once."""
        return replace(self, record=replace(self.record, payload=b""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which letters are chosen; None or empty chooses all."""

    reasons: Collection[str] = ()
    stage: str | None = None
    workload: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, letter: Letter) -> bool:
        """Return whether a letter matches: `since` included, `until` excluded, by the broker's clock."""
        record = letter.record
        return (
            (not self.reasons or record.reason in self.reasons)
            and self.stage in (None, record.stage)
            and self.workload in (None, record.workload)
            and (self.since is None or self.since <= letter.appended)
            and (self.until is None or letter.appended < self.until)
        )


def time_of(option: str, text: str | None, now: datetime) -> datetime | None:
    """Return the time an option means: an ISO 8601 time (UTC where it names no zone), or an age such as 2h or 7d.

    Raises:
        BadInput: it is neither.
    """
    if text is None:
        return None
    age = _AGE.fullmatch(text)
    if age:
        return now - timedelta(seconds=int(age[1]) * _SECONDS[age[2]])
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        remedy = "give an ISO 8601 time such as 2026-03-02T08:00, or an age such as 90s, 30m, 2h or 7d"
        raise BadInput(option, text, remedy) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def place_of(text: str) -> PartitionOffset:
    """Return the place in `dead-letters` that an argument names.

    Raises:
        BadInput: it names none.
    """
    place = place_in(text.encode())
    if place is None:
        raise BadInput("PARTITION:OFFSET", text, "name a letter as `millrace dead-letters list` does, such as 3:17")
    return place
