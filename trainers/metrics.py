"""What the dispatcher shows on /metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from schemas.promotion import ModelPromotion

ACTIVE: Final = Gauge("millrace_training_runs_active", "Runs that have not ended: queued or running.")
ENDED: Final = Counter("millrace_training_runs", "Runs that ended, by how.", ["state"])
LOSS: Final = Gauge("millrace_training_loss", "Loss of the last step of the run that trained last.", ["workload"])
MACRO_F1: Final = Gauge(
    "millrace_student_macro_f1", "Macro-F1 on test rows in the last evaluation.", ["workload", "role"]
)
MACRO_F1_LOW: Final = Gauge("millrace_student_macro_f1_low", "Lower 95 % bound of it.", ["workload", "role"])
MACRO_F1_HIGH: Final = Gauge("millrace_student_macro_f1_high", "Upper 95 % bound of it.", ["workload", "role"])
DURATION: Final = Histogram(
    "millrace_training_duration_seconds", "Seconds from a job's start to its evidence.",
    buckets=(10, 30, 60, 120, 180, 300, 600, 1_200, 3_600, 14_400),
)  # fmt: skip
DECISIONS: Final = Counter("millrace_gate_decisions", "What the gate decided.", ["workload", "outcome"])


def show_loss(workload: str, loss: float | None) -> None:
    """Show the loss of a run's last step; a recipe without one (a linear student) leaves the panel as it is."""
    if loss is not None:
        LOSS.labels(workload).set(loss)


def show_event(event: ModelPromotion) -> None:
    """Show the figures of a published event."""
    DECISIONS.labels(event.model_line, event.decision.outcome.lower()).inc()
    if event.lineage and event.lineage.duration_seconds is not None:
        DURATION.observe(event.lineage.duration_seconds)
    if event.evaluation is None:
        return
    for metric in [*event.evaluation.metrics, *event.evaluation.champion_metrics]:
        if metric.name == "macro_f1":
            for gauge, value in ((MACRO_F1, metric.value), (MACRO_F1_LOW, metric.low), (MACRO_F1_HIGH, metric.high)):
                if value is not None:
                    gauge.labels(event.model_line, metric.role).set(value)
