"""The triggers' metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Gauge

STATISTIC: Final = Gauge(
    "millrace_trigger_statistic", "What a trigger measures: labels, hours, or evidence.", ["workload", "trigger"]
)
THRESHOLD: Final = Gauge(
    "millrace_trigger_threshold", "The statistic from which a trigger fires.", ["workload", "trigger"]
)
FIRES: Final = Gauge("millrace_trigger_fires", "1 while a trigger has fired.", ["workload", "trigger"])
SUGGESTED: Final = Gauge(
    "millrace_retrain_suggested", '1 while a retrain is due that mode = "suggest" does not ask for.', ["workload"]
)
