"""The model file of a workload's classifier: written by hand here, read and refused as its docstring says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from schemas.errors import WorkloadError
from schemas.rules.ngrams import NgramForm, ngrams
from streams.curate.classifier import load

METADATA = {"format": "millrace-linear-1", "shortest": "2", "longest": "3", "threshold": "0.5"}


def written(folder: Path, metadata: dict[str, str] | None = None, **tensors: Any) -> Path:
    """Write a model that dislikes the n-grams of `spam`."""
    weights = np.zeros(2**10, dtype=np.float32)
    weights[ngrams(["spam"], NgramForm(2, 3, 10))[1]] = -20.0
    file = folder / "model.safetensors"
    parts = {"weights": weights, "bias": np.array([2.0], dtype=np.float32)} | tensors
    save_file(
        {name: part for name, part in parts.items() if part is not None},
        file,
        METADATA if metadata is None else metadata,
    )
    return file


def test_model__scores_a_batch(tmp_path: Path) -> None:
    """Scores lie between 0 and 1, do not depend on the batch, and decide by the threshold."""
    model = load(written(tmp_path))
    texts = ["spam spam spam", "Oil slips", ""]

    assert model.stays(texts) == [False, True, True]
    assert model.stays([]) == []
    np.testing.assert_allclose(model.scores(texts), [model.scores([text])[0] for text in texts])
    assert load(written(tmp_path), threshold=0.99).stays(["Oil slips"]) == [False]


@pytest.mark.parametrize(
    ("metadata", "tensors", "says"),
    [
        (METADATA | {"format": "other"}, {}, "must say format = 'millrace-linear-1'"),
        (METADATA | {"shortest": "4"}, {}, "shortest = 4 is above longest = 3"),
        (METADATA | {"longest": "99"}, {}, "must say longest, 1 to 8; says '99'"),
        (METADATA | {"longest": "two"}, {}, "must say longest"),
        ({"format": "millrace-linear-1", "shortest": "1", "longest": "2"}, {}, "must say threshold, 0 to 1; says None"),
        (METADATA, {"weights": np.zeros(1000, dtype=np.float32)}, "'weights' is float32 of shape (1000,)"),
        (METADATA, {"weights": np.zeros((4, 256), dtype=np.float32)}, "float32 of length 2**8 to 2**24"),
        (METADATA, {"weights": np.zeros(1024, dtype=np.float64)}, "'weights' is float64"),
        (METADATA, {"weights": np.full(1024, np.nan, dtype=np.float32)}, "not finite"),
        (METADATA, {"bias": None}, "'bias' is missing; it must be float32 of length 1"),
    ],
)
def test_file__that_is_not_of_the_form(
    tmp_path: Path, metadata: dict[str, str], tensors: dict[str, Any], says: str
) -> None:
    """A wrong file is refused at start, with what is wrong and what it must be."""
    with pytest.raises(WorkloadError) as caught:
        load(written(tmp_path, metadata, **tensors))

    assert caught.value.field == "quality.classifier"
    assert says in caught.value.remedy


@pytest.mark.parametrize("data", [None, b"", b"{}", b"\xff" * 100])
def test_file__that_is_absent_or_broken(tmp_path: Path, data: bytes | None) -> None:
    """No file, or bytes that are no safetensors, name the path."""
    file = tmp_path / "model.safetensors"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(WorkloadError, match=r"model\.safetensors"):
        load(file)
