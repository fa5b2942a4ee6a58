"""What each near-duplicate cluster was labelled, and by which question: a bounded view of `labels`, by partition."""

from __future__ import annotations

from typing import NamedTuple

from schemas.records import LabelKind, LabelRecord


class KnownLabel(NamedTuple):
    """A cluster's label; prompt and teacher are those of the teacher's own labels."""

    label: str
    prompt_sha256: str | None = None
    teacher_model: str | None = None


class ClusterLabels:
    """cluster -> its label; of each partition the `bound` clusters seen last are kept."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._labels: dict[int, dict[str, KnownLabel]] = {}

    def known(self, partition: int, cluster: str) -> KnownLabel | None:
        """Return the cluster's label, where it is known."""
        return self._labels.get(partition, {}).get(cluster)

    def learn(self, partition: int, record: LabelRecord) -> None:
        """Take a settled label in, in offset order.

        A cluster keeps its first, until the teacher was asked anew: by another prompt or model. A correction changes
        the label and no more, so that the cluster is not asked once again. The oldest go when there are too many.
        """
        known = self._labels.setdefault(partition, {})
        cluster = record.cluster_id
        if record.kind is LabelKind.CORRECTION:
            if cluster in known:
                known[cluster] = known[cluster]._replace(label=record.label)
        elif record.kind is not LabelKind.ERASURE:
            found = KnownLabel(
                record.label, record.prompt_sha256, record.teacher_model if record.prompt_sha256 else None
            )
            before = known.setdefault(cluster, found)
            if found.prompt_sha256 is not None and before[1:] != found[1:]:
                known[cluster] = found
            if len(known) > self._bound:
                del known[next(iter(known))]

    def forget(self, partition: int) -> None:
        """Drop a partition."""
        self._labels.pop(partition, None)
