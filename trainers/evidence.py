"""The evidence of a finished run: the parts of a promotion event as JSON, and the predictions behind them.

`evidence.json` is written last and in one step: where it stands, the run is finished. The job never publishes; the
dispatcher adds identity, sequence and times and puts it on `model-promotion`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from schemas.arrays import Floats, Ints
from schemas.errors import MillraceError
from schemas.ids import digest
from schemas.job import JobSpec
from schemas.manifest import canonical
from schemas.promotion import (
    Artifact,
    ArtifactFile,
    Decision,
    EvaluatedStudent,
    Evaluation,
    Lora,
    Metric,
    PairedDifference,
    PromotionDecision,
    Reason,
    TrainingData,
)
from schemas.rules.statistics.intervals import METHOD, Interval
from trainers.artefacts import Published
from trainers.evaluate import Comparison, Evaluator, Scores
from trainers.gate import POLICY, GateDecision
from trainers.launchers.protocol import DUPLICATES
from trainers.snapshot import Rows, Snapshot
from trainers.students.protocol import Rung, ServedRung

EVIDENCE: Final = "evidence.json"
FAILED: Final = "failed.json"
PREDICTIONS: Final = "predictions.parquet"
SUSPECTS: Final = "suspects.parquet"
BY_REQUESTS: Final = "request_agreement"
CHAMPION: Final = "champion"  # the role of the student in production: no rung of the ladder
FORMAT: Final = "millrace-evidence/1"


def metrics_of(role: str, scores: Scores, evaluator: Evaluator, labels: list[str]) -> list[Metric]:
    """Return every figure of one student."""
    effective, n = evaluator.bootstrap.effective_n, len(evaluator.test)

    def metric(name: str, found: Interval, n: int, effective: float | None, label: str | None = None) -> Metric:
        low, high = (None if bound != bound else bound for bound in (found.low, found.high))  # noqa: PLR0124 - NaN
        return Metric(
            name=name, value=found.value, class_name=label, role=role, low=low, high=high, method=METHOD, n=n,
            effective_n=effective,
        )  # fmt: skip

    found = [
        metric("macro_f1", scores.macro_f1, n, effective),
        metric("agreement", scores.agreement, n, effective),
        metric("calibration_error", scores.calibration_error, n, effective),
    ]
    if scores.request_agreement is not None and evaluator.by_requests is not None:
        found.append(metric(BY_REQUESTS, scores.request_agreement, n, evaluator.by_requests.effective_n))
    by_class = scores.class_f1.items()
    return [
        *found,
        *(metric("f1", f1, int(evaluator.class_rows[number]), None, labels[number]) for number, f1 in by_class),
    ]


def evaluation_of(
    snapshot: Snapshot,
    rungs: Sequence[Rung],
    nominee: Rung,
    metrics: Mapping[str, list[Metric]],
    against: Mapping[str, Comparison],
    verdict: GateDecision,
    champion: str | None,
) -> Evaluation:
    """Return the evaluation part: all figures, and the difference to the champion (without one: to the baseline).

    Args:
        snapshot: whose test rows were used.
        rungs: of the ladder; the first is the baseline.
        nominee: the one of them that the gate judged.
        metrics: by role.
        against: the nominee against others, by their role.
        verdict: of the gate.
        champion: the version of the student in production; None: there is none.
    """
    test, baseline = snapshot.test, rungs[0].role
    rows = sorted(zip(test.record_ids, test.labels.tolist(), strict=True))
    reference = CHAMPION if champion else baseline
    difference = against[reference].macro_f1
    return Evaluation(
        eval_set_id=f"{snapshot.manifest.snapshot_id}/test",
        eval_sha256=sha256(canonical(rows)).hexdigest(),
        n=len(test),
        times_used=snapshot.manifest.test_times_used,
        metrics=[metric for rung in rungs for metric in metrics[rung.role]],
        champion_version=champion,
        champion_metrics=metrics.get(CHAMPION, []),
        paired_difference=PairedDifference(
            metric=f"macro_f1 - {reference}",
            value=difference.value,
            low=difference.low,
            high=difference.high,
            method=f"paired {METHOD}",
            n=len(test),
        ),
        not_judged=verdict.not_judged,
        students=[_evaluated(rung) for rung in rungs],
        nominee=nominee.role,
        baseline=baseline,
    )


def _evaluated(rung: Rung) -> EvaluatedStudent:
    form = rung.form if isinstance(rung, ServedRung) else ""
    return EvaluatedStudent(role=rung.role, name=rung.name, form=form, cost_ms=rung.cost)


def decision_of(job: JobSpec, verdict: GateDecision) -> Decision:
    """Return the decision part."""
    return Decision(
        outcome=PromotionDecision[verdict.outcome.name],
        mode=verdict.mode,
        reasons=[
            Reason(code=one.code, text=one.text, observed=one.observed, limit=one.limit) for one in verdict.reasons
        ],
        policy_id=POLICY,
        policy_sha256=sha256(canonical(dataclasses.asdict(job.gate))).hexdigest(),
        plan=job.plan,
        supersedes=job.champion.version if job.champion else None,
        rollback_to=job.champion.version if job.champion else None,
    )


def artifact_of(published: Published) -> Artifact:
    """Return the artifact part."""
    manifest, part = published.manifest, published.manifest.part
    return Artifact(
        adapter_uri=str(published.folder),
        files=[ArtifactFile(path=file.path, sha256=file.sha256, bytes=file.bytes) for file in manifest.files],
        manifest_sha256=manifest.digest(),
        lora=Lora(**{one.name: part[one.name] for one in dataclasses.fields(Lora)}) if "rank" in part else None,
        pooling=part.get("pooling", ""),
        max_tokens=part.get("max_tokens", 0),
        min_runtime=manifest.runtime,
    )


def data_of(job: JobSpec, snapshot: Snapshot) -> TrainingData:
    """Return the data part."""
    manifest = snapshot.manifest
    return TrainingData(
        snapshot_id=manifest.snapshot_id,
        snapshot_uri=job.snapshot_uri,
        manifest_sha256=snapshot.sha256,
        row_count=manifest.rows,
        class_counts=manifest.class_counts.get("TRAIN", {}),
        time_from=datetime.fromisoformat(manifest.time_from) if manifest.time_from else None,
        time_to=datetime.fromisoformat(manifest.time_to) if manifest.time_to else None,
        policy_id=f"window {digest(canonical(manifest.policy).decode())[:12]}",
        teacher_model=", ".join(manifest.teacher_models) or None,
        trigger_name=job.trigger,
        trigger_threshold=job.trigger_threshold,
        trigger_value=job.trigger_value,
    )


def duplicates_in(folder: Path) -> dict[str, int] | None:
    """Return by cluster how many further requests it stands for; None: nobody counted them."""
    try:
        found: dict[str, int] = json.loads((folder / DUPLICATES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def write_predictions(
    folder: Path, labels: list[str], evaluator: Evaluator, students: Mapping[str, Floats], nominee: str
) -> None:
    """Write the test rows with what each stands for, the teacher's label, the nominee's, and each student's by role."""
    test = evaluator.test
    columns: dict[str, Any] = {
        "record_id": test.record_ids,
        "cluster_id": test.clusters,
        "weight": test.weights,
        "requests": evaluator.requests,
        "text": test.texts,
        "split": ["TEST"] * len(test),
        "teacher": [labels[number] for number in test.labels],
    }
    columns["student"] = [labels[number] for number in students[nominee].argmax(axis=1)]
    columns |= {role: [labels[number] for number in found.argmax(axis=1)] for role, found in students.items()}
    _write_table(folder / PREDICTIONS, columns)


def write_suspects(folder: Path, labels: list[str], train: Rows, suspect: Ints, out_of_fold: Floats) -> None:
    """Write the training rows whose label looks wrong, the least probable label first.

    Args:
        folder: of the run.
        labels: of the job.
        train: the training rows.
        suspect: which of them (suspects,).
        out_of_fold: class probabilities by models that never saw the row (rows, labels).
    """
    denied = out_of_fold[suspect]
    columns = {
        "record_id": [train.record_ids[row] for row in suspect],
        "text": [train.texts[row] for row in suspect],
        "teacher": [labels[number] for number in train.labels[suspect]],
        "teacher_probability": denied[np.arange(len(suspect)), train.labels[suspect]],
        "likelier": [labels[number] for number in denied.argmax(axis=1)],
        "likelier_probability": denied.max(axis=1),
    }
    _write_table(folder / SUSPECTS, columns)


def _write_table(file: Path, columns: Mapping[str, Any]) -> None:
    temporary = file.with_name(f".{file.name}")
    parquet.write_table(pa.table(dict(columns)), temporary)
    temporary.rename(file)


def write_failure(folder: Path, error: MillraceError) -> None:
    """Write why a run can never succeed: where `failed.json` stands, trying again is of no use."""
    write_whole(folder / FAILED, {"error": type(error).__name__, "message": str(error)})


def write_whole(file: Path, value: Mapping[str, Any]) -> None:
    """Write JSON so that the file is there whole or not at all, also after a power cut."""
    temporary = file.with_name(f".{file.name}")
    with temporary.open("w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, indent=1, default=_plain)
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(file)


def evaluation_digest(evaluation: Evaluation) -> str:
    """Return the digest of an evaluation's figures, without latency and requests, which differ from run to run."""
    kept = [metric for metric in evaluation.metrics if metric.name != BY_REQUESTS]
    still = dataclasses.replace(evaluation, metrics=kept, latency_ms_p50=None, latency_ms_p99=None)
    return sha256(canonical(dataclasses.asdict(still))).hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")
