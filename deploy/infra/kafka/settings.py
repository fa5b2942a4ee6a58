"""The settings of the embedded broker, besides the shared ones."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from deploy.edge.process.settings import Settings


class KafkaSettings(Settings):
    """Where the embedded broker's jars come from and are kept."""

    maven_url: str | None = Field(
        default=None, description="A mirror in Maven's layout, which the broker's jars are fetched from."
    )
    jars_dir: Path | None = Field(
        default=None, description="Folder of the broker's jars; without it, one in the user's cache."
    )
