"""The workload file that `millrace init` writes."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from deploy.infra.machine.init import write
from schemas.errors import SettingsError, WorkloadError
from schemas.workload import Workload


def keys(model: type[BaseModel], at: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= keys(field.annotation, f"{name}.")
        else:
            found[at + name] = field.default
    return found


def flat(tables: dict[str, Any], at: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in tables.items():
        nested = isinstance(value, dict) and name not in (
            "definitions",
            "aliases",
            "sources",
            "class_counts",
            "weights",
        )
        found |= flat(value, f"{name}.") if nested else {at + name: value}
    return found


def test_init__writes_a_workload_of_defaults(tmp_path: Path):
    """The file parses as it is, and nothing in it differs from the defaults but name and labels."""
    workload = Workload.parse(write("news", tmp_path / "workloads").read_bytes())

    assert workload == Workload(name="news", labels=workload.labels)


def test_init__names_every_key_with_its_default(tmp_path: Path):
    """Uncommented, the file holds exactly the keys of the workload file, at their defaults, and parses."""
    text = re.sub(r"^# (\w+ = )", r"\1", write("news", tmp_path).read_text(), flags=re.MULTILINE)
    written, defaults = flat(tomllib.loads(text)), keys(Workload)
    shown = {"name", "labels", "definitions", "aliases", "blend.sources"}  # as an example of the form
    examples = shown | {key for key, default in defaults.items() if default is None}  # "no limit" has no TOML value

    assert written.keys() == defaults.keys()
    assert {key: written[key] for key in written.keys() - examples} == {
        key: defaults[key] for key in defaults.keys() - examples
    }
    Workload.parse(text.encode())


def test_init__never_overwrites(tmp_path: Path):
    """A file that exists stays as it is."""
    path = write("news", tmp_path)
    path.write_text("mine")

    with pytest.raises(SettingsError, match="exists and is not overwritten"):
        write("news", tmp_path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["../news", "News", 'a"b', ""])
def test_init__name_that_is_not_allowed(tmp_path: Path, name: str):
    """A name that could be no folder is refused before anything is written."""
    with pytest.raises(WorkloadError):
        write(name, tmp_path / "workloads")
    assert not (tmp_path / "workloads").exists()
