"""The workload file as types: one task of one application, parsed from TOML bytes.

A mistake in the file is reported with its key, its value and what is allowed; nothing falls back silently.
"""

from __future__ import annotations

import difflib
import tomllib
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from schemas.errors import WorkloadError
from schemas.sections.intake import Blend, Caps, Duplicates, Enrich, Limits, Privacy, Quality, Request
from schemas.sections.label import Augment, Harvest, Select, Teacher
from schemas.sections.rollout import Audit, Rollout
from schemas.sections.section import Name, Section
from schemas.sections.trainers import Gate, Student
from schemas.sections.triggers import Triggers
from schemas.sections.window import Splits, Window


class Workload(Section):
    """One task of one application."""

    name: Name
    labels: Annotated[list[str], Field(min_length=2, max_length=1_000)]
    definitions: dict[str, str] = {}  # label -> one sentence, shown to the teacher
    aliases: dict[str, str] = {}  # what an answer may say instead -> label
    request: Request = Request()
    limits: Limits = Limits()
    privacy: Privacy = Privacy()
    duplicates: Duplicates = Duplicates()
    quality: Quality = Quality()
    blend: Blend = Blend()
    caps: Caps = Caps()
    enrich: Enrich = Enrich()
    teacher: Teacher = Teacher()
    harvest: Harvest = Harvest()
    select: Select = Select()
    augment: Augment = Augment()
    splits: Splits = Splits()
    window: Window = Window()
    triggers: Triggers = Triggers()
    student: Student = Student()
    gate: Gate = Gate()
    rollout: Rollout = Rollout()
    audit: Audit = Audit()

    @model_validator(mode="after")
    def _labels_are_known(self) -> Self:
        folded = [label.casefold().strip() for label in self.labels]
        if len(set(folded)) != len(folded) or "" in folded:
            raise ValueError("labels must differ in more than case, and none may be empty")
        for table, names in (("definitions", self.definitions), ("aliases", self.aliases.values())):
            for name in names:
                if name not in self.labels:
                    raise ValueError(f"{table} names {name!r}, which is not in labels")
        stray = next((name for name in self.triggers.class_counts if name not in self.labels), None)
        if stray is not None:
            raise ValueError(f"triggers.class_counts names {stray!r}, which is not in labels")
        said = [alias.casefold().strip() for alias in self.aliases]
        if len({*said, *folded}) != len(said) + len(folded):
            raise ValueError("aliases must differ from labels and from each other in more than case")
        return self

    @classmethod
    def parse(cls, data: bytes, file: str = "workload file") -> Workload:
        """Parse a workload file.

        Raises:
            WorkloadError: it is no TOML, or a key or value is not allowed.
        """
        try:
            tables = tomllib.loads(data.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise WorkloadError(
                file, str(error), "write it as TOML in UTF-8; `millrace init NAME` makes one"
            ) from error
        try:
            return cls.model_validate(tables)
        except ValidationError as error:
            raise _first_mistake(error, file) from error


def _first_mistake(error: ValidationError, file: str) -> WorkloadError:
    mistake = error.errors(include_url=False)[0]
    path = [str(part) for part in mistake["loc"]]
    where = f"{file}: {'.'.join(path)}" if path else file
    if mistake["type"] == "extra_forbidden":
        allowed = _keys_at(path[:-1])
        close = difflib.get_close_matches(path[-1], allowed, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return WorkloadError(where, mistake["input"], f"unknown key; {hint}allowed: {', '.join(allowed)}")
    if mistake["type"] == "missing":
        return WorkloadError(where, None, "is required")
    return WorkloadError(where, mistake["input"] if path else file, mistake["msg"].removeprefix("Value error, "))


def _keys_at(path: list[str]) -> list[str]:
    section: Any = Workload
    for name in path:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[name].annotation
        else:
            section = get_args(section)[-1]  # a table of tables, by name
    return list(section.model_fields)
