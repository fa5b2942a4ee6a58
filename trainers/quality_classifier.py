"""Fit the model of a workload's `[quality] classifier`: `python -m trainers.quality_classifier ROWS.csv MODEL`.

Takes labelled texts, fits logistic regression over hashed character n-grams on four fifths of them, says on the last
fifth (by the hash of the text, so that copies stay together) what the threshold keeps and refuses, and writes the
safetensors file that streams/curate/classifier.py reads.
"""

from __future__ import annotations

import csv
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from deploy.edge.process.command import one_line_errors, run
from schemas.errors import SettingsError
from schemas.rules.ngrams import NgramForm, ngrams
from schemas.rules.normalise import normalise

FORM: Final = NgramForm(shortest=2, longest=5, bits=18)  # 1 MB of weights


def features(texts: list[str]) -> Any:
    """Return (texts, buckets): the share of each n-gram in its text."""
    numbers, buckets = ngrams(texts, FORM)
    counts = np.maximum(np.bincount(numbers, minlength=len(texts)), 1)
    return csr_matrix((1 / counts[numbers], (numbers, buckets)), shape=(len(texts), 2**FORM.bits))


def fit(texts: list[str], keep: list[bool], threshold: float, file: Path) -> tuple[int, float, float]:
    """Write the model; return the held-out rows, and what share it keeps of those worth keeping and of the others."""
    held_out = np.array([blake2b(text.casefold().encode(), digest_size=1).digest()[0] < 51 for text in texts])
    worth = np.array(keep)
    if not all(len(set(worth[part])) == 2 for part in (held_out, ~held_out)):
        raise SettingsError("rows", len(texts), "too few: both kinds must be among those fitted and those held out")
    rows = features(texts)
    # Shares of n-grams are small numbers: C is large where that of counts would be 1.
    model: Any = LogisticRegression(C=1000.0, max_iter=500, class_weight="balanced")
    model.fit(rows[~held_out], worth[~held_out])
    kept = model.predict_proba(rows[held_out])[:, 1] >= threshold
    described = {"format": "millrace-linear-1", "shortest": str(FORM.shortest), "longest": str(FORM.longest)}
    tensors = {"weights": model.coef_[0].astype(np.float32), "bias": model.intercept_.astype(np.float32)}
    save_file(tensors, file, metadata=described | {"threshold": str(threshold)})
    right = worth[held_out]
    return int(held_out.sum()), float(kept[right].mean()), float(kept[~right].mean())


@click.command()
@click.argument("rows", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--text", default="text", show_default=True, help="The column of the text.")
@click.option("--keep", default="keep", show_default=True, help="The column that says 1 (worth keeping) or 0.")
@click.option(
    "--threshold", default=0.5, show_default=True, type=click.FloatRange(0, 1), help="Least score that stays."
)
@one_line_errors
def main(rows: Path, model: Path, text: str, keep: str, threshold: float) -> None:
    """Fit a quality classifier on a CSV file and say what it would refuse."""
    with rows.open(encoding="utf-8", newline="") as opened:
        found = list(csv.DictReader(opened))
    for column in (text, keep):
        if not found or column not in found[0]:
            raise SettingsError("column", column, f"{rows} has no such column")
    texts, worth = [normalise(row[text]) for row in found], [row[keep].strip() == "1" for row in found]
    held_out, right, wrong = fit(texts, worth, threshold, model)
    print(
        f"{model}: of {held_out} rows held out it keeps {right:.1%} of those worth keeping, {wrong:.1%} of the others"
    )


if __name__ == "__main__":
    run(main, "python -m trainers.quality_classifier")
