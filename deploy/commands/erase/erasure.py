"""Removes a person's records from labels, window and gold; lists what was made from them.

    1 `labels` is read for what is the subject's
    2 an erasure record is written for each label not erased yet: the window leaves the row out of every later snapshot
      and every rebuild
    3 human labels of the same texts are deleted from `gold`
    4 snapshots and models made from the rows are listed: they are immutable, and go only when people delete them

It can be run again at any time: what was erased before is counted separately, and the list of 4 is made again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.commands.erase.subject import Subject, matched, subject_of
from deploy.commands.erase.topics import ErasureTopics
from deploy.edge.privacy.redactor import redactors
from deploy.edge.process.settings import Settings
from deploy.edge.stores.snapshots import HoldingSnapshot, Trained, holding, trained_on
from schemas.errors import BadInput
from schemas.rules.partition import partition_of
from schemas.topics import CURATED, DEAD_LETTERS, DISCARDED, LABELS, PARTITIONS, TRAFFIC
from schemas.workload import Workload


@dataclass
class Erased:
    """The result in one workload."""

    workload: str
    now: int = 0
    before: int = 0
    gold: int = 0
    on_their_way: int = 0
    told_by_client: bool = True
    snapshots: list[HoldingSnapshot] = field(default_factory=list)
    models: list[Trained] = field(default_factory=list)
    in_production: dict[str, str] = field(default_factory=dict)  # model version -> champion or challenger
    not_looked_at: str | None = None  # why no snapshot was


def erase(settings: Settings, topics: ErasureTopics, subject: Subject, *, dry_run: bool) -> Erased:
    """Erase a subject in one workload; a dry run only reports what it would do.

    Raises:
        ContractError: a topic is missing, or a manifest cannot be read.
        Unavailable: the cluster does not answer.
    """
    partition = partition_of(subject.workload, PARTITIONS)
    found = matched(subject, topics.labels(partition))
    result = Erased(
        subject.workload,
        now=len(found.kept),
        before=len(found.erased),
        on_their_way=topics.on_their_way(partition),
        told_by_client=subject.client is not None,
    )
    if not dry_run:
        if found.kept:
            topics.erase(found.kept)
        if found.text_keys:
            result.gold = topics.erase_gold(partition, subject.workload, found.text_keys)
    result.snapshots, result.not_looked_at = holding(settings, {subject.workload}, found.record_ids)
    result.models = trained_on(settings.artefacts_dir, subject.workload, result.snapshots)
    if result.models:
        result.in_production = topics.in_production(partition, subject.workload)
    return result


def run(settings: Settings, given: str, workload: str | None, *, dry_run: bool, as_json: bool) -> bool:
    """Erase a client or a record in one workload, or in all, print the results, and return whether any was found.

    Raises:
        BadInput: no subject, or no workload of the name. Others as `erase`.
    """
    if not given.strip():
        raise BadInput("--subject", given, "give a client's name or a record id")
    chosen, topics = settings.chosen(workload), ErasureTopics(settings)
    results = [erase(settings, topics, one, dry_run=dry_run) for one in _subjects(chosen, given)]
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in results]))
    else:
        for one in results:
            _show(one, dry_run=dry_run)
        print(_kept())
    return any(one.now or one.before for one in results)


def _subjects(workloads: Mapping[str, Workload], given: str) -> list[Subject]:
    made = redactors(workloads)
    return [
        subject_of(name, given, made[name].redact(given).text, tokens=workload.privacy.token_key_env is not None)
        for name, workload in workloads.items()
    ]


def _show(result: Erased, *, dry_run: bool) -> None:
    done = "would be erased" if dry_run else f"erased now, with {result.gold} human labels"
    print(f"{result.workload}: {result.now} records {done}; {result.before} were before")
    if not result.told_by_client:
        print("  no client is matched: redaction leaves nothing to identify this one by; give record ids")
    if result.on_their_way:
        print(f"  {result.on_their_way} records have not come through curate and label yet: run this again afterwards")
    if result.not_looked_at:
        print(f"  snapshots were not looked at: {result.not_looked_at}")
    by_snapshot: dict[str, list[str]] = {}
    for held in result.snapshots:
        by_snapshot.setdefault(held.snapshot_id, []).append(held.split)
    for snapshot, splits in by_snapshot.items():
        shares = ", ".join(f"{splits.count(split)} {split.lower()}" for split in sorted(set(splits)))
        print(f"  snapshot {snapshot} still holds {shares} rows")
    for model in result.models:
        role = result.in_production.get(model.model_version)
        print(f"  model {model.model_version}{f', the {role},' if role else ''} was trained on {model.snapshot_id}")


def _kept() -> str:
    dated = (TRAFFIC, CURATED, LABELS, DISCARDED, DEAD_LETTERS)
    topics = [f"{one.name} {one.retention.days}" for one in dated if one.retention]
    return f"What was written stays in the topics until their retention takes it (days: {', '.join(topics)})."
