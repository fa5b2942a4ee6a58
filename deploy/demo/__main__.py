"""`make demo`: the whole loop on one bare machine, from the first record to the promoted student.

1 set the scene: workload, practice teacher, what will be planted
2 start every real process under supervisor
3 phase 1: traffic into Kafka; curate, label, window; a trigger asks for a retrain
4 the recipe trains; the gate decides; the event is published
5 phase 2: an application asks the router until the rollout has ended
6 count every record, search for personal data, write summary and report
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click
from pyarrow import parquet

from deploy.demo import figures, scene, search
from deploy.demo.ask import ask_once, ask_until
from deploy.demo.chaos import Chaos
from deploy.demo.observe import Observer, Tally
from deploy.demo.scene import Scene
from deploy.demo.show import Show, last_page
from deploy.edge.command import told_in_one_line
from deploy.machine.machine import Machine
from deploy.machine.programs import MachineSettings, programs
from deploy.report.report import write_report
from schemas.errors import MillraceError
from schemas.events import PromotionDecision, RolloutState, RunState
from schemas.manifest import MANIFEST, SnapshotManifest
from schemas.topics import TRAFFIC

HOME: Final = Path("var/demo")
PHASE_ONE_SECONDS: Final = 300.0
TRAINING_SECONDS: Final = 900.0
ROLLOUT_SECONDS: Final = 420.0
VERIFY_SECONDS: Final = 60
STAND_IN: Final = "The teacher was the practice teacher: a stand-in, not a language model."
_OVER: Final = frozenset({RolloutState.PROMOTED, RolloutState.ROLLED_BACK, RolloutState.HOLD, RolloutState.REJECTED})
_PORTS: Final = (
    "router_port", "admin_port", "teacher_port", "student_port", "worker_port", "dispatcher_port",
)  # fmt: skip


class DemoFailed(MillraceError):
    """The play did not come to its end: says what was waited for and where the logs are."""


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Your own labelled text (CSV, JSONL, Parquet; gzip too).")
@click.option("--text", help="Its column of texts.  [default: guessed]")
@click.option("--label", help="Its column of labels.  [default: guessed]")
@click.option("--teacher", type=click.Choice(["recorded", "fitted"]), default="recorded", show_default=True)
@click.option("--records", type=click.IntRange(500), default=6_000, show_default=True, help="Records of phase 1.")
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--chaos", is_flag=True, help="Kill each process once while it works.")
@told_in_one_line
def main(
    data: Path | None, text: str | None, label: str | None, teacher: str, records: int, seed: int, *, chaos: bool
) -> None:
    """Play financial text through the whole loop."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the machine is stopped on the way out
    for name in [name for name in os.environ if name.startswith("MILLRACE_")]:
        del os.environ[name]  # a play must not reach the cluster that this shell works with
    ports = _free_ports()
    home = HOME.absolute()
    _clear(home)
    teacher_url = f"http://127.0.0.1:{ports['teacher_port']}/v1"
    if data is None:
        played = scene.newswire(home, teacher_url, seed, records)
    else:
        rows = scene.labelled_rows(data, text, label)
        played = scene.own_text(home, teacher_url, rows, scene.name_of(data), fitted=teacher == "fitted", seed=seed)
    play(played, home, ports, began, chaos=chaos)


def play(played: Scene, home: Path, ports: dict[str, int], began: float, *, chaos: bool) -> None:
    """Play a scene to its end."""
    own = MachineSettings.load(
        **ports, workloads_dir=home / "workloads", state_dir=home / "state", artefacts_dir=home / "artefacts"
    )
    machine = Machine(home, own, found=programs(own, played.teacher, home))
    settings = own.model_copy(update={"bootstrap_servers": own.brokers})
    observer = Observer(settings)
    with Show(observer, began) as show:
        try:
            show.say(f"starting every process; playing {played.title}")
            machine.start()
            observer.start()
            machine.wait_ready()
            killer = Chaos(machine, observer)
            if chaos:
                killer.start()
            _phase_one(played, settings, observer, show)
            _training(observer, show)
            notes = _phase_two(played, settings, observer, show)
            _finish(played, settings, observer, show, [*notes, *killer.hits])
        finally:
            observer.stop()
            machine.stop()


def _phase_one(played: Scene, settings: MachineSettings, observer: Observer, show: Show) -> None:
    show.say("phase 1: traffic into Kafka")
    module, *options = played.feed
    environment = os.environ | {
        "MILLRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "MILLRACE_WORKLOADS_DIR": str(settings.workloads_dir),
    }
    fed = subprocess.run(
        [sys.executable, "-m", module, *options], env=environment, capture_output=True, text=True, check=False
    )
    if fed.returncode:
        raise DemoFailed(f"the traffic could not be played: {fed.stderr.strip()[-500:]}")
    _until(observer, show, lambda tally: bool(tally.requests), PHASE_ONE_SECONDS, "a retrain request")


def _training(observer: Observer, show: Show) -> None:
    show.say("a threshold was crossed: distilling the window")
    ended = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}
    _until(
        observer, show, lambda tally: bool(tally.runs) and tally.runs[-1].state in ended, TRAINING_SECONDS, "the run"
    )
    run = observer.tally.runs[-1]
    if run.state is not RunState.SUCCEEDED:
        raise DemoFailed(f"the run ended {run.state.lower()}: {run.message}")
    _until(observer, show, lambda tally: bool(tally.promotions), 30, "the promotion event")


def _phase_two(played: Scene, settings: MachineSettings, observer: Observer, show: Show) -> list[str]:
    decision = observer.tally.promotions[-1].decision.outcome
    base_url = f"http://127.0.0.1:{settings.router_port}/v1"
    questions = iter(played.questions)
    if decision is not PromotionDecision.PROMOTE:
        show.say(f"the gate says {decision.lower()}: the teacher goes on answering")
        asyncio.run(ask_until(base_url, played.workload, itertools.islice(questions, 50), lambda: False))
        return []
    show.say("phase 2: an application asks the router; the student is rolled out step by step")
    deadline = time.monotonic() + ROLLOUT_SECONDS

    def over() -> bool:
        show.beat()
        state = observer.tally.state
        return (state is not None and state.state in _OVER) or time.monotonic() > deadline

    answers = asyncio.run(ask_until(base_url, played.workload, questions, over))
    if not over():
        _until(
            observer,
            show,
            lambda tally: tally.state is not None and tally.state.state in _OVER,
            30,
            "the rollout's end",
        )
    told = [f"the application asked {sum(answers.by_model.values())} times; {answers.failed} requests failed"]
    state = observer.tally.state
    if state is not None and state.state is RolloutState.PROMOTED and state.champion is not None:
        told.append(_ask_the_student(base_url, played, state.champion.version))
    return told


def _ask_the_student(base_url: str, played: Scene, version: str) -> str:
    """Ask until the router, which follows `model-state`, answers with the new champion."""
    deadline = time.monotonic() + 20
    for number in itertools.count():
        request_id, text = f"after-{number}", played.questions[number % len(played.questions)][1]
        model, said = asyncio.run(ask_once(base_url, played.workload, request_id, text))
        if model == version:
            return f"asked once more: {model} answered {said!r}"
        if time.monotonic() > deadline:
            raise DemoFailed(f"the rollout says that {version} is promoted, but {model} answers")
    raise AssertionError("count() does not end")


def _finish(played: Scene, settings: MachineSettings, observer: Observer, show: Show, notes: list[str]) -> None:
    show.say("counting every record")
    home, tally = HOME.absolute(), observer.tally
    counted = _verify(settings)
    observer.wait_for(lambda seen: seen.records[TRAFFIC.name] >= counted["stages"][0]["inputs"], 30)
    private = {value for entry in played.entries for value in entry.pii}
    leaked = search.in_topics(settings, private) if private else {}
    if private:
        leaked |= search.in_files(home, private, [home / "planted", home / "kafka"])
    request, run = tally.requests[-1], tally.runs[-1]
    evidence, predictions = _run_files(settings, run.run_id)
    summary = figures.summarise(
        played, tally, seconds=show.seconds, leaked=leaked, predictions=predictions,
        residual=counted["residual"] + counted["in_flight"],
        manifest=SnapshotManifest.from_bytes((Path(request.snapshot_uri) / MANIFEST).read_bytes()),
    )  # fmt: skip
    (home / "summary.json").write_text(summary.model_dump_json(indent=1) + "\n")
    report = write_report(
        summary, home / "report.html", workload=played.workload.name, evidence=evidence, flow=figures.flow(tally),
        statuses=tally.statuses, predictions=predictions, notes=[STAND_IN, *notes],
    )  # fmt: skip
    show.__exit__(None, None, None)
    last_page(show.console, summary, figures.flow(tally))
    for note in notes:
        show.console.print(f"[bold]note[/]       {note}", highlight=False)
    show.console.print(f"[bold]snapshot[/]   {request.snapshot_id}  {request.rows:,} rows")
    show.console.print(f"{report.relative_to(Path.cwd())}   {HOME / 'summary.json'}   {summary.seconds:.0f} s")
    if summary.residual or leaked:
        raise DemoFailed(f"residual {summary.residual}; personal data found in {sorted(set().union(*leaked.values()))}")


def _verify(settings: MachineSettings) -> dict[str, Any]:
    """Run `millrace verify` as its user would, and return what it counted."""
    environment = os.environ | {
        "MILLRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "MILLRACE_WORKLOADS_DIR": str(settings.workloads_dir),
    }
    command = [sys.executable, "-m", "deploy.verify", "--json", "--wait", str(VERIFY_SECONDS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        counted: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise DemoFailed(f"millrace verify: {done.stderr.strip()[-500:]}") from error
    return counted


def _run_files(settings: MachineSettings, run_id: str) -> tuple[dict[str, Any] | None, Any]:
    folder = settings.state_dir / "dispatcher" / "runs" / run_id
    evidence, predictions = folder / "evidence.json", folder / "predictions.parquet"
    return (
        json.loads(evidence.read_text()) if evidence.exists() else None,
        parquet.read_table(predictions) if predictions.exists() else None,
    )


def _until(observer: Observer, show: Show, condition: Callable[[Tally], bool], seconds: float, what: str) -> None:
    """Wait for a condition, showing how it stands."""
    deadline = time.monotonic() + seconds
    while not observer.wait_for(condition, 1.0):
        show.beat()
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what} did not come within {seconds:.0f} s; the logs are in {HOME}/logs")


def _free_ports() -> dict[str, int]:
    """Return ports that are free now, by setting; the demo may run beside another Millrace."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(len(_PORTS) + 2)]
        for one in held[2:]:
            one.bind(("127.0.0.1", 0))
        for candidate in range(20_000, 32_000, 2):  # the broker's controller listens on the port above it
            try:
                held[0].bind(("127.0.0.1", candidate))
                held[1].bind(("127.0.0.1", candidate + 1))
            except OSError:
                held[0].close()
                held[0] = stack.enter_context(socket.socket())
                continue
            return {"broker_port": candidate} | {
                name: one.getsockname()[1] for name, one in zip(_PORTS, held[2:], strict=True)
            }
    raise DemoFailed("no pair of free ports between 20000 and 32000 is left for the broker")


def _clear(home: Path) -> None:
    """Remove what an earlier play left, its processes first."""
    if home.exists():
        Machine(home, MachineSettings.load(), found=[]).stop()
        shutil.rmtree(home)
    home.mkdir(parents=True)


if __name__ == "__main__":
    main()
