"""What the demo plays: a workload, a practice teacher, the traffic of phase 1, and the requests of phase 2.

Two scenes: the newswire of fictional companies, and a file of the user's own labelled text. All that was planted stays
in a folder of its own, which only the demo and the practice teacher read.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.trial.simulate import columns
from deploy.trial.simulate.newswire import WORKLOAD
from deploy.trial.simulate.planted import PlantedEntry, Truth, add_truth
from deploy.trial.simulate.tables import rows
from deploy.trial.simulate.traffic import PlantedRecord, TrafficPlan, traffic
from schemas.errors import BadInput
from schemas.ids import record_id
from schemas.rules.normalise import normalise, text_key
from schemas.rules.privacy.redact import redact
from schemas.workload import Workload

NEWSWIRE: Final = Path("workloads/newswire.toml")
QUESTIONS: Final = 4_000  # shadow 300, then about 1,200 + 240 + 120 + 60 for 60 assigned at 5, 25, 50, 100 %
OWN_RECORDS: Final = 6_000  # of the user's rows at most, so that the play ends in ten minutes
OWN_QUESTIONS_SHARE: Final = 0.35
FITTED_SHARE: Final = 1 / 3
LEAST_ROWS: Final = 1_000
TEACHER_SEED: Final = 13  # of the answers recorded in the traffic and of the practice teacher alike


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that a play needs."""

    title: str
    workload: Workload
    teacher: tuple[str, ...]  # options of the practice teacher
    feed: tuple[str, ...]  # the module that plays phase 1, and its options
    records: int
    questions: list[tuple[str, str]]  # (id, text) for the router
    truth: dict[str, str]  # record_id -> true label
    entries: list[PlantedEntry] = field(default_factory=list)  # planted ones; the user's own text has none


def newswire(home: Path, teacher_url: str, source: str, *, seed: int, records: int) -> Scene:
    """Return the scene of the fictional newswire, under the workload file `source`."""
    workload = _install(home, WORKLOAD, source.replace("[teacher]\n", f'[teacher]\nurl = "{teacher_url}"\n', 1))
    planted = home / "planted"
    first = list(traffic(TrafficPlan(seed=seed, records=records, teacher_seed=TEACHER_SEED), workload))
    second = _questions(seed, workload)
    add_truth(planted / "truth.jsonl", (one.truth for one in (*first, *second) if one.truth))
    entries = [one.entry for one in first]
    return Scene(
        title="a newswire of fictional companies",
        workload=workload,
        teacher=("--truth", str(planted / "truth.jsonl"), "--seed", str(TEACHER_SEED)),
        feed=(
            "deploy.trial.simulate", "simulate", "--workload", WORKLOAD, "--records", str(records), "--seed", str(seed),
            "--teacher-seed", str(TEACHER_SEED), "--ledger", str(planted / "ledger.jsonl"),
        ),
        records=records,
        questions=[(one.id, one.entry.text or "") for one in second],
        truth={record_id(WORKLOAD, entry.id, 0, 0): entry.label for entry in entries if entry.label},
        entries=entries,
    )  # fmt: skip


def _questions(seed: int, workload: Workload) -> list[PlantedRecord]:
    """Return fresh headlines without repetitions or poison: phase 2 of the same seed."""
    plan = TrafficPlan(
        seed=seed, phase=2, records=QUESTIONS, answers=0, duplicates=0, near_duplicates=0, poison=0, pii=0,
        teacher_seed=TEACHER_SEED,
    )  # fmt: skip
    return list(traffic(plan, workload))


def labelled_rows(file: Path, text: str | None, label: str | None) -> list[tuple[str, str]]:
    """Return text and label of every row of a file; columns that are not named are guessed.

    Raises:
        BadInput: the file cannot be read, or has no such column.
    """
    found = [row.values for row in rows(str(file))]
    if not found:
        raise BadInput("DATA", str(file), "has no row")
    shape = columns.choose(list(found[0]), text, label, None, None)
    if shape.label is None:
        raise BadInput("LABEL", None, f"no column of labels was found; name one of {', '.join(found[0])}")
    pairs = [(str(one.get(shape.text) or ""), str(one.get(shape.label) or "")) for one in found]
    return [(body, said) for body, said in pairs if body.strip() and said.strip()]


def name_of(file: Path) -> str:
    """Return a workload's name after a file; after its folder where the file is just called data."""
    stem = file.name.split(".")[0]
    name = re.sub(r"[^a-z0-9]+", "-", (file.absolute().parent.name if stem == "data" else stem).lower()).strip("-")
    return name[:60] or "own-text"


def own_text(
    home: Path, teacher_url: str, labelled: Sequence[tuple[str, str]], name: str, *, fitted: bool, seed: int
) -> Scene:
    """Return the scene of the user's own labelled text.

    `fitted`: fit the practice teacher on a third of the rows, instead of taking the labels as recorded answers.

    Raises:
        BadInput: too few rows or labels.
    """
    labels = sorted({label for _, label in labelled})
    if len(labelled) < LEAST_ROWS or len(labels) < 2:
        raise BadInput(
            "DATA", f"{len(labelled)} rows, {len(labels)} labels", f"needs {LEAST_ROWS} rows with two labels"
        )
    shuffled = random.Random(seed).sample(list(labelled), len(labelled))
    apart = int(len(shuffled) * FITTED_SHARE) if fitted else 0
    asked = min(QUESTIONS, int((len(shuffled) - apart) * OWN_QUESTIONS_SHARE))
    kept, questions, played = shuffled[:apart], shuffled[apart : apart + asked], shuffled[apart + asked :][:OWN_RECORDS]
    distinct = len({text.casefold() for text, _ in played})
    workload = _install(home, name, _own_workload(name, labels, teacher_url, int(distinct * 0.85)))
    planted = home / "planted"
    planted.mkdir(parents=True, exist_ok=True)
    _write_rows(planted / "traffic.jsonl", played, "" if fitted else "label")
    _write_rows(planted / "fitted.jsonl", kept, "label")
    add_truth(planted / "truth.jsonl", (_truth(name, text, label) for text, label in (*played, *questions)))
    options = (
        ("--fitted", str(planted / "fitted.jsonl")) if fitted else ("--truth", str(planted / "truth.jsonl"), "--exact")
    )
    recorded = () if fitted else ("--label", "label", "--answered-by", "teacher")
    return Scene(
        title=f"{len(labelled):,} rows of {name}",
        workload=workload,
        teacher=options,
        feed=(
            "deploy.trial.simulate", "replay", str(planted / "traffic.jsonl"),
            "--workload", name, "--text", "text", *recorded,
        ),
        records=len(played),
        questions=[(f"question-{number:05d}", text) for number, (text, _) in enumerate(questions)],
        truth={record_id(name, f"row-{number:06d}", 0, 0): label for number, (_, label) in enumerate(played)},
    )  # fmt: skip


def _truth(workload: str, text: str, label: str) -> Truth:
    key = text_key(workload, normalise(redact(text).text))
    return Truth(text_key=key, label=label, cluster_key=key)


def _write_rows(file: Path, rows: Sequence[tuple[str, str]], label_column: str) -> None:
    with file.open("w", encoding="utf-8") as out:
        for number, (text, label) in enumerate(rows):
            row = {"id": f"row-{number:06d}", "text": text} | ({label_column: label} if label_column else {})
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def _own_workload(name: str, labels: Sequence[str], teacher_url: str, count: int) -> str:
    """Return a workload file for labelled rows: the newswire's window, gate and rollout, and a plain question."""
    quoted = ", ".join(json.dumps(label, ensure_ascii=False) for label in labels)
    quota = max(40, 4 * 3_000 // len(labels))
    return f"""\
name = "{name}"
labels = [{quoted}]

[request]
system = "You classify texts. Answer with one class and nothing else."
prompt = "Which class does this text have?\\n\\nText: {{text}}\\nClass:"

[teacher]
url = "{teacher_url}"
model = "practice-teacher"
may_train = true

[window]
rows = 3000
quota = {quota}

[triggers]
count = {count}
least_rows = 200

[gate]
agreement_floor = 0.75

[rollout]
shadow_requests = 300
assigned_per_step = 60
agreement_floor = 0.70
"""


def _install(home: Path, name: str, source: str) -> Workload:
    """Write a workload file into the demo's own folder and return what it says."""
    folder = home / "workloads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(source)
    return Workload.parse(source.encode(), f"{name}.toml")


def newswire_file() -> str:
    """Return the newswire's workload file.

    Raises:
        BadInput: it is not there: the demo was started from elsewhere.
    """
    if not NEWSWIRE.is_file():
        raise BadInput("folder", str(Path.cwd()), f"has no {NEWSWIRE}; start the demo from the project's folder")
    return NEWSWIRE.read_text()
