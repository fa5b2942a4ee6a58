"""The one training program: `python -m trainers.recipe --job job.json --out FOLDER --artefacts DIR`.

Load the snapshot, list suspect labels, teach the ladder rung by rung, evaluate, nominate, gate, export, write the
evidence. Runs on a bare GPU machine (torch, transformers, peft, scikit-learn, pyarrow) or on a
CPU. It speaks to no broker: `evidence.json` is its result, `failed.json` says that trying again is of no use,
`progress.jsonl` how far it is.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from transformers.utils import logging as transformers_logging

from deploy.edge.stores.artefacts import read_artefact
from deploy.edge.stores.object_store import fetched
from schemas import ids
from schemas.arrays import Floats
from schemas.errors import BadInput, ContractError, MillraceError, Unavailable
from schemas.ids import digest
from schemas.job import ChampionSpec, JobSpec
from schemas.promotion import BaseModel, Lineage, StudentForm
from trainers import evidence
from trainers.artefacts import publish
from trainers.evaluate import Evaluator
from trainers.evidence import CHAMPION
from trainers.gate import Evidence, decide
from trainers.label_errors import out_of_fold, suspects
from trainers.progress import Progress
from trainers.snapshot import load_snapshot
from trainers.students import ladder
from trainers.students.linear import ngrams
from trainers.students.protocol import FrozenBase


def run(job: JobSpec, out: Path, artefacts: Path, progress: Progress, snapshots: str | None = None) -> None:
    """Do the whole job, from the snapshot to the evidence.

    Raises:
        Unavailable: the object store of the snapshots does not answer.
        MillraceError: the job as it stands can never succeed.
    """
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(job.student.seed)
    base = ladder.load_base(job.student.base_model, device)

    # 1 The rows, verified against the digest that the retrain request names.
    with fetched(job.snapshot_uri, snapshots, out) as folder:
        snapshot = load_snapshot(folder, job.snapshot_sha256, job.labels)
    train, validation, test = snapshot.train, snapshot.validation, snapshot.test
    progress.say("snapshot", message=f"{len(train)} train, {len(validation)} validation, {len(test)} test rows")

    # 2 Training labels that look wrong: listed, not dropped, for a drop costs where the teacher is right.
    doubted = out_of_fold(
        ngrams().fit_transform(train.texts), train.labels, len(job.labels), job.student.seed, train.clusters
    )
    suspect = suspects(doubted, train.labels)
    evidence.write_suspects(out, job.labels, train, suspect, doubted)
    progress.say("suspects", message=f"{len(suspect)} of {len(train)} training labels look wrong")

    # 3 The ladder, rung by rung, and the champion.
    progress.say("ladder", message=f"on {_name(device)}")
    rungs = ladder.rungs(job, base)
    students: dict[str, Floats] = {}
    for rung in rungs:
        rung.fit(train, validation, progress)
        students[rung.role] = rung.probabilities(test.texts)
    nominee = ladder.nominated(rungs, validation, job.gate.margin)
    baseline = rungs[0].role
    if job.champion:
        students[CHAMPION] = _champion(job.champion, job, base, test.texts, device)

    # 4 All of them on the same rows and draws.
    evaluator = Evaluator(test, len(job.labels), job.student.seed, duplicates=evidence.duplicates_in(out))
    progress.say("evaluate", message=evaluator.summary())
    scores = {role: evaluator.scores(found) for role, found in students.items()}
    metrics = {role: evidence.metrics_of(role, found, evaluator, job.labels) for role, found in scores.items()}
    against = {
        role: evaluator.compare(students[nominee.role], students[role])
        for role in (baseline, CHAMPION)
        if role in students
    }
    for role, found in scores.items():
        f1 = found.macro_f1
        shown = f"macro-F1 {f1.value:.3f} ({f1.low:.3f} to {f1.high:.3f}), agreement {found.agreement.value:.3f}"
        progress.say("evaluate", message=f"{role:<8} {shown}")

    # 5 The gate.
    verdict = decide(
        job.gate,
        job.labels,
        Evidence(
            agreement=scores[nominee.role].agreement,
            effective_n=evaluator.bootstrap.effective_n,
            class_rows={label: int(evaluator.class_rows[number]) for number, label in enumerate(job.labels)},
            against_baseline=against[baseline],
            against_champion=against.get(CHAMPION),
        ),
    )
    progress.say("gate", message=f"{verdict.outcome}: " + "; ".join(reason.text for reason in verdict.reasons))

    # 6 The artefact: written, read as a server does, compared, renamed.
    published = publish(nominee, job, base, test.texts, artefacts)
    manifest = published.manifest
    progress.say("export", message=manifest.model_version)

    # 7 The evidence, last: it says that the run is finished.
    champion = job.champion.version if job.champion else None
    evaluation = evidence.evaluation_of(snapshot, rungs, nominee, metrics, against, verdict, champion)
    decision = evidence.decision_of(job, verdict)
    evidence.write_predictions(out, job.labels, evaluator, students, nominee.role)
    evidence.write_whole(
        out / evidence.EVIDENCE,
        {
            "format": evidence.FORMAT,
            "event_id": ids.event_id(manifest.model_version, decision.outcome, evidence.evaluation_digest(evaluation)),
            "finished": datetime.now(UTC),
            "model_id": job.workload,
            "model_version": manifest.model_version,
            "labels": job.labels,
            "student_form": StudentForm.of(manifest.form),
            "base_model": BaseModel(id=manifest.base_model, sha256=manifest.base_sha256 or None),
            "artifact": evidence.artifact_of(published),
            "data": evidence.data_of(job, snapshot),
            "evaluation": evaluation,
            "decision": decision,
            "lineage": Lineage(
                training_run_id=ids.run_id(job.request_id, job.to_json()),
                seed=job.student.seed,
                hyperparameters_sha256=digest(str(job.student)),
                hardware=_name(device),
                duration_seconds=time.monotonic() - started,
                parent_version=champion,
            ),
            "confusion": {
                "labels": job.labels,
                "counts": {role: evaluator.confusion(found) for role, found in students.items()},
            },
            "suspects": len(suspect),
            "mcnemar_p": {role: comparison.mcnemar_p for role, comparison in against.items()},
        },
    )
    progress.say("done", message=f"{verdict.outcome} in {time.monotonic() - started:.0f} s")


def _champion(spec: ChampionSpec, job: JobSpec, base: FrozenBase, texts: Sequence[str], device: torch.device) -> Floats:
    """Return the champion's class probabilities, in the order of the job's labels."""
    artefact = read_artefact(spec.uri, Path(spec.uri).parent, manifest_sha256=spec.manifest_sha256)
    manifest = artefact.manifest
    if sorted(manifest.labels) != sorted(job.labels):
        raise ContractError(f"the champion {spec.version} knows other labels than the job")
    if manifest.base_model not in ("", base.name):
        base = ladder.load_base(manifest.base_model, device)
    found = ladder.load(artefact, base).classify(texts).probabilities
    return found[:, [manifest.labels.index(label) for label in job.labels]]


def _name(device: torch.device) -> str:
    """Return the hardware as a person would name it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu x{torch.get_num_threads()}"


def _job(file: Path) -> JobSpec:
    try:
        return JobSpec.from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput("--job", str(file), f"is no job specification: {error}") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one job; exit with 2 where trying again is of no use."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.recipe", description="Train, evaluate and gate a student."
    )
    parser.add_argument("--job", type=Path, required=True, help="the job specification, JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder for evidence, predictions and progress")
    parser.add_argument("--artefacts", type=Path, required=True, help="root folder; adapters go under adapters/")
    parser.add_argument(
        "--snapshots", help="URL below which the object store's snapshots lie; none: only paths are read"
    )
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's own choice)")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    options.out.mkdir(parents=True, exist_ok=True)
    progress = Progress(options.out)
    try:
        run(_job(options.job), options.out, options.artefacts, progress, options.snapshots)
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except MillraceError as error:
        evidence.write_failure(options.out, error)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        progress.close()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
