"""READ FIRST. The worker: every source, agent and timer, in flow order.

    traffic -> curate -> curated -> label -> labels -> window -> retrain-requests
    model-promotion, outcomes, rollout-commands -> rollout -> model-state, rollout-status

Each stage has a source (source.py: Kafka batches in, one transaction a batch out) and an agent here, which hands the
source's batches to the stage. What a stage decides is in its own folder. Run all stages, or some:

    millrace worker --stages curate,label,window,rollout
"""

from __future__ import annotations

import asyncio
import pkgutil
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, cast

import faust

from deploy.edge.process import logs, probes
from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.framing import Framing
from schemas.errors import SettingsError
from schemas.principals import Principal, TopicAccess
from schemas.topics import CATALOGUE, MODEL_STATE
from streams import model_state_gauges
from streams.core import gc_schedule, liveness
from streams.core.batch import Batch
from streams.core.source import Source
from streams.core.stage import Stage
from streams.settings import WorkerSettings


async def curate(batches: AsyncIterator[Batch]) -> AsyncIterator[int]:
    """Traffic -> curated | discarded | dead-letters, each text once, without personal data"""
    async for batch in batches:
        yield await batch.put_through()


async def label(batches: AsyncIterator[Batch]) -> AsyncIterator[int]:
    """Curated -> labels | discarded | dead-letters, a recorded answer where it may be used, else the teacher's"""
    async for batch in batches:
        yield await batch.put_through()


async def window(batches: AsyncIterator[Batch]) -> AsyncIterator[int]:
    """Labels + training-runs -> retrain-requests, a snapshot of the window when a trigger fires"""
    async for batch in batches:
        yield await batch.put_through()


async def rollout(batches: AsyncIterator[Batch]) -> AsyncIterator[int]:
    """model-promotion + outcomes + rollout-commands -> model-state + rollout-status, one step at a time"""
    async for batch in batches:
        yield await batch.put_through()


def watch_model_state(framing: Framing) -> Callable[..., Any]:
    async def watch(values: AsyncIterator[bytes]) -> AsyncIterator[None]:
        """model-state -> gauges of each workload's rollout"""
        async for value in values:
            model_state_gauges.show(value, framing)
            yield

    return watch


# Flow order. A stage's module is imported only where the stage runs: curate's process needs no DuckDB.
AGENTS: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "curate": (curate, "streams.curate.stage:CurateStage"),
    "label": (label, "streams.label.stage:LabelStage"),
    "window": (window, "streams.window.stage:WindowStage"),
    "rollout": (rollout, "streams.rollout.stage:RolloutStage"),
}


def build(settings: WorkerSettings, names: list[str]) -> tuple[faust.App, list[Source]]:
    """Return the app and the sources of the named stages."""
    app = faust.App(
        # State is read from its start at every start, so the group's name is new each time.
        f"{settings.topic_prefix}millrace-worker-{uuid.uuid4().hex[:8]}",
        broker=f"kafka://{settings.bootstrap_servers}", broker_credentials=model_state_gauges.credentials(settings),
        store="memory://", datadir=str(settings.worker_dir / "faust"),
        web_enabled=False, topic_allow_declare=False, topic_disable_leader=True, topic_partitions=8,
    )  # fmt: skip
    workloads, framing, sources = settings.workloads(), Framing(settings), []
    framing.register(CATALOGUE)
    for name in names:
        agent, where = AGENTS[name]
        made: Stage = pkgutil.resolve_name(where)(settings, workloads, framing)
        channel: Any = app.channel(maxsize=1)
        app.agent(channel, name=f"streams.{name}")(agent)
        sources.append(Source(settings, made, channel.put, framing))
    topic = app.topic(
        TopicNames(settings, Principal.WORKER, TopicAccess.READ)[MODEL_STATE], value_type=bytes, value_serializer="raw"
    )
    app.agent(topic, name="streams.model-state")(cast("Any", watch_model_state(framing)))
    return app, sources


async def work(settings: WorkerSettings, names: list[str]) -> None:
    """Run until a signal comes or a source fails; then stop the sources first, so that their agents can finish."""
    app, sources = build(settings, names)
    progress = [source.progress for source in sources]
    served = await probes.serve_probes(
        settings.host, settings.metrics_port, lambda: liveness.healthy(progress),
        lambda: next((f"{s.stage.name} is not ready" for s in sources if not s.ready), None),
    )  # fmt: skip
    await app.start()
    runs = [asyncio.create_task(source.run(), name=source.stage.name) for source in sources]
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, _stop, sources)
    liveness.watch(progress)
    try:
        await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
    finally:
        _stop(sources)
        ended = await asyncio.gather(*runs, return_exceptions=True)
        await app.stop()
        if served:
            await served.cleanup()
    for result in ended:
        if isinstance(result, BaseException):
            raise result


def _stop(sources: list[Source]) -> None:
    for source in sources:
        source.stop()


def main(stages: str | None, **options: object) -> None:
    """Run the worker until a signal comes.

    Args:
        stages: names with commas between; None: all.
        options: settings that win over the environment.

    Raises:
        MillraceError: a stage, setting or workload file cannot be used.
    """
    names = list(AGENTS) if stages is None else [name.strip() for name in stages.split(",") if name.strip()]
    if not names or not set(names) <= AGENTS.keys():
        raise SettingsError("stages", stages, f"choose from {', '.join(AGENTS)}")
    settings = WorkerSettings.load_to_stay(**options)
    logs.start(settings, "worker")
    gc_schedule.collect_by_the_clock()
    asyncio.run(work(settings, names))
