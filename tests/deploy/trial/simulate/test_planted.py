"""The planted entries and the truth file: what is written is read, and a second draw adds to the truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.trial.simulate.planted import PlantedEntry, Truth, add_truth, write_planted
from schemas.errors import BadInput

ENTRIES = [
    PlantedEntry(id="a", kind="original", text="naïve “text”", label="other", pii=["x@example.com"]),
    PlantedEntry(id="b", kind="near_duplicate", text="text", label="other", of="a"),
    PlantedEntry(id="c", kind="poison", poison="too_deep"),
]


def test_planted__written_and_read(tmp_path: Path) -> None:
    """Entries come back as they were."""
    write_planted(tmp_path / "var" / "ledger.jsonl", ENTRIES)

    lines = (tmp_path / "var" / "ledger.jsonl").read_bytes().splitlines()
    assert [PlantedEntry(**json.loads(line)) for line in lines] == ENTRIES


@pytest.mark.parametrize("content", ['{"id": "a", "colour": 1}', "no JSON", "[]"])
def test_truth__of_another_file(tmp_path: Path, content: str) -> None:
    """A file of something else is refused by name."""
    (tmp_path / "x.jsonl").write_text(content + "\n")
    with pytest.raises(BadInput, match=r"x\.jsonl"):
        add_truth(tmp_path / "x.jsonl", [])


def test_truth__of_two_draws(tmp_path: Path) -> None:
    """The second draw adds its texts once and keeps the first's."""
    file = tmp_path / "truth.jsonl"
    one, two = (Truth(text_key=key, label="other", cluster_key=key) for key in ("1", "2"))
    add_truth(file, [one, one])
    add_truth(file, [one, two])

    assert [json.loads(line)["text_key"] for line in file.read_text().splitlines()] == ["1", "2"]
