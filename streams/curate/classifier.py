"""A workload's own model of which texts are worth keeping: linear, over hashed character n-grams, from one file.

The file is safetensors with two tensors, float32: `weights`, one for each bucket (2**bits), and `bias`, one number; and
this metadata, each a string of digits:

    format      "millrace-linear-1"
    shortest, longest   characters of an n-gram, 1 to 8
    threshold   the score from which a text is kept, 0 to 1

score = 1 / (1 + exp(-(bias + mean weight of the text's n-grams))); schemas/rules/ngrams.py says which n-grams.
`python -m trainers.quality_classifier` fits such a file on labelled rows. Nothing in it can run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from schemas.errors import WorkloadError
from schemas.rules.ngrams import NgramForm, mean_weights

FORMAT: Final = "millrace-linear-1"
_BITS: Final = range(8, 25)
_LENGTHS: Final = range(1, 9)


class QualityClassifier:
    """A model and the score from which a text is kept."""

    def __init__(self, form: NgramForm, weights: NDArray[np.float32], bias: float, threshold: float) -> None:
        self._form = form
        self._weights = weights
        self._bias = bias
        self.threshold = threshold

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return how much each text is worth keeping, 0 to 1."""
        logits = mean_weights(texts, self._form, self._weights) + self._bias
        return 1 / (1 + np.exp(-np.clip(logits, -700, 700)))

    def stays(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether its score reaches the threshold."""
        return [bool(stays) for stays in self.scores(texts) >= self.threshold]


def load(file: Path, threshold: float | None = None) -> QualityClassifier:
    """Read and check a model file.

    Args:
        file: its path.
        threshold: in place of the file's own.

    Raises:
        WorkloadError: there is no such file, or it is not of the form above.
    """
    if not file.is_file():
        raise WorkloadError("quality.classifier", str(file), "is no file; the path is relative to the workloads folder")
    try:
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
    except (SafetensorError, OSError) as error:
        raise WorkloadError("quality.classifier", str(file), f"is no safetensors file: {error}") from error
    _check_tensors(file, tensors)
    if metadata.get("format") != FORMAT:
        raise WorkloadError("quality.classifier", str(file), f"its metadata must say format = {FORMAT!r}")
    shortest, longest = (int(_number(file, metadata, name, 1, _LENGTHS[-1])) for name in ("shortest", "longest"))
    if shortest > longest:
        raise WorkloadError("quality.classifier", str(file), f"shortest = {shortest} is above longest = {longest}")
    form = NgramForm(shortest, longest, len(tensors["weights"]).bit_length() - 1)
    own = _number(file, metadata, "threshold", 0, 1)  # checked even where it is replaced
    stays_from = own if threshold is None else threshold
    return QualityClassifier(form, tensors["weights"], float(tensors["bias"][0]), stays_from)


def _check_tensors(file: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    sizes = [2**bits for bits in _BITS]
    for name, allowed in (("weights", sizes), ("bias", [1])):
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype != np.float32 or tensor.ndim != 1 or len(tensor) not in allowed:
            found = "missing" if tensor is None else f"{tensor.dtype} of shape {tensor.shape}"
            length = f"2**{_BITS[0]} to 2**{_BITS[-1]}" if name == "weights" else "1"
            raise WorkloadError(
                "quality.classifier", str(file), f"tensor {name!r} is {found}; it must be float32 of length {length}"
            )
        if not np.isfinite(tensor).all():
            raise WorkloadError("quality.classifier", str(file), f"tensor {name!r} holds numbers that are not finite")


def _number(file: Path, metadata: Mapping[str, str], name: str, least: float, most: float) -> float:
    try:
        value = float(metadata.get(name, ""))
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise WorkloadError(
            "quality.classifier",
            str(file),
            f"its metadata must say {name}, {least} to {most}; says {metadata.get(name)!r}",
        )
    return value
