"""The parts of a play, in order. Each waits for what it caused to show on the topics; none looks into a process.

Numbers are those of the docstring of __main__.py.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyarrow import parquet

from deploy.edge.process.settings import Settings
from deploy.infra.machine.machine import Machine
from deploy.infra.machine.programs import programs
from deploy.infra.machine.settings import MachineSettings
from deploy.infra.ports import on_free_ports
from deploy.trial.demo import figures, search
from deploy.trial.demo.ask import ask_once, ask_until
from deploy.trial.demo.observe import Observer, TopicTally
from deploy.trial.demo.scene import Scene
from deploy.trial.demo.show import Show
from deploy.trial.report.inputs import Summary
from deploy.trial.report.report import write_report
from schemas.errors import MillraceError
from schemas.events import RolloutState, RunState
from schemas.manifest import MANIFEST, ROWS, SnapshotManifest
from schemas.promotion import PromotionDecision
from schemas.topics import TRAFFIC

PHASE_ONE_SECONDS: Final = 300.0
TRAINING_SECONDS: Final = 900.0
ROLLOUT_SECONDS: Final = 420.0
VERIFY_SECONDS: Final = 60
STAND_IN: Final = "The teacher was the practice teacher: a stand-in, not a language model."
_PORTS: Final = (
    "broker_port", "router_port", "admin_port", "teacher_port", "student_port", "worker_port", "dispatcher_port",
)  # fmt: skip
_OVER: Final = frozenset({RolloutState.PROMOTED, RolloutState.ROLLED_BACK, RolloutState.HOLD, RolloutState.REJECTED})


class DemoFailed(MillraceError):
    """The play did not come to its end: says what was waited for and where the logs are."""


@dataclass(frozen=True)
class Playground:
    """Where a play is played: a running machine and who watches it."""

    home: Path
    played: Scene
    machine: Machine
    settings: Settings
    router_url: str
    observer: Observer
    show: Show


SceneAt = Callable[[str], Scene]  # sets the scene around the teacher's URL


@contextmanager
def running(scene_at: SceneAt, home: Path, began: float) -> Iterator[Playground]:
    """Start every real process (2) on ports that are free, and stop them all at the end.

    Raises:
        MillraceError: a process did not come up.
    """

    def start(*ports: int) -> Playground:
        return _start(scene_at, home, dict(zip(_PORTS, ports, strict=True)), began)

    stage = on_free_ports(len(_PORTS), start)
    try:
        yield stage
    finally:
        _stop(stage)


def _start(scene_at: SceneAt, home: Path, ports: dict[str, int], began: float) -> Playground:
    played = scene_at(f"http://127.0.0.1:{ports['teacher_port']}/v1")
    own = MachineSettings.load(
        **ports, workloads_dir=home / "workloads", state_dir=home / "state", artefacts_dir=home / "artefacts"
    )
    machine = Machine(home, own, found=programs(own, played.teacher, home))
    settings = own.model_copy(update={"bootstrap_servers": own.brokers})
    observer = Observer(settings)
    show = Show(observer, began).open()
    stage = Playground(home, played, machine, settings, f"http://127.0.0.1:{own.router_port}/v1", observer, show)
    try:
        show.say(f"starting every process; playing {played.title}")
        machine.start()
        observer.start()
        machine.wait_ready()
    except BaseException:
        _stop(stage)
        raise
    return stage


def _stop(stage: Playground) -> None:
    stage.observer.stop()
    stage.machine.stop()
    stage.show.close()


def phase_one(stage: Playground) -> None:
    """Feed the traffic (3) and wait for the retrain request."""
    stage.show.say("phase 1: traffic into Kafka")
    fed = _program(stage, *stage.played.feed)
    if fed.returncode:
        raise DemoFailed(f"the traffic could not be played: {fed.stderr.strip()[-500:]}")
    _until(stage, lambda tally: bool(tally.requests), PHASE_ONE_SECONDS, "a retrain request")


def training(stage: Playground) -> None:
    """Wait for the run's end and its event (4)."""
    stage.show.say("a threshold was crossed: distilling the window")
    ended = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}
    _until(stage, lambda tally: bool(tally.runs) and tally.runs[-1].state in ended, TRAINING_SECONDS, "the run's end")
    run = stage.observer.tally.runs[-1]
    if run.state is not RunState.SUCCEEDED:
        raise DemoFailed(f"the run ended {run.state.lower()}: {run.message}")
    _until(stage, lambda tally: bool(tally.promotions), 30, "the promotion event")


def phase_two(stage: Playground) -> list[str]:
    """Ask the router until the rollout has ended (5); return what an application saw."""
    decision = stage.observer.tally.promotions[-1].decision.outcome
    questions, workload = _questions(stage.played), stage.played.workload
    if decision is not PromotionDecision.PROMOTE:
        stage.show.say(f"the gate says {decision.lower()}: the teacher goes on answering")
        answers = asyncio.run(ask_until(stage.router_url, workload, itertools.islice(questions, 50), lambda: False))
        return [f"the application asked 50 times; {', '.join(answers.by_model)} answered, {answers.failed} failed"]
    stage.show.say("phase 2: an application asks the router; the student is rolled out step by step")
    deadline = time.monotonic() + ROLLOUT_SECONDS

    def over() -> bool:
        stage.show.beat()
        return _is_over(stage.observer.tally) or time.monotonic() > deadline

    answers = asyncio.run(ask_until(stage.router_url, workload, questions, over))
    _until(stage, _is_over, 1, "the rollout's end")
    notes = [f"the application asked {sum(answers.by_model.values())} times; {answers.failed} requests failed"]
    state = stage.observer.tally.state
    if state is not None and state.state is RolloutState.PROMOTED and state.champion is not None:
        notes.append(_ask_the_student(stage, state.champion.version))
    return notes


def finish(stage: Playground, notes: list[str]) -> Summary:
    """Count every record, search for personal data, write summary and report (6)."""
    stage.show.say("counting every record")
    counted = _verify(stage)
    home, tally = stage.home, stage.observer.tally
    stage.observer.wait_for(lambda seen: seen.records[TRAFFIC.name] >= counted["stages"][0]["inputs"], 30)
    request = tally.requests[-1]
    evidence, predictions = _run_files(stage, tally.runs[-1].run_id)
    summary = figures.summarise(
        stage.played, tally, seconds=stage.show.seconds, leaked=_leaked(stage), predictions=predictions,
        residual=counted["residual"] + counted["in_flight"], spend=_spend(stage),
        manifest=SnapshotManifest.from_bytes((Path(request.snapshot_uri) / MANIFEST).read_bytes()),
    )  # fmt: skip
    (home / "summary.json").write_text(summary.model_dump_json(indent=1) + "\n")
    write_report(
        summary, home / "report.html", workload=stage.played.workload.name, evidence=evidence,
        flow=figures.flow(tally), statuses=tally.statuses, predictions=predictions,
        rows=parquet.read_table(Path(request.snapshot_uri) / ROWS), notes=[STAND_IN, *notes],
    )  # fmt: skip
    return summary


def _leaked(stage: Playground) -> dict[str, set[str]]:
    private = {value for entry in stage.played.entries for value in entry.pii}
    if not private:
        return {}
    apart = [stage.home / "planted", stage.home / "kafka"]
    return search.in_topics(stage.settings, private) | search.in_files(stage.home, private, apart)


def _ask_the_student(stage: Playground, version: str) -> str:
    """Ask until the router, which follows `model-state`, answers with the new champion."""
    deadline = time.monotonic() + 20
    for number in itertools.count():
        request_id, text = f"after-{number}", stage.played.questions[number % len(stage.played.questions)][1]
        model, said = asyncio.run(ask_once(stage.router_url, stage.played.workload, request_id, text))
        if model == version:
            return f"asked once more: {model} answered {said!r}"
        if time.monotonic() > deadline:
            raise DemoFailed(f"the rollout says that {version} is promoted, but {model} answers")
    raise AssertionError("count() does not end")


def _questions(played: Scene) -> Iterator[tuple[str, str]]:
    """Yield the questions, and once they are used up the same texts under other ids."""
    for turn in itertools.count():
        for request_id, text in played.questions:
            yield (f"{request_id}-{turn}" if turn else request_id), text


def _is_over(tally: TopicTally) -> bool:
    return tally.state is not None and tally.state.state in _OVER


def _verify(stage: Playground) -> dict[str, Any]:
    """Run `millrace verify` as its user would, and return what it counted."""
    done = _program(stage, "deploy.commands.verify", "verify", "--json", "--wait", str(VERIFY_SECONDS))
    try:
        counted: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise DemoFailed(f"millrace verify: {done.stderr.strip()[-500:]}") from error
    return counted


def _spend(stage: Playground) -> dict[str, Any]:
    """Run `millrace labels spend` as its user would, and return the workload's books."""
    name = stage.played.workload.name
    done = _program(stage, "deploy.commands.labels", "spend", name, "--json")
    if done.returncode:
        raise DemoFailed(f"millrace labels spend: {(done.stderr or done.stdout).strip()[-500:]}")
    books: dict[str, Any] = json.loads(done.stdout)[name]
    return books


def _program(stage: Playground, module: str, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "MILLRACE_BOOTSTRAP_SERVERS": stage.settings.bootstrap_servers,
        "MILLRACE_WORKLOADS_DIR": str(stage.settings.workloads_dir),
    }
    command = [sys.executable, "-m", module, *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _run_files(stage: Playground, run_id: str) -> tuple[dict[str, Any] | None, Any]:
    folder = stage.settings.state_dir / "dispatcher" / "runs" / run_id
    evidence, predictions = folder / "evidence.json", folder / "predictions.parquet"
    return (
        json.loads(evidence.read_text()) if evidence.exists() else None,
        parquet.read_table(predictions) if predictions.exists() else None,
    )


def _until(stage: Playground, condition: Callable[[TopicTally], bool], seconds: float, what: str) -> None:
    """Wait for a condition, showing the progress."""
    deadline = time.monotonic() + seconds
    while not stage.observer.wait_for(condition, 1.0):
        stage.show.beat()
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what} did not come within {seconds:.0f} s; the logs are in {stage.home / 'logs'}")
