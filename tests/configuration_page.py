"""Every variable as docs/configuration.md shows it: made from the classes of settings."""

from __future__ import annotations

from collections import defaultdict

from deploy.edge.process import variables
from deploy.edge.process.settings import Settings, shown


def variables_table() -> str:
    """Return a row for each variable, and another where processes differ in what it is; every process's come first."""
    rows: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for process, cls in variables.settings_classes().items():
        for name in cls.own_fields():
            rows[row(cls, name)].append(process)
    lines = (
        f"| `{name}` | {', '.join(of)} | {kind} | {default} | {what} |"
        for (name, kind, default, what), of in rows.items()
    )
    return "\n".join(("| variable | process | takes | default | what for |", "|---|---|---|---|---|", *lines))


def row(settings: type[Settings], name: str) -> tuple[str, ...]:
    """Return variable, what it takes, default and what it is for."""
    schema, field = settings.model_json_schema()["properties"][name], settings.model_fields[name]
    default = f"`{shown(field.default)}`" if field.default not in (None, "") else "none"
    return variables.variable(name), variables.kind(schema), default, field.description or ""


def others_table() -> str:
    """Return what begins with our prefix and is no setting of a process."""
    return "\n".join(
        ("| variable | what for |", "|---|---|", *(f"| `{name}` | {what} |" for name, what in variables.OTHERS.items()))
    )
