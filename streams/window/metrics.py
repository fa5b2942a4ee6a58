"""The window stage's metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

ROWS: Final = Gauge("millrace_window_rows", "Rows in the window.", ["workload", "class_name", "split"])
NEW_LABELS: Final = Gauge("millrace_window_new_labels", "Labels since the last retrain request.", ["workload"])
THRESHOLD: Final = Gauge("millrace_window_new_labels_threshold", "New labels that ask for a retrain.", ["workload"])
IN_FLIGHT: Final = Gauge("millrace_retrain_in_flight", "1 while a retrain request's run has not ended.", ["workload"])
MAY_TRAIN: Final = Gauge(
    "millrace_teacher_may_train", "1 where the workload says that its teacher's terms allow training.", ["workload"]
)
FIRED: Final = Counter("millrace_trigger_total", "Retrain requests by the trigger that fired.", ["workload", "trigger"])
REQUESTED: Final = Counter("millrace_retrain_requests_total", "Retrain requests.", ["workload"])
