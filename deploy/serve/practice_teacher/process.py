"""The process of the practice teacher, which says nothing about how good a real LLM is.

It knows the planted truth of simulated traffic (`--truth`) and errs like a good teacher: 95 % right, calibrated, the
same answer for near duplicates. For other text it can be fitted on labelled rows that are kept out of the traffic
(`--fitted`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.edge.process import logs, probes
from deploy.serve.practice_teacher.routes import MODEL, STAND_IN, Manner, PracticeTeacher, application
from deploy.serve.practice_teacher.settings import TeacherSettings
from deploy.serve.practice_teacher.truth import TruthFile
from schemas.errors import SettingsError
from schemas.workload import Workload

if TYPE_CHECKING:
    from deploy.serve.practice_teacher.fitted import FittedTeacher


def serve(files: Sequence[Path], **options: object) -> None:
    """Serve until a signal comes; options win over the environment.

    Args:
        files: of the workloads it knows; none: all of the workloads' folder.
        options: fields of TeacherSettings.

    Raises:
        MillraceError: a setting or file cannot be used.
    """
    settings = TeacherSettings.load_to_stay(**options)
    log = logs.start(settings, "practice-teacher")
    workloads = [_workload(file) for file in files] or list(settings.workloads().values())
    if settings.teacher_truth is None and settings.teacher_fitted is None:
        raise SettingsError("--truth", None, "give --truth or --fitted (or both): it must know something")
    asyncio.run(_serve(settings, workloads, log))
    log.info("stopped")


async def _serve(settings: TeacherSettings, workloads: list[Workload], log: logging.Logger) -> None:
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
        raise SettingsError("--workload-file", names, "name exactly one workload file beside --fitted")
    # Torch and scikit-learn take seconds to import: only where they are needed.
    import torch

    from deploy.serve.practice_teacher.fitted import FittedTeacher, read_rows

    torch.set_num_threads(settings.teacher_threads)
    rows = read_rows(settings.teacher_fitted, workloads[0], settings.teacher_text, settings.teacher_label)
    log.info("fitting on %d rows", len(rows))
    return FittedTeacher(workloads[0], rows, settings.base_model)


def _workload(file: Path) -> Workload:
    if not file.is_file():
        raise SettingsError("--workload-file", str(file), "no such file")
    return Workload.parse(file.read_bytes(), str(file))
