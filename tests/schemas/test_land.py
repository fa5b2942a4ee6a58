"""Landing a schema: a compatible one gets its version and golden bytes, any other is refused with the remedy."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas.errors import BadInput
from tests.schemas.golden_form import plain
from tests.schemas.land import AVSC, TOPICS, laid_out, land, landed, main

NULLABLE = {"name": "shade", "type": ["null", "string"], "default": None}
BARE = {"name": "shade", "type": "string"}


@pytest.fixture
def avsc(tmp_path: Path) -> Path:
    """Schemas of our own to change."""
    return Path(shutil.copytree(AVSC, tmp_path / "avsc"))


def change(avsc: Path, record: str, alter: Any) -> None:
    file = avsc / f"{record}.avsc"
    schema = json.loads(file.read_text())
    alter(schema)
    file.write_text(json.dumps(schema))


def without(name: str) -> Any:
    def alter(schema: Any) -> None:
        schema["fields"] = [one for one in schema["fields"] if one["name"] != name]

    return alter


@pytest.mark.parametrize("record", TOPICS)
def test_land__a_field_with_a_default(record, avsc, tmp_path):
    """An added field with a default is landed as the next version; its golden bytes hold a value of every field."""
    newest = max(landed(record, avsc))
    change(avsc, record, lambda schema: schema["fields"].append(NULLABLE))

    number = land(record, avsc, tmp_path / "golden")

    assert number == newest + 1
    schema = landed(record, avsc)[number]
    assert schema == json.loads((avsc / f"{record}.avsc").read_text())
    golden = tmp_path / "golden" / f"v{number}"
    data = bytes.fromhex((golden / f"{record}.hex").read_text())
    said = json.loads((golden / f"{record}.json").read_text())
    assert plain(fastavro.schemaless_reader(io.BytesIO(data[10:]), fastavro.parse_schema(schema), None)) == said
    assert said["shade"].startswith("shade ")


@pytest.mark.parametrize(
    ("record", "alter", "field"),
    [
        ("CuratedRecord", lambda schema: schema["fields"].append(BARE), "CuratedRecord.shade"),
        ("CuratedRecord", lambda schema: schema["fields"][0].update(type="long"), "CuratedRecord.record_id"),
        ("ModelState", without("epoch"), "ModelState.epoch"),
        ("Outcome", lambda schema: schema.update(name="Other"), "Outcome"),
    ],
)
def test_land__what_breaks_a_reader(record, alter, field, avsc, tmp_path):
    """A change that a reader could not follow is refused with its field and the remedy, and nothing is written."""
    before = landed(record, avsc)
    change(avsc, record, alter)

    with pytest.raises(BadInput) as caught:
        land(record, avsc, tmp_path / "golden")

    assert caught.value.field == field
    assert "v1" in str(caught.value)
    assert landed(record, avsc) == before
    assert not (tmp_path / "golden").exists()


def test_land__nothing_changed(capsys):
    """What is landed already is not landed again, and an unknown record is answered with those there are."""
    for record, remedy in (("Ceiling", "nothing to land"), ("Other", "choose one of Ceiling, CuratedRecord")):
        with pytest.raises(SystemExit) as caught:
            main([record])

        assert caught.value.code == 2
        assert remedy in capsys.readouterr().err


@pytest.mark.parametrize("file", sorted(AVSC.rglob("*.avsc")), ids=lambda file: str(file.relative_to(AVSC)))
def test_schemas__have_one_field_per_line(file: Path) -> None:
    """A schema is read at a glance, and a change of one field is one line of a diff."""
    text = file.read_text()

    assert text == laid_out(json.loads(text)) + "\n"
