"""docs/configuration.md tells the truth: its tables are made from the classes of settings.

`python -m tests.test_configuration` writes them anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.edge.process import variables
from deploy.edge.process.settings import Settings, shown

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"


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


PARTS: dict[str, Callable[[], str]] = {"variables": variables_table, "others": others_table}


def part(name: str) -> re.Pattern[str]:
    """Return the pattern of a part: its opening mark, what is made, its closing mark."""
    return re.compile(rf"(<!-- {name}\b[^>]*-->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)


@pytest.mark.parametrize("name", PARTS)
def test_configuration__is_made_from_the_classes(name: str) -> None:
    """Each table on the page equals what the classes say."""
    match = part(name).search(PAGE.read_text())

    assert match
    assert match[2].strip() == PARTS[name]()


def test_setting__says_what_it_is_for() -> None:
    """Every setting has a sentence that says what it is for."""
    rows = [row(cls, name) for cls in variables.settings_classes().values() for name in cls.model_fields]

    assert [name for name, _, _, what in rows if not re.fullmatch(r"[A-Z].+\.", what)] == []


def test_page__names_only_variables_that_there_are() -> None:
    """A variable that a page or the README names is one that a process reads, or an example of a wrong one."""
    known = {variables.variable(name) for cls in variables.settings_classes().values() for name in cls.model_fields}
    root = PAGE.parent.parent
    named = {
        (name, page.name)
        for page in (root / "README.md", *root.glob("docs/*.md"))
        for name in re.findall(r"\bMILLRACE_[A-Z_]+[A-Z]\b(?!_)", page.read_text())
    }

    assert {name for name, _ in named if name not in known | variables.OTHERS.keys()} == {"MILLRACE_ROUTR_PORT"}


if __name__ == "__main__":
    text = PAGE.read_text()
    for name, made in PARTS.items():
        found = part(name).search(text)
        if found:
            text = text[: found.start(2)] + made() + "\n" + text[found.end(2) :]
    PAGE.write_text(text)
