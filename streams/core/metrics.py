"""What the worker counts and measures about its stages."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from operator import itemgetter

from prometheus_client import Counter, Gauge, Histogram

from schemas.records import DeadLetter
from schemas.topics import DEAD_LETTERS as DEAD_LETTERS_TOPIC
from schemas.topics import TRAFFIC
from streams.core.stage import Output

RECORDS = Counter("millrace_stage_records", "Records written by a stage, by topic.", ["stage", "outcome"])
CONSUMED = Counter("millrace_stage_consumed_records", "Records consumed and settled by a stage.", ["stage"])
RESIDUAL = Gauge(
    "millrace_stage_residual_records",
    "Settled inputs that did not end exactly once, since the worker's start; must be 0.", ["stage"],
)  # fmt: skip
BATCH = Histogram(
    "millrace_stage_batch_records", "Records in a settled batch.", ["stage"],
    buckets=(1, 5, 25, 100, 500, 1_000, 2_500, 5_000, 10_000),
)  # fmt: skip
PROCESS_SECONDS = Histogram("millrace_stage_process_seconds", "Time a stage took for a batch.", ["stage"])
SETTLE_SECONDS = Histogram("millrace_stage_settle_seconds", "Time a batch's transaction took.", ["stage"])
REBUILD_SECONDS = Histogram(
    "millrace_stage_rebuild_seconds", "Time to rebuild a partition's state from our own topics.", ["stage"],
    buckets=(0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
ABORTS = Counter("millrace_stage_aborts", "Transactions aborted.", ["stage"])
RETRIES = Counter("millrace_stage_retries", "Batches tried again.", ["stage", "reason"])
DEAD_LETTERS = Counter("millrace_stage_dead_letters", "Dead letters written.", ["stage", "reason"])
ERRORS = Counter("millrace_stage_transaction_errors", "Transaction errors, by Kafka's code.", ["stage", "code"])
REKEYED = Counter("millrace_stage_rekeyed_records", "Records sent on to their workload's partition.", ["stage"])
LAG_RECORDS = Gauge("millrace_stage_lag_records", "Records not yet consumed.", ["stage", "topic", "partition"])
LAG_SECONDS = Gauge(
    "millrace_stage_lag_seconds", "Age of the last settled record while there is lag.", ["stage", "topic", "partition"]
)
BREAKER = Gauge(
    "millrace_stage_breaker_open", "1 while a partition pauses because most of its records became dead letters.",
    ["stage", "partition"],
)  # fmt: skip


def show_settled(stage: str, outputs: Sequence[Output], consumed: int) -> None:
    """Count what a transaction settled."""
    if consumed:
        CONSUMED.labels(stage).inc(consumed)
        BATCH.labels(stage).observe(consumed)
    written = Tally(map(itemgetter(0), outputs))  # by topic
    for topic, count in written.items():
        RECORDS.labels(stage, topic.name).inc(count)
    if TRAFFIC in written:
        REKEYED.labels(stage).inc(written[TRAFFIC])
    if DEAD_LETTERS_TOPIC in written:
        for output in outputs:
            if isinstance(output.record, DeadLetter):
                DEAD_LETTERS.labels(stage, output.record.reason).inc()


def show_lag(stage: str, place: tuple[str, int], records: int, seconds: float) -> None:
    """Show how far a stage is behind in one partition."""
    LAG_RECORDS.labels(stage, *map(str, place)).set(records)
    LAG_SECONDS.labels(stage, *map(str, place)).set(seconds)
