"""The retrain request and its job specification, from the workload's file and a snapshot. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.events import ModelState, RetrainRequest, TriggerVerdict
from schemas.ids import request_id
from schemas.job import ChampionSpec, GateSpec, JobSpec, StudentSpec
from schemas.workload import Workload
from streams.window.snapshot import WrittenSnapshot


def request(
    workload: Workload,
    snapshot: WrittenSnapshot,
    verdicts: Sequence[TriggerVerdict],
    fired: TriggerVerdict,
    *,
    champion: ChampionSpec | None,
    time: datetime,
) -> RetrainRequest:
    """Return the request that names the snapshot; `fired` is the verdict it is named after."""
    manifest = snapshot.manifest
    job = job_spec(workload, snapshot, fired, champion)
    return RetrainRequest(
        request_id=job.request_id,
        workload=workload.name,
        epoch=manifest.epoch,
        trigger=fired.trigger,
        verdicts=list(verdicts),
        labels_partition=manifest.labels_partition,
        labels_offset=manifest.labels_offset,
        snapshot_id=manifest.snapshot_id,
        snapshot_uri=snapshot.uri,
        snapshot_sha256=manifest.digest(),
        rows=manifest.rows,
        job=job.to_json(),
        time=time,
    )


def job_spec(
    workload: Workload, snapshot: WrittenSnapshot, fired: TriggerVerdict, champion: ChampionSpec | None
) -> JobSpec:
    """Return everything a recipe needs."""
    student, gate = workload.student, workload.gate
    manifest = snapshot.manifest
    return JobSpec(
        request_id=request_id(workload.name, manifest.epoch),
        workload=workload.name,
        epoch=manifest.epoch,
        labels=list(workload.labels),
        snapshot_uri=snapshot.uri,
        snapshot_sha256=manifest.digest(),
        trigger=fired.trigger,
        trigger_threshold=fired.numbers["threshold"],
        trigger_value=fired.numbers["statistic"] if "statistic" in fired.numbers else fired.numbers["labels"],
        student=StudentSpec(
            base_model=student.base_model,
            epochs=student.epochs,
            batch=student.batch,
            learning_rate=student.learning_rate,
            rank=student.rank,
            max_tokens=student.max_tokens,
            temperature=student.temperature,
            soft_label_weight=student.soft_label_weight,
            seed=student.seed,
        ),
        gate=GateSpec(agreement_floor=gate.agreement_floor, margin=gate.margin, class_rows=gate.class_rows),
        plan=workload.rollout.plan(),
        champion=champion,
    )


def champion_of(state: ModelState) -> ChampionSpec | None:
    """Return the student in production; None: the teacher answers."""
    served = state.champion
    if served is None:
        return None
    return ChampionSpec(version=served.version, uri=served.uri, manifest_sha256=served.manifest_sha256)
