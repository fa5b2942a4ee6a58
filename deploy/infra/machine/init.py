"""`millrace init NAME`: a workload file with every key, its effect and its default."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from string import Template

from schemas.errors import SettingsError
from schemas.rules.privacy.kinds import RULED
from schemas.workload import Workload


def write(name: str, folder: Path) -> Path:
    """Write the commented file of a new workload.

    Raises:
        WorkloadError: the name is not allowed.
        SettingsError: the file exists: it is never overwritten.
    """
    template = resources.files("deploy.infra.machine").joinpath("workload.toml.template").read_text()
    text = Template(template).substitute(name=name, kinds=json.dumps(sorted(RULED)))
    path = folder / f"{name}.toml"
    Workload.parse(text.encode(), str(path))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError as error:
        raise SettingsError("name", name, f"{path} exists and is not overwritten; choose another name") from error
    return path
