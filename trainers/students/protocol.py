"""What a student is, from the first row it learns from to the answers it serves.

A rung learns and answers; a served rung also becomes files, and comes back from them as the student server runs it.
Torch-free, so that whoever wants only a linear student loads no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from deploy.edge.stores.artefacts import StudentArtefact
from schemas.arrays import Floats
from schemas.job import JobSpec
from trainers.progress import Progress
from trainers.snapshot import Rows


@dataclass(frozen=True)
class SavedStudent:
    """A student as files by name (JSON and safetensors only), and its form's part of the manifest."""

    files: Mapping[str, bytes]
    part: Mapping[str, Any]


@dataclass(frozen=True)
class Classified:
    """Class probabilities (texts, labels), and how many tokens of each text were read."""

    probabilities: Floats
    tokens: list[int]


class LoadedStudent(Protocol):
    """A student that came back from its files."""

    def classify(self, texts: Sequence[str]) -> Classified:
        """Return calibrated class probabilities of each text."""
        ...


class FrozenBase(Protocol):
    """A base model in memory; what else it offers is between it and the forms that stand on it."""

    name: str
    folder: Path
    sha256: str


class Rung(Protocol):
    """One rung of the ladder."""

    role: str  # its name in figures, predictions and pictures; no two rungs share one
    name: str  # what it is, in words
    cost: float  # milliseconds of one core for a short text

    @classmethod
    def of(cls, job: JobSpec, base: FrozenBase) -> Self:
        """Return the rung of a job, untaught; what is expensive waits for `fit`."""
        ...

    def fit(self, train: Rows, validation: Rows, progress: Progress) -> None:
        """Learn from train rows; choose what is chosen (epoch, C, temperature) on validation rows."""
        ...

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return calibrated class probabilities (texts, labels)."""
        ...


@runtime_checkable
class ServedRung(Rung, Protocol):
    """A rung that the student server serves, so that it can be nominated."""

    form: str  # names in manifests what loads it
    on_base: bool  # it needs the very base it was trained on

    def save(self) -> SavedStudent:
        """Return the trained student as files."""
        ...

    @classmethod
    def load(cls, artefact: StudentArtefact, base: FrozenBase) -> LoadedStudent:
        """Return the student of an artefact of this form, ready to serve.

        Raises:
            ContractError: part or files are not what this form writes.
        """
        ...
