"""The `MILLRACE_…` variables: which process reads which, and what is said of one that no process reads.

A setting's home is its room. Here stand the names of the rooms' classes, as `deploy/cli.py` has those of
their programs; none is imported before a variable turns up that may be unknown.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import SettingsError

if TYPE_CHECKING:
    from deploy.edge.process.settings import Settings

PREFIX: Final = "MILLRACE_"
EVERY_PROCESS: Final = "every process"
# process -> the class of its settings
CLASSES: Final = MappingProxyType(
    {
        EVERY_PROCESS: "deploy.edge.process.settings:Settings",
        "up": "deploy.infra.machine.settings:MachineSettings",
        "kafka": "deploy.infra.kafka.settings:KafkaSettings",
        "worker": "streams.settings:WorkerSettings",
        "dispatcher": "trainers.settings:DispatcherSettings",
        "router": "deploy.serve.router.settings:RouterSettings",
        "serve": "deploy.serve.students.settings:StudentSettings",
        "teacher": "deploy.serve.practice_teacher.settings:TeacherSettings",
        "rollout": "deploy.commands.rollout.settings:RolloutSettings",
    }
)
# What is no setting of a process -> what it is for.
OTHERS: Final = MappingProxyType(
    {
        "MILLRACE_MACHINE_DIR": "Folder of `millrace up`, the same as `--home`.",
        "MILLRACE_MACHINE": "Set by `millrace up` in its processes, which are found again by it.",
        "MILLRACE_DATA": "Folder of real labelled text, for tests and benchmarks.",
    }
)
_TESTS: Final = "MILLRACE_TEST_"
_NEAR_LETTERS: Final = 2  # a name so many letters off is most likely meant
# What Kubernetes sets in every pod for each Service of the namespace, and a Service may be called millrace-router.
_SERVICE: Final = re.compile(r".+_SERVICE_(HOST|PORT(_\w+)?)|.+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_ADDRESS: Final = re.compile(r"[a-z]+://")
# Read from the text, so that a file that cannot be used still says which names it refers to.
_REFERENCE: Final = re.compile(r"\w_env[\"']?\s*=\s*[\"'](\w+)[\"']")


class UnknownVariable(SettingsError):
    """A variable that no process reads. Its value is not shown: the name may be a misspelled secret's."""

    def __init__(self, name: str, nearest: str, *, near: bool) -> None:
        remedy = (
            f"did you mean {nearest}? Rename or unset it"
            if near
            else f"the nearest known name is {nearest}; `millrace doctor` shows all. Unset it"
        )
        self.near = near  # most likely a misspelt setting
        super().__init__(name, "…", f"no process of Millrace reads this variable; {remedy}")

    def __str__(self) -> str:
        """Return the message without a value."""
        return f"{self.field}: {self.remedy}"


def variable(field: str) -> str:
    """Return the variable of a setting."""
    return PREFIX + field.upper()


def settings_classes() -> dict[str, type[Settings]]:
    """Return the settings class of each process; those of every process first."""
    return {process: pkgutil.resolve_name(where) for process, where in CLASSES.items()}


def is_service_address(name: str, value: str) -> bool:
    """Return whether Kubernetes set a variable for a Service, also where the name is one of ours."""
    name = name.upper()
    return _SERVICE.fullmatch(name) is not None or (name.endswith("_PORT") and _ADDRESS.match(value) is not None)


def unknown(environment: Mapping[str, str], workloads_dir: Path) -> list[UnknownVariable]:
    """Return the variables that are nobody's: no process's, no Service's, no test's and no workload file's.

    Names are compared as the settings read them: in any case.
    """
    found = [name for name, value in environment.items() if _ours(name, value)]
    if not found:
        return []
    known = {variable(field) for cls in settings_classes().values() for field in cls.model_fields} | OTHERS.keys()
    strange = sorted(name for name in found if name.upper() not in known)
    if strange:
        referred = set(_referred(workloads_dir))
        strange = [name for name in strange if name not in referred]
    return [_named(name, sorted(known)) for name in strange]


def kind(field: Mapping[str, Any]) -> str:
    """Return in words what a setting takes, from its JSON schema."""
    if "anyOf" in field:  # or null
        return kind(field["anyOf"][0])
    if "enum" in field:
        return ", ".join(field["enum"][:-1]) + f" or {field['enum'][-1]}"
    if field["type"] == "array":
        return f"a JSON list of {kind(field['items'])}s"
    if field["type"] == "string":
        return {"path": "a path", "password": "a secret"}.get(field.get("format", ""), "text")
    if field["type"] == "boolean":
        return "true or false"
    return ("a whole number" if field["type"] == "integer" else "a number") + _limits(field)


def _limits(field: Mapping[str, Any]) -> str:
    least, above, most = field.get("minimum"), field.get("exclusiveMinimum"), field.get("maximum")
    words = [f"from {least}"] if least is not None else []
    words += [f"above {above}"] if above is not None else []
    words += [f"to {most}"] if most is not None else []
    return f" {' '.join(words)}" if words else ""


def _ours(name: str, value: str) -> bool:
    upper = name.upper()
    return upper.startswith(PREFIX) and not upper.startswith(_TESTS) and not is_service_address(upper, value)


def _referred(workloads_dir: Path) -> Iterator[str]:
    """Yield the variables that workload files name, such as `api_key_env`."""
    for file in sorted(workloads_dir.glob("*.toml")):
        yield from _REFERENCE.findall(file.read_text(errors="replace"))


def _named(name: str, known: list[str]) -> UnknownVariable:
    nearest = min(known, key=lambda other: _letters_off(name.upper(), other))
    return UnknownVariable(name, nearest, near=_letters_off(name.upper(), nearest) <= _NEAR_LETTERS)


def _letters_off(one: str, other: str) -> int:
    """Return how many letters must be put in, taken out or changed to make one name of the other."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, its in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != its))
    return row[-1]
