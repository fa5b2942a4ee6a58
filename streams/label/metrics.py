"""The label stage's metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REQUESTS: Final = Counter(
    "millrace_teacher_requests_total", "Calls to the teacher by what came of them.", ["workload", "outcome"]
)
CALLS: Final = Counter(
    "millrace_teacher_calls_total", "Calls to the teacher by what they were made for.", ["workload", "purpose"]
)
TOKENS: Final = Counter("millrace_teacher_tokens_total", "Tokens the teacher counted.", ["workload", "kind"])
SECONDS: Final = Histogram(
    "millrace_teacher_request_seconds",
    "Duration of one call to the teacher.",
    ["workload"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
CONCURRENCY: Final = Gauge(
    "millrace_teacher_concurrency", "Calls the teacher is found to take at a time.", ["workload"]
)
PAUSED: Final = Gauge(
    "millrace_teacher_paused", "1 while nothing can be asked: budget spent, teacher away or overloaded.", ["workload"]
)
BATCHES: Final = Gauge("millrace_teacher_batches", "Batches that are open at the teacher's endpoint.", ["workload"])
IN_BATCHES: Final = Gauge(
    "millrace_teacher_batch_requests", "Requests that wait for their answer in a batch.", ["workload"]
)
LABELS: Final = Counter("millrace_labels_total", "Labels by where they came from.", ["workload", "provenance"])
ANCHORS: Final = Counter("millrace_anchors_total", "Answers on anchors that were asked again.", ["workload"])
ENDED: Final = Counter(
    "millrace_unlabelled_total", "Curated records that ended without a label, by reason.", ["workload", "reason"]
)
OUTSIDE: Final = Counter(
    "millrace_harvest_outside_total",
    "Recorded answers that may be learnt from and say no label of the set.",
    ["workload"],
)
