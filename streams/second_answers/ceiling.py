"""`millrace ceiling`: asks a workload's teacher a second time, to learn how far a student can agree with it.

Test records that the teacher labelled are put through the label stage once more, as the worker would: the same
question, but the codes in another order, for a student cannot know the order either. The answers are not kept; the
measurement is written to `ceilings`. Exit codes: 0 done, 2 a mistake, no answer, or a target that no student can reach.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Final

import numpy as np

from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.writing import transaction
from schemas.errors import BadInput
from schemas.ids import digest
from schemas.principals import Principal
from schemas.records import Ceiling, LabelKind, LabelRecord, Provenance, Record, Split
from schemas.rules.partition import partition_of
from schemas.rules.spend import Spend, cost_of
from schemas.rules.statistics.ceiling import check_target, highest_agreement
from schemas.rules.statistics.effective_n import effective_n
from schemas.rules.statistics.intervals import wilson
from schemas.topics import CEILINGS, PARTITIONS
from schemas.workload import Workload
from streams.label.prompting.examples import Examples
from streams.label.teacher.costs import Costs
from streams.second_answers.asking import ask_again, read_asked

ROWS: Final = 200  # 95 % interval of 0.95: 0.91 to 0.97
_HELD: Final = 4 * ROWS  # while the topic is read
_SECONDS: Final = 30.0
_SHOWN: Final = 5

Version = tuple[str | None, str | None]  # teacher model, prompt


@dataclass(frozen=True, slots=True)
class Pair:
    """A record, and what the teacher said of it both times."""

    first: LabelRecord
    second: LabelRecord

    @property
    def same(self) -> bool:
        """Return whether both answers are the same label."""
        return self.first.label == self.second.label


def drawn(labels: Iterable[LabelRecord], rows: int = ROWS) -> list[LabelRecord]:
    """Return test records, one per cluster, that the current teacher labelled: those with the least hashes.

    Args:
        labels: of one workload, in offset order; the teacher and prompt of the last of them are the current ones.
        rows: at most this many.
    """
    found: dict[Version, dict[str, LabelRecord]] = {}
    now: Version = (None, None)
    for record in labels:
        if record.kind is LabelKind.ERASURE:
            for version, by_cluster in found.items():
                found[version] = {key: one for key, one in by_cluster.items() if one.record_id != record.record_id}
        elif record.kind is LabelKind.LABEL and record.provenance is Provenance.TEACHER and record.split is Split.TEST:
            now = (record.teacher_model, record.prompt_sha256)
            found.setdefault(now, {})[record.cluster_id] = record
            if len(found[now]) > _HELD:
                found[now] = {one.cluster_id: one for one in _least(found[now].values(), _HELD // 2)}
    return _least(found.get(now, {}).values(), rows)


def learnt(examples: Examples, labels: Iterable[LabelRecord]) -> Iterator[LabelRecord]:
    """Yield labels in offset order and add them to the examples: the second question shows some as the first did."""
    for record in labels:
        examples.learn(partition_of(record.workload, PARTITIONS), record)
        yield record


def _least(records: Iterable[LabelRecord], rows: int) -> list[LabelRecord]:
    return nsmallest(rows, records, key=lambda record: digest("ceiling", record.record_id))


def paired(records: Sequence[LabelRecord], again: Sequence[Record | None], workload: Workload) -> list[Pair]:
    """Return the records that got a label both times.

    Raises:
        BadInput: none did, or another teacher or question than before gave the second answers.
    """
    pairs = [Pair(one, other) for one, other in zip(records, again, strict=True) if isinstance(other, LabelRecord)]
    if not pairs:
        raise BadInput(
            f"{workload.name}: teacher.model",
            workload.teacher.model,
            "gave no label when it was asked again; look at what it answers",
        )
    for pair in pairs:
        for what in ("teacher_model", "prompt_sha256"):
            before, after = getattr(pair.first, what), getattr(pair.second, what)
            if before != after:
                raise BadInput(
                    f"{workload.name}: {what}",
                    after,
                    f"is not {before!r}, which labelled the records: the teacher or "
                    "its question changed since; wait for labels of the new one",
                )
    return pairs


def measured(pairs: Sequence[Pair], again: Sequence[Record | None], labels: int, time: datetime) -> Ceiling:
    """Return the ceiling that the pairs show; a row counts by the inverse of its propensity.

    Args:
        pairs: at least one.
        again: the answers to all that were to be asked again; None: the budget was spent before.
        labels: size of the label set.
        time: of the measurement.
    """
    weights = np.array([1 / pair.first.propensity for pair in pairs])
    same = np.array([pair.same for pair in pairs], dtype=np.float64)
    effective = effective_n(weights)
    found = wilson(float(np.average(same, weights=weights)), effective)
    one = pairs[0].first
    asked = [record for record in again if record is not None]
    spend = sum((cost for cost in map(cost_of, asked) if cost is not None), Spend())
    return Ceiling(
        workload=one.workload,
        time=time,
        teacher_model=one.teacher_model or "",
        prompt_sha256=one.prompt_sha256 or "",
        rows=len(pairs),
        effective_n=effective,
        self_agreement=found.value,
        low=found.low,
        high=found.high,
        ceiling=highest_agreement(found.high, labels),
        unlabelled=len(asked) - len(pairs),
        teacher_calls=spend.calls,
        prompt_tokens=spend.prompt_tokens,
        completion_tokens=spend.completion_tokens,
    )


def write(settings: Settings, found: Ceiling) -> None:
    """Put a measurement on its topic.

    Raises:
        Unavailable: the cluster did not take it.
    """
    framing = Framing(settings)
    framing.register([CEILINGS])
    with transaction(settings, Principal.CEILING) as put:
        partition = partition_of(found.workload, PARTITIONS)
        put(CEILINGS, partition, found.workload.encode(), framing.encode(CEILINGS, found), ())


def summary(found: Ceiling, pairs: Sequence[Pair], labels: int) -> str:
    """Return the measurement in words."""
    most = f"{highest_agreement(found.self_agreement, labels):.3f}"
    bounds = f"{highest_agreement(found.low, labels):.3f} to {found.ceiling:.3f}"
    spent = f"{found.teacher_calls} calls, {found.prompt_tokens + found.completion_tokens} tokens"
    rests = f"n = {found.rows}, effective n = {found.effective_n:.0f}"
    lines = [
        f"{found.workload}: {found.rows} test records asked again of {found.teacher_model}: {spent}",
        f"self-agreement {found.self_agreement:.3f} (95 % {found.low:.3f} to {found.high:.3f}), {rests}",
        f"ceiling {most} ({bounds}): no student can agree with this teacher more often",
    ]
    if found.unlabelled:
        lines.append(f"{found.unlabelled} more got no label this time")
    changed = Counter((pair.first.label, pair.second.label) for pair in pairs if not pair.same)
    lines += [f"first {one}, then {other}: {count} times" for (one, other), count in changed.most_common(_SHOWN)]
    return "\n".join(lines)


def ask(settings: Settings, name: str | None) -> None:
    """Measure the ceiling of a workload, write it and print it.

    Args:
        settings: the cluster and the folder of workloads.
        name: of the workload; None: the only one there is.

    Raises:
        BadInput: there is nothing to ask about, or a target is above the ceiling.
        Unavailable: teacher or cluster does not answer.
    """
    workload = settings.workload(name)
    examples, costs = Examples({workload.name: workload}), Costs()
    read = (placed.record for placed in read_asked(settings, Principal.CEILING, workload.name, costs))
    records = drawn(learnt(examples, (record for record in read if isinstance(record, LabelRecord))))
    if not records:
        raise BadInput("WORKLOAD", workload.name, "its teacher was not asked for any test record yet; wait for labels")
    questions = [(one.record_id, one.text) for one in records]
    again = asyncio.run(ask_again(settings, workload, questions, costs, examples))
    pairs = paired(records, again, workload)
    found = measured(pairs, again, len(workload.labels), datetime.now(UTC))
    write(settings, found)
    print(summary(found, pairs, len(workload.labels)))
    if None in again:
        print(f"{again.count(None)} were not asked: the budget is spent")
    check_target(f"{workload.name}: gate.agreement_floor", workload.gate.agreement_floor, found)
    check_target(f"{workload.name}: rollout.agreement_floor", workload.rollout.agreement_floor, found)
