"""The demo's summary: what was planted against what was seen on the topics, and the students' figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

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
from schemas.events import Metric, ModelPromotion
from schemas.ids import record_id
from schemas.manifest import SnapshotManifest
from schemas.topics import CURATED, DEAD_LETTERS, LABELS, TRAFFIC

NAMES: Final = {
    "baseline": "TF-IDF, linear",
    "base": "untuned encoder",
    "tuned": "encoder, LoRA",
}


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

    Args:
        scene: what was played and planted.
        tally: what was seen on the topics.
        seconds: from the start of the command.
        residual: of `millrace verify`.
        leaked: planted personal data that stands where it must not.
        manifest: of the snapshot the student learnt from.
        predictions: the run's test rows with each student's label.
        spend: the workload's books, as `millrace labels spend --json` tells them.
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
        students=_students(event, _accuracies(scene, predictions)),
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


def _accuracies(scene: Scene, predictions: pa.Table | None) -> dict[str, tuple[int, int]]:
    """Return by role how many test rows have a known truth, and how many of those the student says."""
    if predictions is None or not scene.truth:
        return {}
    rows: Sequence[dict[str, Any]] = predictions.to_pylist()
    known = [(row, scene.truth[row["record_id"]]) for row in rows if row["record_id"] in scene.truth]
    return {
        role: (len(known), sum(row[role] == truth for row, truth in known))
        for role in NAMES
        if rows and role in rows[0]
    }


def _students(event: ModelPromotion | None, accuracies: Mapping[str, tuple[int, int]]) -> list[StudentSummary]:
    if event is None or event.evaluation is None:
        return []
    overall = {(one.role, one.name): one for one in event.evaluation.metrics if one.class_name is None}
    return [
        _student(role, {name: one for (of, name), one in overall.items() if of == role}, accuracies.get(role))
        for role in NAMES
        if (role, "macro_f1") in overall
    ]


def _student(role: Any, found: Mapping[str, Metric], accuracy: tuple[int, int] | None) -> StudentSummary:
    f1, by_requests = found["macro_f1"], found.get("request_agreement")
    return StudentSummary(
        name=NAMES[role], role=role, n=f1.n, macro_f1=f1.value, macro_f1_low=f1.low, macro_f1_high=f1.high,
        agreement=found["agreement"].value, accuracy=accuracy[1] / accuracy[0] if accuracy and accuracy[0] else None,
        effective_n=f1.effective_n, request_agreement=None if by_requests is None else by_requests.value,
    )  # fmt: skip


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
