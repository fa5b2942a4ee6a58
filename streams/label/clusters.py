"""Which label each near-duplicate cluster got first: a bounded view of `labels`, by partition."""

from __future__ import annotations

from collections.abc import Mapping


class ClusterLabels:
    """cluster -> its first label; of each partition the `bound` clusters seen last are kept."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._labels: dict[int, dict[str, str]] = {}

    def label(self, partition: int, cluster: str) -> str | None:
        """Return the cluster's label, where it is known."""
        return self._labels.get(partition, {}).get(cluster)

    def add(self, partition: int, labels: Mapping[str, str]) -> None:
        """Remember labels; a cluster that has one keeps it. The oldest clusters go when there are too many."""
        known = self._labels.setdefault(partition, {})
        for cluster, label in labels.items():
            known.setdefault(cluster, label)
        while len(known) > self._bound:
            del known[next(iter(known))]

    def forget(self, partition: int) -> None:
        """Drop a partition."""
        self._labels.pop(partition, None)
