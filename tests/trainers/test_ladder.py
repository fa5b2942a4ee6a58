"""A new student is one class and one line of the ladder: everything after that knows roles and forms as data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import aiohttp
import numpy as np
import pytest
from aiohttp.test_utils import TestServer
from pyarrow import parquet

from deploy.edge.stores.artefacts import StudentArtefact, json_object
from deploy.serve.router.students import StudentServers
from deploy.serve.students.routes import LoadedStudents, application
from deploy.trial.demo import figures, scene
from deploy.trial.report.report import write_report
from schemas.arrays import Floats
from schemas.job import JobSpec
from schemas.manifest import canonical
from schemas.promotion import ModelPromotion, PromotionDecision, StudentForm
from streams.rollout.stage import served
from tests.deploy.serve.router.conftest import until
from tests.deploy.trial.report import loop
from tests.trainers.conftest import evidence_of
from trainers.progress import Progress
from trainers.promotion import promotion_of
from trainers.snapshot import Rows
from trainers.students import ladder
from trainers.students.protocol import Classified, FrozenBase, SavedStudent

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class WordVotes:
    """A toy: each word votes for the labels it was seen with."""

    role, name, form, cost, on_base = "votes", "words that vote", "word-votes", 0.01, False

    def __init__(self, labels: int, votes: Mapping[str, list[int]]) -> None:
        self.labels, self.votes = labels, dict(votes)

    @classmethod
    def of(cls, job: JobSpec, base: FrozenBase) -> Self:
        return cls(len(job.labels), {})

    def fit(self, train: Rows, validation: Rows, progress: Progress) -> None:
        for text, label in zip(train.texts, train.labels, strict=True):
            for word in text.split():
                self.votes.setdefault(word, [1] * self.labels)[label] += 1

    def probabilities(self, texts: Sequence[str]) -> Floats:
        said = [[self.votes[word] for word in text.split() if word in self.votes] for text in texts]
        shares = np.array(
            [np.prod([np.ones(self.labels), *(np.array(one) / sum(one) for one in row)], 0) for row in said]
        )
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def save(self) -> SavedStudent:
        return SavedStudent({"votes.json": canonical(self.votes)}, {"words": len(self.votes)})

    @classmethod
    def load(cls, artefact: StudentArtefact, base: FrozenBase) -> WordVotes:
        return cls(len(artefact.manifest.labels), json_object("votes.json", artefact.files["votes.json"]))

    def classify(self, texts: Sequence[str]) -> Classified:
        return Classified(self.probabilities(texts), [len(text.split()) for text in texts])


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ladder with the toy on it: the one line of the product that a new student changes."""
    monkeypatch.setattr(ladder, "SERVED", (*ladder.SERVED, WordVotes))


@pytest.mark.slow
async def test_ladder__a_new_rung_goes_the_whole_way(
    longer: None, make_job: Callable[..., JobSpec], run_recipe: Callable[..., Any], tiny_base: Path, tmp_path: Path
) -> None:
    """It is trained, nominated as the cheapest of the good, gated, published, served, asked by a router, and drawn."""
    job = make_job()
    code, out, said = run_recipe(job)
    assert code == 0, said
    event = _event(out, job)
    assert event.evaluation is not None
    assert event.artifact is not None
    roles = [(one.role, one.form) for one in event.evaluation.students]
    assert roles[:2] == [("baseline", ""), ("base", "")]
    assert roles[2:] == [(rung.role, rung.form) for rung in ladder.SERVED]
    assert (event.evaluation.nominee, event.decision.outcome) == ("votes", PromotionDecision.PROMOTE)
    assert (event.base_model.id, event.student_form, event.artifact.lora) == ("", StudentForm.UNKNOWN, None)
    assert {file.path for file in event.artifact.files} == {"votes.json", "probes.json"}

    predictions = parquet.read_table(out / "predictions.parquet")
    texts, expected = predictions["text"].to_pylist()[:8], predictions["votes"].to_pylist()[:8]
    assert await _asked(event, tmp_path / "artefacts-run", tiny_base, texts) == expected

    played = scene.newswire(tmp_path / "scene", "http://127.0.0.1:1/v1", scene.newswire_file(), seed=5, records=600)
    students = [one.model_dump() for one in figures._students(played, event, predictions)]
    page = write_report(
        loop.summary(students=students), tmp_path / "report.html", workload="news", evidence=evidence_of(out),
        predictions=predictions,
    ).read_text()  # fmt: skip
    assert "words that vote" in page
    assert "Circle: votes. Diamond: baseline." in page
    assert "F1 by class for 3 classes, votes and baseline" in page


def _event(out: Path, job: JobSpec) -> ModelPromotion:
    return promotion_of(
        evidence_of(out), workload=job.workload, request_id=job.request_id, run_id="run", version="0", now=NOW
    )


async def _asked(event: ModelPromotion, artefacts: Path, base: Path, texts: Sequence[str]) -> list[str]:
    """Return what a student server answers to a router that has proven the student there."""
    students = LoadedStudents(ladder.load_base(str(base)), artefacts, batch=8, waiting=100, most=1)
    model = served(event)
    async with TestServer(application(students)) as server, aiohttp.ClientSession() as session:
        router = StudentServers(session, [str(server.make_url("")).rstrip("/")], artefacts, parity_tolerance=1e-3)
        router.want([model])
        keeping = asyncio.create_task(router.keep_loaded())
        await until(lambda: router.ready(model))
        found = [(await router.classify(model, text, 5)).label for text in texts]
        keeping.cancel()
    students.batcher.close()
    return found


def _rung(role: str, cost: float, right: int) -> WordVotes:
    """Return a rung of that cost that is right on so many of a hundred rows."""
    rung = WordVotes(2, {"a": [2, 1], "b": [1, 2]})
    rung.role, rung.cost = role, cost
    rung.probabilities = lambda texts: np.eye(2)[[0] * right + [1] * (len(texts) - right)]  # type: ignore[method-assign]
    return rung


@pytest.mark.parametrize(
    ("cheap", "dear", "nominee"), [(80, 90, "dear"), (89, 90, "cheap"), (90, 80, "cheap"), (90, 90, "cheap")]
)
def test_nominated__cheapest_within_the_margin_of_the_best(cheap: int, dear: int, nominee: str) -> None:
    """A cheap student is nominated where it agrees as well, to within the margin; else the better one."""
    validation = Rows(
        record_ids=[], clusters=[], texts=["a"] * 100, labels=np.zeros(100, dtype=np.int64), soft=np.zeros((100, 2)),
        weights=np.ones(100),
    )  # fmt: skip
    rungs = [_rung("dear", 8.0, dear), _rung("cheap", 0.1, cheap)]

    assert ladder.nominated(rungs, validation, 0.02).role == nominee
