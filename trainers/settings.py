"""The settings of the dispatcher, besides the shared ones."""

from __future__ import annotations

from pydantic import Field

from deploy.edge.process.settings import Settings


class DispatcherSettings(Settings):
    """Settings of the dispatcher."""

    metrics_port: int = Field(
        default=9102, ge=0, le=65535, description="Port of probes and metrics; 0: none are served."
    )
