"""The router's metrics. Labels hold workloads, variants and reasons from fixed sets, never texts, ids or versions."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_FINE: Final = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1)
_UPSTREAM: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96)

REQUESTS: Final = Counter(
    "millrace_router_requests", "Requests answered", ["workload", "assigned", "served", "code"]
)  # fmt: skip
OVERHEAD: Final = Histogram(
    "millrace_router_overhead_seconds", "Time of a request minus its wait for upstreams", ["workload"], buckets=_FINE
)
UPSTREAM: Final = Histogram(
    "millrace_router_upstream_seconds", "Time an upstream took", ["workload", "variant"], buckets=_UPSTREAM
)
FALLBACKS: Final = Counter("millrace_router_fallbacks", "Answers by another than the assigned", ["workload", "reason"])
INELIGIBLE: Final = Counter(
    "millrace_router_ineligible", "Requests only the teacher may answer", ["workload", "reason"]
)
RETRIES: Final = Counter("millrace_router_retries", "Repeated calls to the teacher", ["workload", "reason"])
SIDE_CALLS: Final = Counter("millrace_router_side_calls", "Calls off the hot path", ["workload", "result"])
CAPTURE_DEPTH: Final = Gauge("millrace_router_capture_queue", "Records that wait for Kafka")
CAPTURE_DROPPED: Final = Counter(
    "millrace_router_capture_dropped", "Records that never reached Kafka", ["topic", "reason"]
)
CAPTURED: Final = Counter("millrace_router_captured", "Records that Kafka acknowledged", ["topic"])
WEIGHT: Final = Gauge(
    "millrace_router_weight_ratio", "Share of eligible requests the challenger gets here", ["workload"]
)
STATE: Final = Gauge("millrace_router_rollout_state", "1 for the state the line is in", ["workload", "state"])
LOADED: Final = Gauge(
    "millrace_router_student_ready", "1 where the student is loaded and proven", ["workload", "variant"]
)
FOLLOWING: Final = Gauge("millrace_router_following", "1 while model-state is read and up to date")
