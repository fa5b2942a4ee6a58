"""Which snapshots hold a record, and which models were trained on them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deploy.edge.process.settings import Settings
from deploy.edge.stores.snapshots import HoldingSnapshot, holding, trained_on
from schemas.errors import ContractError
from schemas.manifest import StudentManifest

HELD = HoldingSnapshot("news", "0001-a", "id", "TEST", sha256(b"{}").hexdigest())


def write(folder: Path) -> None:
    for name, ids, whole in (("0001-a", ["x", "id"], True), ("0002-b", ["x"], True), ("0003-c", ["id"], False)):
        place = folder / name
        place.mkdir(parents=True)
        pq.write_table(pa.table({"record_id": ids, "split": ["TEST"] * len(ids), "text": ids}), place / "rows.parquet")
        if whole:
            place.joinpath("manifest.json").write_text("{}")


def test_snapshots__that_hold_the_record_are_named_with_its_split(tmp_path: Path) -> None:
    """Complete ones of the workload only: a folder without a manifest is not a snapshot yet."""
    write(tmp_path / "snapshots" / "news")

    assert holding(Settings(artefacts_dir=tmp_path), {"news", "others"}, {"id"}) == ([HELD], None)


def test_snapshots__in_the_object_store__are_looked_at_too(tmp_path: Path) -> None:
    """Those that went to a store count like those here; where it does not answer, the rest is reported with that."""
    write(tmp_path / "snapshots" / "news")
    write(tmp_path / "store" / "news")
    write(tmp_path / "store" / "others")
    settings = Settings(artefacts_dir=tmp_path, snapshots_url=(tmp_path / "store").as_uri())

    assert holding(settings, {"news", "store"}, {"id"}) == ([HELD, HELD], None)
    (tmp_path / "store").rename(tmp_path / "away")
    found, why = holding(settings, {"news"}, {"id"})
    assert (found, why is not None and "does not answer" in why) == ([HELD], True)


def test_snapshots__of_a_workload_whose_name_is_a_path__are_not_looked_for_elsewhere(tmp_path: Path) -> None:
    """A workload's name comes out of a record: it cannot lead out of the folder."""
    outside = tmp_path / "outside" / "0001-a"
    outside.mkdir(parents=True)
    outside.joinpath("manifest.json").write_text("{}")
    (tmp_path / "snapshots").mkdir()

    names = {"../outside", str(tmp_path / "outside"), ".."}
    stored = Settings(artefacts_dir=tmp_path, snapshots_url=(tmp_path / "snapshots").as_uri())
    assert holding(Settings(artefacts_dir=tmp_path), names, {"id"}) == holding(stored, names, {"id"}) == ([], None)


def test_snapshots__that_are_not_here__are_said_to_be_so(tmp_path: Path) -> None:
    """Nothing found and nowhere looked are two answers."""
    found, why = holding(Settings(artefacts_dir=tmp_path / "none"), {"news"}, {"id"})

    assert (found, why is not None and "is not on this machine" in why) == ([], True)


def model(root: Path, version: str, snapshot_sha256: str) -> Path:
    manifest = StudentManifest(
        model_version=version, workload="news", labels=["a"], form="f", base_model="b", base_sha256="", files=[],
        snapshot_sha256=snapshot_sha256, seed=1,
    )  # fmt: skip
    file = root / "adapters" / "news" / version / "manifest.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(manifest.to_bytes())
    return file


def test_models__trained_on_a_snapshot(tmp_path: Path) -> None:
    """By the digest of the snapshot's manifest; a manifest that cannot be read is reported, not passed over."""
    model(tmp_path, "news-e1-one", sha256(b"{}").hexdigest())
    other = model(tmp_path, "news-e2-two", "another")

    (found,) = trained_on(tmp_path, "news", [HELD])
    assert (found.model_version, found.snapshot_id) == ("news-e1-one", "0001-a")
    assert trained_on(tmp_path, "news", []) == []
    other.write_text("{")
    with pytest.raises(ContractError, match="news-e2-two"):
        trained_on(tmp_path, "news", [HELD])
