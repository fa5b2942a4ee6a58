"""The accounts: which input ended where, which is missing or doubled, which names a record that is not there. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from schemas.rules.places import PartitionOffset


@dataclass(frozen=True)
class Ending:
    """Where one input ended."""

    topic: str
    origin: PartitionOffset
    workload: str | None
    record_id: str | None = None
    duplicate_of: str | None = None


@dataclass
class Account:
    """One stage's account."""

    stage: str
    inputs: int = 0
    ended: dict[str, int] = field(default_factory=dict)  # by topic
    in_flight: int = 0
    missing: list[PartitionOffset] = field(default_factory=list)
    doubled: list[PartitionOffset] = field(default_factory=list)
    dangling: list[tuple[PartitionOffset, str]] = field(default_factory=list)
    repeated: list[tuple[PartitionOffset, str]] = field(default_factory=list)  # old content, taken for new

    @property
    def residual(self) -> int:
        """The number that must be 0."""
        return len(self.missing) + len(self.doubled) + len(self.dangling) + len(self.repeated)

    def first_offence(self, source: str) -> str | None:
        """Name the first offending record."""
        for kind, places in (("missing", self.missing), ("doubled", self.doubled)):
            if places:
                partition, offset = min(places)
                return f"{kind}: {source}/{partition} at offset {offset}"
        if self.dangling:
            (partition, offset), name = min(self.dangling)
            return f"dangling: {source}/{partition} at offset {offset} duplicates {name}, which is not in curated"
        if self.repeated:
            (partition, offset), what = min(self.repeated)
            return f"repeated: {source}/{partition} at offset {offset} has {what} and was taken for new"
        return None


def account(
    stage: str,
    *,
    inputs: Mapping[PartitionOffset, str | None],
    endings: Iterable[Ending],
    committed: Mapping[int, int],
    begins: Mapping[int, int],
    known: Collection[str],
    curtailed: Collection[int] = (),
    workload: str | None = None,
) -> Account:
    """Hold the inputs below the committed offsets against the endings.

    Args:
        stage: its name.
        inputs: every input that the topic still keeps, with its workload where that is known.
        endings: every output that names an input of this stage.
        committed: the group's offset by partition; inputs at or above it are still in flight.
        begins: where the input topic begins to be countable: retention took inputs, or endings, from before.
        known: ids of the records that exist.
        curtailed: partitions of which retention may have taken records, so that an id not known says nothing.
        workload: count this workload's only.
    """
    found = Account(stage)
    ends: Counter[PartitionOffset] = Counter()
    for ending in endings:
        partition, offset = ending.origin
        if offset < begins.get(partition, 0) or (workload and _workload(ending, inputs) != workload):
            continue
        ends[ending.origin] += 1
        if ends[ending.origin] == 1:
            found.ended[ending.topic] = found.ended.get(ending.topic, 0) + 1
        if ending.duplicate_of is not None and ending.duplicate_of not in known and partition not in curtailed:
            found.dangling.append((ending.origin, ending.duplicate_of))
    for place, of in inputs.items():
        if place[1] < begins.get(place[0], 0) or (workload and of != workload):
            continue
        found.inputs += 1
        if place[1] >= committed.get(place[0], 0):
            found.in_flight += 1
        elif place not in ends:
            found.missing.append(place)
    found.doubled = sorted(place for place, count in ends.items() if count > 1)
    return found


def _workload(ending: Ending, inputs: Mapping[PartitionOffset, str | None]) -> str | None:
    """Return the workload of the input; where the input's own cannot be read, what the output says."""
    return inputs.get(ending.origin) or ending.workload
