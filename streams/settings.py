"""What the worker is told at its start besides the settings all processes share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from deploy.edge.process.settings import Settings
from schemas.sections.section import Seconds


class WorkerSettings(Settings):
    """Settings of `millrace worker`."""

    metrics_port: int = Field(default=9101, ge=0, le=65535)
    # `consumer` is KIP-848's: the broker assigns, and its group.consumer.session.timeout.ms (45 s) is what a dead
    # worker's partitions wait for; `classic` goes by the next setting.
    group_protocol: Literal["classic", "consumer"] = "classic"
    session_timeout_seconds: Annotated[float, Field(ge=6, le=60)] = 8.0  # a dead worker's partitions move after this
    transaction_timeout_seconds: Annotated[float, Field(ge=5, le=60)] = (
        15.0  # longer: readers wait longer for a dead worker
    )
    attempts: Annotated[int, Field(ge=1, le=20)] = 3  # of a failing batch, before it is bisected
    retry_seconds: Seconds = 0.2  # first wait before a failed batch is tried again; doubles
    stall_seconds: Seconds = 120.0  # without progress for so long while there is lag, the worker exits to be restarted
    stop_seconds: Seconds = 6.0  # what a batch in flight gets to finish when the worker is told to stop

    @property
    def worker_dir(self) -> Path:
        """Where the worker keeps what it may lose: one folder a stage, each under an exclusive lock."""
        return self.state_dir / "worker"
