"""A tiny random BERT built on the spot, and snapshots of a task that it can learn in seconds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from benchmarks.student_vs_baseline import write_snapshot
from schemas.ids import request_id
from schemas.job import GateSpec, JobSpec, StudentSpec
from schemas.sections.rollout import Rollout
from tests.tiny_bert import SPECIAL, save_tiny_bert
from trainers import recipe

LABELS = ["earnings", "merger", "rating"]
_WORDS = {
    "earnings": ["profit", "quarter", "revenue", "beats", "miss"],
    "merger": ["acquires", "takeover", "bid", "stake", "deal"],
    "rating": ["upgrade", "downgrade", "neutral", "target", "analyst"],
}
_FILLER = ["alpha", "beta", "gamma", "delta", "corp", "inc", "today", "shares", "says", "the", "of", "for"]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a two-layer BERT with random weights and a word-level tokenizer."""
    folder = tmp_path_factory.mktemp("base") / "tiny-bert"
    words = [*SPECIAL, *_FILLER, *(word for one in _WORDS.values() for word in one)]
    vocabulary = {word: number for number, word in enumerate(words)}
    return save_tiny_bert(folder, Tokenizer(WordLevel(vocabulary, unk_token="[UNK]")), hidden=32)


def rows(count: int, seed: int = 1, *, soft: bool = True) -> list[dict[str, Any]]:
    """Return distinct texts whose label shows in two words, seven tenths of them to train."""
    chance = random.Random(seed)
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        label = chance.choice(LABELS)
        words = chance.sample(_FILLER, 4) + chance.sample(_WORDS[label], 2)
        chance.shuffle(words)
        split = chance.choices(["TRAIN", "VALIDATION", "TEST"], [0.6, 0.1, 0.3])[0]
        others = dict.fromkeys(LABELS, 0.04) | {label: 0.92}
        found[" ".join(words)] = {
            "text": " ".join(words), "label": label, "split": split,
            "soft": [others[one] for one in LABELS] if soft else None,
        }  # fmt: skip
    return list(found.values())


@pytest.fixture
def make_job(tiny_base: Path, tmp_path: Path) -> Callable[..., JobSpec]:
    """Return a maker of jobs on fresh snapshots; values given change the specification."""

    def make(count: int = 240, workload: str = "news", epoch: int = 1, **changes: Any) -> JobSpec:
        folder = tmp_path / f"snapshot-{workload}-{epoch}"
        manifest = write_snapshot(folder, workload, rows(count), LABELS, epoch)
        student = StudentSpec(
            base_model=str(tiny_base), epochs=2, batch=16, learning_rate=5e-3, rank=4, max_tokens=16, temperature=2.0,
            soft_label_weight=0.5, seed=7,
        )  # fmt: skip
        values: dict[str, Any] = {
            "request_id": request_id(workload, epoch), "workload": workload, "epoch": epoch, "labels": LABELS,
            "snapshot_uri": str(folder), "snapshot_sha256": manifest.digest(), "trigger": "count",
            "trigger_threshold": 100.0, "trigger_value": 100.0, "student": student,
            "gate": GateSpec(agreement_floor=0.5, margin=0.1, class_rows=5),
            "plan": Rollout(shadow_requests=30, steps_percent=[50, 100], assigned_per_step=10).plan(),
        }  # fmt: skip
        return JobSpec(**(values | changes))

    return make


@pytest.fixture
def run_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Path, str]]:
    """Return a function that runs the program's main on a job and returns exit code, folder and what it said."""

    def run(job: JobSpec, name: str = "run", *more: str) -> tuple[int, Path, str]:
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        (out / "job.json").write_text(job.to_json())
        artefacts = tmp_path / f"artefacts-{name}"
        code = 0
        try:
            given = ["--job", out / "job.json", "--out", out, "--artefacts", artefacts, "--threads", 1, *more]
            recipe.main([str(one) for one in given])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, out, capsys.readouterr().err

    return run


def evidence_of(folder: Path) -> dict[str, Any]:
    """Return the evidence of a finished run."""
    found: dict[str, Any] = json.loads((folder / "evidence.json").read_text())
    return found
