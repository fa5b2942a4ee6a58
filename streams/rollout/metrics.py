"""The controller's metrics: what the lines prove and how they move.

Weight and step are in streams/model_state_gauges.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge

from schemas.events import RolloutState
from streams.rollout.guardrails import Bound

STATE: Final = Gauge("millrace_rollout_state", "1 for the state the line is in", ["workload", "state"])
BOUND: Final = Gauge("millrace_rollout_guardrail_bound", "End of a confidence sequence", ["workload", "metric", "side"])
LIMIT: Final = Gauge("millrace_rollout_guardrail_limit", "Limit of a guardrail", ["workload", "metric"])
TRANSITIONS: Final = Counter(
    "millrace_rollout_transitions", "Transitions of rollouts", ["workload", "previous", "state"]
)


def show(workload: str, state: RolloutState, bounds: Iterable[Bound]) -> None:
    """Show the state of a line."""
    for value in RolloutState:
        STATE.labels(workload, value.value.lower()).set(value is state)
    for bound in bounds:
        BOUND.labels(workload, bound.metric, "low").set(bound.low)
        BOUND.labels(workload, bound.metric, "high").set(bound.high)
        LIMIT.labels(workload, bound.metric).set(bound.limit)


def forget(workload: str) -> None:
    """Stop showing a line that another worker has now."""
    for value in RolloutState:
        STATE.remove(workload, value.value.lower())
