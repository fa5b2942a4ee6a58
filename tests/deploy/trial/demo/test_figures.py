"""The summary counts what was seen on the topics against what was planted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from deploy.trial.demo import figures, scene
from deploy.trial.demo.observe import TopicTally
from schemas.ids import record_id
from schemas.manifest import SnapshotManifest
from schemas.promotion import (
    BaseModel,
    Decision,
    EvaluatedStudent,
    Evaluation,
    Metric,
    ModelPromotion,
    PromotionDecision,
)
from schemas.topics import DEAD_LETTERS, TRAFFIC

FIGURES = ("macro_f1", "agreement")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MANIFEST = SnapshotManifest(
    snapshot_id="0001-x", workload="newswire", epoch=1, labels=["other"], rows=3, rows_sha256="", labels_partition=0,
    labels_offset=9, class_counts={"TRAIN": {"other": 2}, "TEST": {"other": 1}}, policy={}, teacher_models=[],
)  # fmt: skip
EVENT = ModelPromotion(
    event_id="e", event_time=NOW, recorded_time=NOW, sequence=1, model_line="newswire", model_id="m",
    model_version="newswire-e1-abc", labels=["other"], base_model=BaseModel(id="b"),
    decision=Decision(outcome=PromotionDecision.PROMOTE),
    evaluation=Evaluation(
        eval_set_id="s", eval_sha256="", n=2,
        metrics=[Metric(name=one, role="tuned", value=0.9, low=0.8, high=1.0, n=2) for one in FIGURES],
        students=[EvaluatedStudent(role="tuned", name="encoder")],
    ),
)  # fmt: skip

SPEND = {
    "calls": 10, "harvested": 2, "cache_hits": 3, "retries": 1, "second_prompts": 0, "currency": "EUR",
    "spent": {"total": {"tokens": {"amount": 1_000}, "money": {"amount": 0.25}}},
}  # fmt: skip


def test_summary__counts_planted_against_seen(tmp_path: Path) -> None:
    """Duplicates, poison, leaks, accuracy and spared tokens are what the tally and the ledger say, no more."""
    played = scene.newswire(tmp_path, "http://127.0.0.1:1/v1", scene.newswire_file(), seed=5, records=600)
    repeated = [entry for entry in played.entries if entry.kind == "duplicate"]
    private = sorted({value for entry in played.entries for value in entry.pii})
    tally = TopicTally(promotions=[EVENT], teacher_calls=10, teacher_tokens=1_000)
    tally.duplicates = {record_id("newswire", entry.id, 0, 0) for entry in repeated[1:]}
    tally.records.update({TRAFFIC.name: 600, DEAD_LETTERS.name: 2})
    tally.unasked.update({EVENT.model_version: 7, "practice-teacher": 5})
    (first, truth), *_ = played.truth.items()
    predictions = pa.table({"record_id": [first, "unknown"], "tuned": [truth, "x"]})

    summary = figures.summarise(
        played, tally, seconds=1.0, residual=0, leaked={private[0]: {"labels"}}, manifest=MANIFEST,
        predictions=predictions, spend=SPEND,
    )  # fmt: skip

    assert (summary.duplicates.planted, summary.duplicates.found) == (len(repeated), len(repeated) - 1)
    assert (summary.pii.planted, summary.pii.redacted) == (len(private), len(private) - 1)
    assert summary.window.rows == 2
    assert [(one.role, one.name, one.accuracy) for one in summary.students] == [("tuned", "encoder", 1.0)]
    assert (summary.nominee, summary.baseline) == (summary.students[0], None)
    assert summary.saving.teacher_tokens_avoided == 700
    assert (summary.teacher.calls, summary.teacher.cache_hits, summary.teacher.tokens) == (10, 3, 1_000)
    assert (summary.teacher.money, summary.teacher.currency) == (0.25, "EUR")
