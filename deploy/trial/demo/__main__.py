"""`make demo`: the whole loop on one bare machine, from the first record to the promoted student.

1 set the scene: workload, practice teacher, what will be planted
2 start every real process under supervisor
3 phase 1: traffic into Kafka; curate, label, window; a trigger asks for a retrain
4 the recipe trains; the gate decides; the event is published
5 phase 2: an application asks the router until the rollout has ended
6 count every record, search for personal data, write summary and report
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Final

import click

from deploy.edge.process.command import one_line_errors, run
from deploy.infra.machine.machine import Machine
from deploy.infra.machine.settings import MachineSettings
from deploy.trial.demo import figures, scene
from deploy.trial.demo.chaos import Chaos
from deploy.trial.demo.play import DemoFailed, SceneAt, finish, phase_one, phase_two, running, training
from deploy.trial.demo.scene import Scene
from deploy.trial.demo.show import last_page

HOME: Final = Path("var/demo")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Your own labelled text (CSV, JSONL, Parquet; gzip too).")
@click.option("--text", help="Its column of texts.  [default: guessed]")
@click.option("--label", help="Its column of labels.  [default: guessed]")
@click.option("--teacher", type=click.Choice(["recorded", "fitted"]), default="recorded", show_default=True)
@click.option("--records", type=click.IntRange(500), default=6_000, show_default=True, help="Records of phase 1.")
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--chaos", is_flag=True, help="Kill each process once while it works.")
@one_line_errors
def main(
    data: Path | None, text: str | None, label: str | None, teacher: str, records: int, seed: int, *, chaos: bool
) -> None:
    """Play financial text through the whole loop."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the machine is stopped on the way out
    for name in [name for name in os.environ if name.startswith("MILLRACE_")]:
        del os.environ[name]  # a play must not reach the cluster that this shell works with
    home = HOME.absolute()
    rows = scene.labelled_rows(data, text, label) if data else []
    _clear(home)

    def scene_at(teacher_url: str) -> Scene:
        if data is None:
            return scene.newswire(home, teacher_url, scene.newswire_file(), seed=seed, records=records)
        return scene.own_text(home, teacher_url, rows, scene.name_of(data), fitted=teacher == "fitted", seed=seed)

    _play(scene_at, home, began, chaos=chaos)


def _play(scene_at: SceneAt, home: Path, began: float, *, chaos: bool) -> None:
    with running(scene_at, home, began) as stage:
        killer = Chaos(stage.machine, stage.observer)
        if chaos:
            killer.start()
        phase_one(stage)
        training(stage)
        notes = [*phase_two(stage), *killer.hits]
        summary = finish(stage, notes)
        console = stage.show.close()
        last_page(console, summary, figures.flow(stage.observer.tally))
        for note in notes:
            console.print(f"[bold]note[/]       {note}", highlight=False, soft_wrap=True)
        request = stage.observer.tally.requests[-1]
        console.print(f"[bold]snapshot[/]   {request.snapshot_id}  {request.rows:,} rows", highlight=False)
        console.print(f"{HOME / 'report.html'}   {HOME / 'summary.json'}   {summary.seconds:.0f} s", highlight=False)
    if summary.residual or summary.pii.redacted < summary.pii.planted:
        raise DemoFailed(
            f"residual {summary.residual}; {summary.pii.planted - summary.pii.redacted} planted personal data found"
        )


def _clear(home: Path) -> None:
    """Remove what an earlier play left, its processes first."""
    if home.exists():
        Machine(home, MachineSettings.load(), found=[]).stop()
        shutil.rmtree(home)
    home.mkdir(parents=True)


if __name__ == "__main__":
    run(main, "python -m deploy.trial.demo")
