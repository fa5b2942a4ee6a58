"""What each step of curation costs: the stage in this process, its functions wrapped with a clock of CPU time.

STEPS names the functions of each step where the worker looks them up. A step's time leaves out the steps called inside
it. The clock costs about a microsecond per call, most of it taken off again; so the whole is measured on batches of
their own, between those with the clock. Record by record the steps come out a little high; batch by batch they do not.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

from confluent_kafka import Consumer, TopicPartition

from benchmarks.ground import NEWSWIRE, Ground
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, topic_name
from deploy.edge.topics.framing import Framing
from deploy.trial.simulate.forms import Wire
from schemas.principals import Principal
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC
from streams.core import gc_schedule
from streams.core.stage import Message
from streams.core.transaction import Transactions
from streams.curate.stage import BATCH_RECORDS, CurateStage
from streams.settings import WorkerSettings

# step -> the functions that are its work, as `module:name`
STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "decode": ("streams.curate.intake:decode_traffic",),
    "validate": (
        "streams.curate.intake:check_exchange",
        "streams.curate.intake:check_time",
        "streams.curate.intake:find_text",
    ),
    "redact": (
        "deploy.edge.privacy.redactor:Redactor.redact_all",
        "streams.curate.group:cleaned",
        "streams.curate.group:cleaned_attributes",
    ),
    "normalise": ("streams.curate.group:normalise_all", "streams.curate.group:normalise"),
    "duplicates": (
        "streams.curate.group:text_key",
        "streams.curate.duplicates:DuplicateIndex.overlay",
        "streams.curate.duplicates:Overlay.find",
        "streams.curate.duplicates:Overlay.add",
        "streams.curate.duplicates:Overlay.add_vote",
        "streams.curate.duplicates:Overlay.merge",
    ),
    "filter": (
        "streams.curate.quality:QualityFilter.refusals",
        "streams.curate.blend:stays",
        "streams.curate.caps:CapOverlay.admit",
    ),
    "enrich": ("streams.curate.group:enrich_all", "streams.curate.language:languages_of"),
    "encode": ("streams.core.transaction:Transactions.encode",),
    "produce_commit": ("streams.core.transaction:Transactions.settle",),
}
RULES: Final = ("decode", "validate", "redact", "normalise", "duplicates", "filter", "enrich", "encode")
GLUE: Final = "glue"  # what the stage does between its steps
_CALIBRATION: Final = 5_000  # calls
_NOTHING: Final = "nothing"


def cpu_us_by_step(ground: Ground, wires: Sequence[Wire]) -> dict[str, float]:
    """Return the CPU microseconds per record of each step, and of the glue between them: medians over whole batches."""
    gc_schedule.collect_by_the_clock()  # as the worker does
    with ground.laid() as settings:
        batches = [wires[start : start + BATCH_RECORDS] for start in range(0, len(wires), BATCH_RECORDS)]
        gc_schedule.collect_by_the_clock()  # as the worker does; and what the benchmark holds is left out of every look
        clocked, whole = _measured(settings, [batch for batch in batches if len(batch) == BATCH_RECORDS])
    us = 1e6 / BATCH_RECORDS
    steps = {step: statistics.median(batch[step] for batch in clocked) * us for step in STEPS}
    return steps | {GLUE: statistics.median(whole[1:] or whole) * us - sum(steps.values())}  # the first fills caches


def _measured(settings: Settings, batches: Sequence[Sequence[Wire]]) -> tuple[list[dict[str, float]], list[float]]:
    """Return the seconds of each step in every second batch, and of the others, without the clock, as a whole."""
    framing = Framing(settings)
    stage = CurateStage(settings, settings.workloads(), framing)
    transactions = Transactions(WorkerSettings(**settings.model_dump()), Principal.CURATE, "bench", framing)
    transactions.open()
    group = Consumer(librdkafka(settings) | {"group.id": f"{settings.topic_prefix}steps"})
    metadata, offset = group.consumer_group_metadata(), 0
    clocked: list[dict[str, float]] = []
    whole: list[float] = []
    for number, batch in enumerate(batches):
        messages, offset = _messages(batch, offset), offset + len(batch)
        place = TopicPartition(topic_name(settings, TRAFFIC), messages[0].partition, offset)
        with _clocked() if number % 2 else nullcontext() as clock:
            started = time.process_time()
            settlement = asyncio.run(stage.process(messages))
            transactions.settle(transactions.encode(settlement.outputs), [place], metadata)
            settlement.committed()
            if clock is None:
                whole.append(time.process_time() - started)
            else:
                clocked.append(clock.steps())
    transactions.close()
    group.close()
    return clocked, whole


def _messages(batch: Sequence[Wire], offset: int) -> list[Message]:
    now, partition = datetime.now(UTC), partition_of(NEWSWIRE, PARTITIONS)
    return [
        Message(TRAFFIC, partition, offset + number, wire.workload.encode(), wire.value, wire.headers, now)
        for number, wire in enumerate(batch)
    ]


class _Clock:
    """CPU time by step, each without the steps inside it and without the clock's own readings."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._calls: Counter[str] = Counter()
        self._nested: list[float] = [0.0]
        nothing = self.wrapped(_NOTHING, lambda: None)
        for _ in range(_CALIBRATION):
            nothing()
        self._own = self._seconds[_NOTHING] / _CALIBRATION  # seconds of a call that are the clock's

    def steps(self) -> dict[str, float]:
        """Return the seconds of each step."""
        return {step: max(0.0, self._seconds[step] - self._calls[step] * self._own) for step in STEPS}

    def wrapped(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted for the step."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._nested.append(0.0)
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.process_time() - started
                self._seconds[step] += took - self._nested.pop()
                self._nested[-1] += took
                self._calls[step] += 1

        return timed


@contextmanager
def _clocked() -> Iterator[_Clock]:
    """Wrap every function that STEPS names."""
    clock = _Clock()
    with ExitStack() as patches:
        for step, names in STEPS.items():
            for name in names:
                owner, attribute = _found(name)
                patches.enter_context(patch.object(owner, attribute, clock.wrapped(step, getattr(owner, attribute))))
        yield clock


def _found(name: str) -> tuple[Any, str]:
    """Return what holds a function of STEPS, and the function's name in it."""
    module, _, path = name.partition(":")
    *outer, attribute = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in outer:
        owner = getattr(owner, part)
    return owner, attribute
