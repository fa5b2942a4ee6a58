"""The recipe's promises, on a tiny random base: the program as the dispatcher runs it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from deploy.edge.stores import object_store
from deploy.edge.stores.artefacts import read_artefact
from schemas.job import ChampionSpec, JobSpec
from schemas.manifest import ROWS
from tests.trainers.conftest import evidence_of
from trainers.artefacts import version_of
from trainers.promotion import promotion_of
from trainers.students.ladder import COMPARED, SERVED, load, load_base

pytestmark = pytest.mark.slow  # they train

MakeJob = Callable[..., JobSpec]
RunRecipe = Callable[..., tuple[int, Path, str]]


def test_recipe__finished_leaves_a_nomination_that_answers_from_disk_as_its_probes_say(
    make_job: MakeJob, run_recipe: RunRecipe, tiny_base: Path
) -> None:
    """Evidence, predictions and adapter belong together, and the adapter answers as probed."""
    job = make_job()
    code, out, said = run_recipe(job)
    assert code == 0, said

    evidence = evidence_of(out)
    adapter = Path(evidence["artifact"]["adapter_uri"])
    artefact = read_artefact(str(adapter), adapter.parent)
    manifest = artefact.manifest
    found = load(artefact, load_base(str(tiny_base))).classify([one.text for one in artefact.probes])
    exported = np.array([one.probabilities for one in artefact.probes])

    assert np.abs(found.probabilities - exported).max() <= 1e-3
    assert manifest.digest() == evidence["artifact"]["manifest_sha256"]
    assert adapter.name == manifest.model_version == version_of(manifest) == evidence["model_version"]
    assert {file.suffix for file in adapter.iterdir()} == {".json", ".safetensors"}
    assert evidence["decision"]["outcome"] == "PROMOTE"
    event = promotion_of(evidence, workload="news", request_id="r", run_id="r", version="0", now=datetime.now(UTC))
    assert event.decision.plan == job.plan
    roles, nominee = [rung.role for rung in (*COMPARED, *SERVED)], evidence["evaluation"]["nominee"]
    assert {one["role"] for one in evidence["evaluation"]["metrics"]} == set(roles)
    assert [one["role"] for one in evidence["evaluation"]["students"]] == roles
    assert nominee in {rung.role for rung in SERVED}
    assert evidence["evaluation"]["baseline"] == roles[0]
    predictions = parquet.read_table(out / "predictions.parquet").to_pydict()
    assert predictions["student"] == predictions[nominee]
    right = [a == b for a, b in zip(predictions["teacher"], predictions[nominee], strict=True)]
    agreement = next(
        one for one in evidence["evaluation"]["metrics"] if (one["role"], one["name"]) == (nominee, "agreement")
    )
    assert abs(sum(right) / len(right) - agreement["value"]) < 1e-9


def test_recipe__lists_the_labels_that_look_wrong(make_job: MakeJob, run_recipe: RunRecipe) -> None:
    """Suspect training labels stand beside the evidence with their numbers; all rows are trained on all the same."""
    job = make_job()
    code, out, said = run_recipe(job)
    assert code == 0, said

    listed = parquet.read_table(out / "suspects.parquet").to_pylist()
    trained = {row["record_id"] for row in parquet.read_table(Path(job.snapshot_uri) / ROWS).to_pylist()}

    assert len(listed) == evidence_of(out)["suspects"]
    assert {row["record_id"] for row in listed} <= trained
    assert all(row["likelier"] != row["teacher"] for row in listed)
    assert all(row["likelier_probability"] > row["teacher_probability"] for row in listed)


def test_recipe__same_seed_gives_the_same_adapter(make_job: MakeJob, run_recipe: RunRecipe, tmp_path: Path) -> None:
    """Two runs of one job give the same bytes and event id, however many duplicates are known by then."""
    job = make_job()
    first = evidence_of(run_recipe(job, "one")[1])
    tested = parquet.read_table(tmp_path / "one" / "predictions.parquet").to_pylist()
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "duplicates.json").write_text(json.dumps({tested[0]["cluster_id"]: 6}))
    second = evidence_of(run_recipe(job, "two")[1])
    known = parquet.read_table(tmp_path / "two" / "predictions.parquet").to_pylist()

    assert {row["requests"] for row in tested} == {1}
    assert known[0] == tested[0] | {"requests": 7}
    assert "request_agreement" in {one["name"] for one in second["evaluation"]["metrics"]}
    assert first["artifact"]["files"] == second["artifact"]["files"]
    assert (first["model_version"], first["event_id"]) == (second["model_version"], second["event_id"])


def test_recipe__champion_is_compared_on_the_same_rows(make_job: MakeJob, run_recipe: RunRecipe) -> None:
    """With a student champion the gate is paired, and a twin of the champion differs by exactly nothing."""
    job = make_job()
    artifact = evidence_of(run_recipe(job, "one")[1])["artifact"]
    champion = ChampionSpec(
        version="news-e1-x", uri=artifact["adapter_uri"], manifest_sha256=artifact["manifest_sha256"]
    )

    code, out, said = run_recipe(dataclasses.replace(job, champion=champion), "two")

    assert code == 0, said
    difference = evidence_of(out)["evaluation"]["paired_difference"]
    assert (difference["metric"], difference["value"], difference["low"], difference["high"]) == (
        "macro_f1 - champion", 0.0, 0.0, 0.0,
    )  # fmt: skip
    assert evidence_of(out)["decision"]["mode"] == "refresh"


def test_recipe__base_model_that_is_not_there_fails_in_one_line(
    make_job: MakeJob, run_recipe: RunRecipe, tmp_path: Path
) -> None:
    """A missing base model is reported by name, with a remedy, and trying again is ruled out."""
    job = make_job(count=60)
    missing = str(tmp_path / "nowhere")
    code, out, said = run_recipe(dataclasses.replace(job, student=dataclasses.replace(job.student, base_model=missing)))

    assert code == 2
    assert missing in json.loads((out / "failed.json").read_text())["message"]
    assert "Traceback" not in said
    assert not (out / "evidence.json").exists()


def test_recipe__rows_that_were_changed_are_refused(make_job: MakeJob, run_recipe: RunRecipe) -> None:
    """One changed label in the snapshot's rows stops the job before anything is learnt."""
    job = make_job(count=60)
    file = Path(job.snapshot_uri) / ROWS
    table = parquet.read_table(file)
    changed = table.to_pylist()
    changed[0]["label"] = next(label for label in job.labels if label != changed[0]["label"])
    parquet.write_table(table.from_pylist(changed, schema=table.schema), file)

    code, out, _ = run_recipe(job)

    assert code == 2
    assert "digest" in json.loads((out / "failed.json").read_text())["message"]


def test_recipe__request_that_names_another_snapshot_is_refused(make_job: MakeJob, run_recipe: RunRecipe) -> None:
    """The manifest must have the digest that the request names."""
    code, out, _ = run_recipe(dataclasses.replace(make_job(count=60), snapshot_sha256="0" * 64))

    assert code == 2
    assert "the request names" in json.loads((out / "failed.json").read_text())["message"]


def test_recipe__snapshot_in_an_object_store(
    make_job: MakeJob, run_recipe: RunRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read from below the given URL alone, checked like any other, and leaves no copy; an outage ends no run."""
    local = make_job(count=120)
    share = tmp_path / "share"
    uri = f"{share.as_uri()}/news/0001-ab"
    job = dataclasses.replace(local, snapshot_uri=uri)

    monkeypatch.setattr(object_store, "PATIENCE_SECONDS", 0)
    code, out, said = run_recipe(job, "out-of-reach", "--snapshots", share.as_uri())
    assert (code, "does not answer" in said, (out / "failed.json").exists()) == (1, True, False)

    shutil.copytree(local.snapshot_uri, share / "news" / "0001-ab")
    code, out, said = run_recipe(job, "not-allowed")
    assert (code, "does not lie below" in said, (out / "failed.json").exists()) == (2, True, True)

    code, out, said = run_recipe(job, "read", "--snapshots", share.as_uri())
    assert (code, uri in (out / "evidence.json").read_text()) == (0, True), said
    assert not list(out.glob(".snapshot-*"))

    (share / "news" / "0001-ab" / "rows.parquet").write_bytes(b"other")
    code, out, said = run_recipe(job, "changed", "--snapshots", share.as_uri())
    assert (code, (out / "failed.json").exists()) == (2, True)
