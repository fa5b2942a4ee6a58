"""The demo's summary: what was planted against what was seen on the topics, and the students' figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from deploy.trial.demo.observe import TopicTally
from deploy.trial.demo.scene import Scene
from deploy.trial.report.inputs import (
    GateSummary,
    LoopSaving,
    PlantedFound,
    PromotionSummary,
    RedactedFound,
    RolloutSummary,
    StageFlow,
    StudentSummary,
    Summary,
    TeacherSummary,
    TriggerSummary,
    WindowSummary,
)
from schemas.ids import record_id
from schemas.manifest import SnapshotManifest
from schemas.promotion import Metric, ModelPromotion
from schemas.topics import CURATED, DEAD_LETTERS, LABELS, TRAFFIC


def summarise(
    scene: Scene,
    tally: TopicTally,
    *,
    seconds: float,
    residual: int,
    leaked: Mapping[str, set[str]],
    manifest: SnapshotManifest,
    predictions: pa.Table | None,
    spend: Mapping[str, Any],
) -> Summary:
    """Return the summary of a play.

    `leaked`: planted personal data, and where it must not be; `predictions`: the run's test rows with each student's
    label; `spend`: the workload's books, as `millrace labels spend --json` prints them.
    """
    event = tally.promotions[-1] if tally.promotions else None
    private = {value for entry in scene.entries for value in entry.pii}
    poison = sum(entry.kind == "poison" for entry in scene.entries)
    training = manifest.class_counts.get("TRAIN", {})
    return Summary(
        seconds=round(seconds, 1),
        records=tally.records[TRAFFIC.name],
        residual=residual,
        duplicates=_found(scene, tally, "duplicate"),
        near_duplicates=_found(scene, tally, "near_duplicate"),
        pii=RedactedFound(planted=len(private), redacted=len(private - set(leaked))),
        dead_letters=PlantedFound(planted=poison, found=tally.records[DEAD_LETTERS.name]),
        window=WindowSummary(rows=sum(training.values()), classes=training),
        students=_students(scene, event, predictions),
        gate=GateSummary(
            decision=event.decision.outcome.lower() if event else "none",
            reasons=[{"code": one.code, "text": one.text} for one in event.decision.reasons] if event else [],
        ),
        promotion=PromotionSummary(
            event_id=event.event_id if event else None, model_version=event.model_version if event else None
        ),
        rollout=RolloutSummary(
            final_state=tally.state.state.lower() if tally.state else "idle",
            steps=[{"state": one.state.lower(), "weight": one.weight, "reason": one.reason} for one in tally.statuses],
        ),
        champion=tally.state.champion.version if tally.state and tally.state.champion else None,
        teacher=_teacher(spend),
        saving=LoopSaving(teacher_tokens_avoided=_tokens_avoided(tally)),
        triggers=[
            TriggerSummary(name=one.trigger, fired=one.fired, numbers=one.numbers, explanation=one.explanation)
            for one in (tally.requests[-1].verdicts if tally.requests else [])
        ],
    )


def flow(tally: TopicTally) -> list[StageFlow]:
    """Return what the two accounted stages consumed and what became of it."""
    records = tally.records
    outcomes = {"curated": records[CURATED.name], **tally.outcomes("curate")}
    return [
        StageFlow(stage="curate", consumed=records[TRAFFIC.name], outcomes=outcomes),
        StageFlow(
            stage="label",
            consumed=records[CURATED.name],
            outcomes={"labels": records[LABELS.name], **tally.outcomes("label")},
        ),
    ]


def _found(scene: Scene, tally: TopicTally, kind: str) -> PlantedFound:
    planted = [record_id(scene.workload.name, entry.id, 0, 0) for entry in scene.entries if entry.kind == kind]
    return PlantedFound(planted=len(planted), found=sum(one in tally.duplicates for one in planted))


def _students(scene: Scene, event: ModelPromotion | None, predictions: pa.Table | None) -> list[StudentSummary]:
    if event is None or event.evaluation is None:
        return []
    evaluation = event.evaluation
    found: dict[str, dict[str, Metric]] = {}
    for metric in evaluation.metrics:
        if metric.class_name is None:
            found.setdefault(metric.role, {})[metric.name] = metric
    return [
        StudentSummary(
            name=one.name, role=one.role, nominee=one.role == evaluation.nominee,
            baseline=one.role == evaluation.baseline, accuracy=_accuracy(scene, predictions, one.role),
            **_figures(found[one.role]),
        )
        for one in evaluation.students
    ]  # fmt: skip


def _figures(found: Mapping[str, Metric]) -> dict[str, Any]:
    f1, by_requests = found["macro_f1"], found.get("request_agreement")
    return {
        "n": f1.n, "macro_f1": f1.value, "macro_f1_low": f1.low, "macro_f1_high": f1.high,
        "effective_n": f1.effective_n, "agreement": found["agreement"].value,
        "request_agreement": None if by_requests is None else by_requests.value,
    }  # fmt: skip


def _accuracy(scene: Scene, predictions: pa.Table | None, role: str) -> float | None:
    """Return the share of a student's test rows with a known truth on which it says the truth."""
    if predictions is None:
        return None
    said = zip(predictions["record_id"].to_pylist(), predictions[role].to_pylist(), strict=True)
    right = [label == scene.truth[record] for record, label in said if record in scene.truth]
    return sum(right) / len(right) if right else None


def _teacher(spend: Mapping[str, Any]) -> TeacherSummary:
    total = spend["spent"]["total"]
    return TeacherSummary(
        calls=spend["calls"], harvested=spend["harvested"], cache_hits=spend["cache_hits"], retries=spend["retries"],
        second_prompts=spend["second_prompts"], tokens=round(total["tokens"]["amount"]),
        money=total["money"]["amount"], currency=spend["currency"],
    )  # fmt: skip


def _tokens_avoided(tally: TopicTally) -> int:
    """Return the requests that only a student answered, times what the teacher's call costs on average."""
    versions = {event.model_version for event in tally.promotions}
    alone = sum(count for version, count in tally.unasked.items() if version in versions)
    return round(alone * tally.teacher_tokens / tally.teacher_calls) if tally.teacher_calls else 0
