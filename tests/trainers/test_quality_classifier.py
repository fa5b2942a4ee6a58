"""The program that fits a workload's quality classifier: its file is read by the stream and decides as it said."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.errors import SettingsError
from streams.curate.classifier import load
from trainers.quality_classifier import fit, main

NEWS = ("profit", "dividend", "bank", "oil", "shares", "rises", "falls", "quarter", "guidance", "merger")
SPAM = ("giveaway", "click", "win", "free", "bonus", "signup", "telegram", "moon", "join", "airdrop")


def rows(count: int) -> tuple[list[str], list[bool]]:
    draw = random.Random(5)
    keep = [number % 2 == 0 for number in range(count)]
    return [" ".join(draw.choices(NEWS if good else SPAM, k=6)) for good in keep], keep


def test_fitted_model__is_read_by_the_stream(tmp_path: Path) -> None:
    """What the trainer learnt on one part it knows on texts it never saw, through the file alone."""
    held_out, right, wrong = fit(*rows(400), 0.5, tmp_path / "m.safetensors")

    assert held_out > 40
    assert (right, wrong) == (1.0, 0.0)
    assert load(tmp_path / "m.safetensors").stays(["bank lifts dividend", "free airdrop bonus"]) == [True, False]


def test_program__prints_what_the_threshold_does(tmp_path: Path) -> None:
    """From a CSV file to a model, with the figures of the rows held out."""
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "keep"), *((t, int(k)) for t, k in zip(*rows(200), strict=True))])
    ran = CliRunner().invoke(main, [str(tmp_path / "rows.csv"), str(tmp_path / "m.safetensors"), "--threshold", "0.4"])

    assert "rows held out it keeps 100.0% of those worth keeping, 0.0% of the others" in ran.output
    assert load(tmp_path / "m.safetensors").threshold == 0.4


def test_too_few_rows(tmp_path: Path) -> None:
    """One kind alone teaches nothing, and is refused with the reason."""
    with pytest.raises(SettingsError, match="both kinds"):
        fit(["bank"] * 10, [True] * 10, 0.5, tmp_path / "m.safetensors")
