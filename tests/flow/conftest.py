"""A small play of the newswire: hundreds of records, a tiny random base model, a rollout of a hundred requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import WordLevelTrainer

from deploy.infra.kafka.embedded import EmbeddedKafka
from deploy.trial.demo import scene
from deploy.trial.demo.play import Playground, running
from deploy.trial.simulate.traffic import TrafficPlan, traffic
from schemas.workload import Workload
from tests.tiny_bert import SPECIAL, save_tiny_bert

RECORDS = 900
SMALLER = {
    "count = 5_000": "count = 650",
    "least_rows = 500": "least_rows = 100",
    "max_tokens = 64": 'max_tokens = 32\nbase_model = "{base}"',
    "epochs = 3": "epochs = 12",
    "[gate]\nagreement_floor = 0.75": "[gate]\nagreement_floor = 0.05\nmargin = 1.0\nclass_rows = 5",
    "shadow_requests = 300": "shadow_requests = 120",
    "assigned_per_step = 60": "assigned_per_step = 15",
    "steps_percent = [5, 25, 50, 100]": "steps_percent = [50, 100]",
}

Play = Callable[[], AbstractContextManager[Playground]]


@pytest.fixture(scope="session")
def tiny_newswire_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a two-layer BERT with random weights and a vocabulary of newswire words."""
    folder = tmp_path_factory.mktemp("base") / "tiny-bert"
    workload = Workload.parse(scene.newswire_file().encode())
    texts = [one.entry.text for one in traffic(TrafficPlan(seed=7, records=600, poison=0), workload) if one.entry.text]
    tokenizer = Tokenizer(WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.train_from_iterator(texts, WordLevelTrainer(special_tokens=SPECIAL))
    return save_tiny_bert(folder, tokenizer, hidden=64)


@pytest.fixture
def play(broker: EmbeddedKafka, tiny_newswire_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return what starts a small play; `broker` is asked for only to skip where its jars cannot be had."""
    source = scene.newswire_file()
    for now, then in SMALLER.items():
        source = source.replace(now, then.replace("{base}", str(tiny_newswire_base)))
    source = source.replace("[rollout]\n", "[rollout]\nagreement_floor = 0.05\n")
    source = source.replace("steps_percent = [50, 100]\nagreement_floor = 0.75", "steps_percent = [50, 100]")
    monkeypatch.setenv("MILLRACE_BASE_MODEL", str(tiny_newswire_base))

    @contextmanager
    def started() -> Iterator[Playground]:
        home = tmp_path / "play"

        def scene_at(teacher_url: str) -> scene.Scene:
            return scene.newswire(home, teacher_url, source, seed=7, records=RECORDS)

        with running(scene_at, home, time.monotonic()) as stage:
            yield stage

    return started
