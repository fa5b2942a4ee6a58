"""The one place that knows the rungs: which students a job trains, and what serves them afterwards.

A new rung is a class of `protocol.ServedRung` and its line in `SERVED`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from deploy.edge.stores.artefacts import StudentArtefact
from schemas.errors import ContractError
from schemas.job import JobSpec
from trainers.snapshot import Rows
from trainers.students.encoder import EncoderStudent, UntunedBase
from trainers.students.linear import LinearStudent
from trainers.students.network import Base
from trainers.students.protocol import FrozenBase, LoadedStudent, Rung, ServedRung

COMPARED: Final[tuple[type[Rung], ...]] = (LinearStudent, UntunedBase)
SERVED: Final[tuple[type[ServedRung], ...]] = (EncoderStudent,)


def load_base(name: str, device: torch.device = torch.device("cpu")) -> FrozenBase:  # noqa: B008 - a constant
    """Return a base model in memory.

    Raises:
        SettingsError: nothing of that name is there, or it is of a type that no rung stands on.
    """
    return Base(name, device)


def rungs(job: JobSpec, base: FrozenBase) -> list[Rung]:
    """Return the rungs of a job, untaught. The first is the baseline that all are compared with."""
    return [rung.of(job, base) for rung in (*COMPARED, *SERVED)]


def nominated(ladder: Sequence[Rung], validation: Rows, margin: float) -> ServedRung:
    """Return the cheapest taught rung that is served and agrees with the validation labels within a margin of the best.

    Ties of cost: the one lower on the ladder.
    """
    served = [rung for rung in ladder if isinstance(rung, ServedRung)]
    if len(served) == 1:
        return served[0]
    right = [rung.probabilities(validation.texts).argmax(axis=1) == validation.labels for rung in served]
    agreement = [float(np.average(one, weights=validation.weights)) for one in right]
    near = [rung for rung, one in zip(served, agreement, strict=True) if one >= max(agreement) - margin]
    return min(near, key=lambda rung: rung.cost)


def load(artefact: StudentArtefact, base: FrozenBase) -> LoadedStudent:
    """Return a student from its checked files, on the base.

    Raises:
        ContractError: it is of a form that is not served, stands on another base, or is not what its form writes.
    """
    manifest = artefact.manifest
    form = next((rung for rung in SERVED if rung.form == manifest.form), None)
    if form is None:
        served = ", ".join(repr(rung.form) for rung in SERVED)
        raise ContractError(f"form is {manifest.form!r}; served here: {served}")
    if form.on_base and manifest.base_sha256 != base.sha256:
        raise ContractError(
            f"it stands on base {manifest.base_sha256}, here is {base.sha256}; serve {manifest.base_model}"
        )
    return form.load(artefact, base)
