"""What each near-duplicate cluster was labelled, and by which question: a bounded view of `labels`, by partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Known(NamedTuple):
    """A cluster's label; prompt and teacher are those of the teacher's own labels."""

    label: str
    prompt_sha256: str | None = None
    teacher_model: str | None = None


class ClusterLabels:
    """cluster -> its label; of each partition the `bound` clusters seen last are kept."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._labels: dict[int, dict[str, Known]] = {}

    def known(self, partition: int, cluster: str) -> Known | None:
        """Return the cluster's label, where it is known."""
        return self._labels.get(partition, {}).get(cluster)

    def add(self, partition: int, labels: Mapping[str, Known]) -> None:
        """Remember labels. A cluster keeps its first, until the teacher was asked anew: by another prompt or model.

        The oldest clusters go when there are too many.
        """
        known = self._labels.setdefault(partition, {})
        for cluster, found in labels.items():
            before = known.setdefault(cluster, found)
            if found.prompt_sha256 is not None and before[1:] != found[1:]:
                known[cluster] = found
        while len(known) > self._bound:
            del known[next(iter(known))]

    def forget(self, partition: int) -> None:
        """Drop a partition."""
        self._labels.pop(partition, None)
