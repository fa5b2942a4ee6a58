"""The settings of the worker, besides those all processes share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from deploy.edge.process.settings import Settings


class WorkerSettings(Settings):
    """Settings of `millrace worker`."""

    metrics_port: int = Field(
        default=9101, ge=0, le=65535, description="Port of probes and metrics; 0: none are served."
    )
    # `consumer` is KIP-848's: the broker assigns, and its group.consumer.session.timeout.ms (45 s) is what a dead
    # worker's partitions wait for; `classic` goes by the next setting.
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic", description="How Kafka assigns partitions; consumer is KIP-848's."
    )
    session_timeout_seconds: float = Field(
        default=8.0, ge=6, le=60, description="A dead worker's partitions move after this, by the classic protocol."
    )
    transaction_timeout_seconds: float = Field(
        default=15.0, ge=5, le=60, description="What readers wait for at most when a worker dies in a transaction."
    )
    attempts: int = Field(default=3, ge=1, le=20, description="Attempts of a failing batch, before it is bisected.")
    retry_seconds: float = Field(
        default=0.2, gt=0, description="First wait before a failed batch is tried again; it doubles."
    )
    stall_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Without progress for so long while there is lag, the worker exits to be restarted.",
    )
    stop_seconds: float = Field(
        default=6.0, gt=0, description="What a batch in flight gets to finish when the worker is to stop."
    )

    @property
    def worker_dir(self) -> Path:
        """Where the worker keeps what it may lose: one folder per stage, each under an exclusive lock."""
        return self.state_dir / "worker"
