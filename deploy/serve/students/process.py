"""The process of the student server: for CPU-sized students, on one machine.

A restart forgets the adapters; whoever routes to them loads them again.
SIGTERM and SIGINT: no new connection, what runs is finished, then exit.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from aiohttp import web

from deploy.edge.process import logs, probes
from deploy.edge.stores.base_models import find_base
from deploy.serve.students.settings import StudentSettings


def serve(**options: object) -> None:
    """Serve until a signal comes; options win over the environment.

    Raises:
        MillraceError: a setting cannot be used.
    """
    settings = StudentSettings.load_to_stay(**options)
    log = logs.start(settings, "students")
    asyncio.run(_serve(settings, log))
    log.info("stopped")


async def _serve(settings: StudentSettings, log: logging.Logger) -> None:
    find_base(settings.base_model)  # torch and transformers take seconds to import: not before the base is there
    import torch

    from deploy.serve.students.routes import LoadedStudents, application
    from trainers.students import ladder

    torch.set_num_threads(settings.student_threads or max(1, _cores() // 2))
    base = ladder.load_base(settings.base_model)
    students = LoadedStudents(
        base,
        settings.artefacts_dir,
        batch=settings.student_batch,
        waiting=settings.student_waiting,
        most=settings.student_adapters,
    )
    try:
        await _until_stopped(settings, application(students), base.sha256, log)
    finally:
        students.batcher.close()


async def _until_stopped(
    settings: StudentSettings, app: web.Application, base_sha256: str, log: logging.Logger
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = await probes.serve(app, settings.host, settings.student_port, setting="student_port")
    log.info(
        "base %s (%s) ready on %s:%d, adapters from %s",
        settings.base_model, base_sha256[:12], settings.host, settings.student_port, settings.artefacts_dir.resolve(),
    )  # fmt: skip
    await stop.wait()
    await runner.cleanup()


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
