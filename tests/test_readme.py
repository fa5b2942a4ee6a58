"""The README tells the truth: its tree, flow table and commands are made from the code.

`python -m tests.test_readme` writes the three parts anew.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.cli import COMMANDS
from schemas.topics import CATALOGUE

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FOLDERS = ("schemas", "streams", "trainers", "deploy", "benchmarks", "tests", "docs")
OPENED = ("schemas", "streams", "trainers", "deploy")


def flow_table() -> str:
    """Return the table of topics."""
    rows = [f"| `{topic.name}` | {topic.purpose} | {topic.writers} | {topic.readers} |" for topic in CATALOGUE]
    return "\n".join(("| topic | what it carries | written by | read by |", "|---|---|---|---|", *rows))


def commands_table() -> str:
    """Return the table of commands, as `millrace --help` lists them."""
    rows = [f"| `millrace {name}` | {purpose} |" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(("| command | what it does |", "|---|---|", *rows))


def tree() -> str:
    """Return the folders with the first sentence of what each says it holds."""
    lines = []
    for name in FOLDERS:
        lines.append(f"{name + '/':<22}{_first_sentence(ROOT / name)}")
        inner = sorted(path for path in (ROOT / name).iterdir() if path.is_dir()) if name in OPENED else []
        lines += [f"  {path.name + '/':<20}{says}" for path in inner if (says := _first_sentence(path))]
    return "\n".join(("```text", *lines, "```"))


def _first_sentence(folder: Path) -> str:
    """Return the first line of the package's docstring, or of the README.md of a folder without Python."""
    package, page = folder / "__init__.py", folder / "README.md"
    if package.exists():
        return (ast.get_docstring(ast.parse(package.read_text())) or "").split("\n")[0]
    return page.read_text().split("\n")[0].lstrip("# ") if page.exists() else ""


PARTS: dict[str, Callable[[], str]] = {"topics": flow_table, "commands": commands_table, "tree": tree}


@pytest.mark.parametrize("name", PARTS)
def test_readme__is_made_from_the_code(name):
    """The README's flow table, commands and tree equal what the code says."""
    match = re.search(rf"<!-- {name}\b[^>]*-->\n(.*?)<!-- /{name} -->", README.read_text(), re.DOTALL)

    assert match
    assert match.group(1).strip() == PARTS[name]()


def test_readme__no_folder_is_silent():
    """Every folder in the tree says what it holds."""
    assert not [line for line in tree().splitlines() if line.rstrip().endswith("/")]


def test_readme__names_only_make_targets_that_exist():
    """Every `make …` in the README is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(re.findall(r"```.*?```|`[^`]*`", README.read_text(), re.DOTALL))

    assert set(re.findall(r"\bmake ([a-z]+)\b", code)) <= targets


def test_readme__every_linked_file_exists():
    """Every relative link of the README and of docs/ leads to a file."""
    pages = [README, *(ROOT / "docs").glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]

    assert not [(page.name, link) for page, link in links if not (page.parent / link).exists()]


def write() -> None:
    """Write the three parts of the README anew."""
    text = README.read_text()
    for name, made in PARTS.items():
        start = re.search(rf"<!-- {name}\b[^>]*-->\n", text)
        assert start
        end = text.index(f"<!-- /{name} -->")
        text = text[: start.end()] + made() + "\n" + text[end:]
    README.write_text(text)


if __name__ == "__main__":
    write()
