"""The walls are closed by default: a room planted where it does not belong is refused by the import linter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "streams", "trainers", "deploy")

# The name of each contract of pyproject.toml, and a planted file that breaks it: path and import.
PLANTED = {
    "schemas is pure: no client, no socket, no store": ("schemas/rules/planted.py", "socket"),
    "the house: deploy over streams and trainers, over the edge, over schemas": ("schemas/planted.py", "deploy.edge"),
    "deploy has these rooms and no other": ("deploy/planted.py", "schemas.errors"),
    "streams has these rooms and no other": ("streams/planted.py", "schemas.errors"),
    "commands know nothing of each other": ("deploy/commands/planted.py", "deploy.commands.gold.rows"),
    "what answers requests knows nothing of each other": ("deploy/serve/planted.py", "deploy.serve.router.assign"),
    "deploy imports neither streams nor trainers": ("deploy/infra/planted.py", "trainers.gate"),
    "the day-one report reaches no broker, no store, no program": ("deploy/trial/day_one/planted.py", "duckdb"),
    "who starts a room imports none of it": ("deploy/infra/machine/planted.py", "deploy.serve.router.assign"),
    "torch lives in trainers and in what serves": ("streams/window/planted.py", "torch"),
    "faust lives in streams only": ("trainers/planted.py", "faust"),
    "the recipe runs on a bare GPU machine": ("trainers/students/planted.py", "pydantic"),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return each contract's result, BROKEN or KEPT, over a copy of the house with every file planted."""
    house = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, house / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, name in PLANTED.values():
        (house / file).write_text(f"import {name}\n")
    shutil.copy(ROOT / "pyproject.toml", house)
    linter = "from importlinter.cli import lint_imports_command as main; main()"
    done = subprocess.run(
        [sys.executable, "-c", linter, "--no-cache"],
        cwd=house, env=os.environ | {"PYTHONPATH": str(house), "COLUMNS": "200"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return dict(re.findall(r"^(.+) (BROKEN|KEPT)\b", done.stdout, re.MULTILINE))


def test_walls__each_contract_has_a_planted_file():
    """A contract that is added is tried too."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    assert {contract["name"] for contract in contracts} == set(PLANTED)


def test_walls__every_folder_of_modules_is_a_room():
    """The linter does not look into a folder without `__init__.py`, which Python imports all the same."""
    folders = {module.parent for package in PACKAGES for module in (ROOT / package).rglob("*.py")}

    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("contract", PLANTED)
def test_walls__planted_room_is_refused(contract: str, verdicts: dict[str, str]):
    """A file that breaks a wall breaks its contract."""
    assert verdicts[contract] == "BROKEN"
