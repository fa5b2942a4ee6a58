"""What the dispatcher is told at its start, besides the shared settings."""

from __future__ import annotations

from pydantic import Field

from deploy.edge.process.settings import Settings


class DispatcherSettings(Settings):
    """Settings of the dispatcher."""

    metrics_port: int = Field(
        default=9102, ge=0, le=65535, description="Port of probes and metrics; 0: none are served."
    )
