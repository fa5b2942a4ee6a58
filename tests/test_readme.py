"""The README tells the truth: its tree, flow table and commands are made from the code.

`python -m tests.test_readme` writes the three parts anew.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from click import Command

from deploy.cli import millrace
from schemas.topics import CATALOGUE

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FOLDERS = ("schemas", "streams", "trainers", "deploy", "benchmarks", "tests", "docs")
DEEPER = {"schemas": ("rules",), "streams": ("curate", "label", "window", "triggers", "rollout"), "trainers": ("students", "launchers")}


def flow_table() -> str:
    """Return the table of topics."""
    rows = [f"| `{topic.name}` | {topic.purpose} | {topic.writers} | {topic.readers} |" for topic in CATALOGUE]
    return "\n".join(("| topic | what it carries | written by | read by |", "|---|---|---|---|", *rows))


def commands_table() -> str:
    """Return the table of commands, as `millrace --help` lists them."""
    commands: dict[str, Command] = millrace.commands
    rows = [f"| `millrace {name}` | {command.get_short_help_str(limit=200)} |" for name, command in commands.items()]
    return "\n".join(("| command | what it does |", "|---|---|", *rows))


def tree() -> str:
    """Return the folders with the first sentence of what each holds."""
    lines = []
    for name in FOLDERS:
        lines.append(f"{name + '/':<22}{_first_sentence(ROOT / name)}")
        below = DEEPER.get(name) or sorted(p.name for p in (ROOT / name).iterdir() if name == "deploy" and p.is_dir() and not p.name.startswith("_"))
        lines += [f"  {sub + '/':<20}{_first_sentence(ROOT / name / sub)}" for sub in below]
    return "\n".join(("```text", *(line.rstrip() for line in lines), "```"))


def _first_sentence(folder: Path) -> str:
    """Return the first line of the folder's docstring, or of the README.md of a folder without Python."""
    package = folder / "__init__.py"
    if package.exists():
        return (ast.get_docstring(ast.parse(package.read_text())) or "").split("\n")[0]
    page = folder / "README.md"
    return page.read_text().split("\n")[0].lstrip("# ") if page.exists() else ""


PARTS = {"topics": flow_table, "commands": commands_table, "tree": tree}


def _part(name: str) -> str:
    match = re.search(rf"<!-- {name}\b[^>]*-->\n(.*?)<!-- /{name} -->", README.read_text(), re.DOTALL)
    assert match, f"README.md has no part {name!r}"
    return match.group(1).strip()


def test_readme__shows_the_catalogue_of_topics():
    """The flow table equals the catalogue in schemas/topics.py."""
    assert _part("topics") == flow_table()


def test_readme__shows_the_commands():
    """The table of commands equals what the command offers."""
    assert _part("commands") == commands_table()


def test_readme__shows_the_tree():
    """The tree equals the folders and the first sentence each says of itself, and none is silent."""
    assert _part("tree") == tree()
    assert not [line for line in tree().splitlines() if line.endswith("/")]


def test_readme__names_only_make_targets_that_exist():
    """Every `make …` in the README is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`[^`]*`|```.*?```", README.read_text(), re.DOTALL))))

    assert named <= targets


def write() -> None:
    """Write the three parts of the README anew."""
    text = README.read_text()
    for name, make in PARTS.items():
        text = re.sub(rf"(<!-- {name}\b[^>]*-->\n).*?(<!-- /{name} -->)", lambda m, make=make: m[1] + make() + "\n" + m[2], text, flags=re.DOTALL)  # type: ignore[misc]
    README.write_text(text)


if __name__ == "__main__":
    write()
