"""The parts of the pages that are made from the code: `python -m tests.generated` writes them all anew.

A part is on its page between `<!-- name … -->` and `<!-- /name -->`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from schemas.principals import TopicAccess
from schemas.rules.privacy.kinds import Kind
from schemas.topics import CATALOGUE, Topic
from tests import cli_page, configuration_page

ROOT = Path(__file__).parent.parent
FOLDERS = ("schemas", "streams", "trainers", "deploy", "benchmarks", "tests", "docs")
OPENED = ("schemas", "streams", "trainers", "deploy")


class Part(NamedTuple):
    """One part of a page."""

    page: str
    make: Callable[[], str]

    def pattern(self, name: str) -> re.Pattern[str]:
        """Return what finds the part on its page; group 2 is the part itself."""
        return re.compile(rf"(<!-- {name}\b[^>]*-->\n)(.*?)(\n<!-- /{name} -->)", re.DOTALL)


def topics() -> str:
    """Return the table of topics."""
    head = "| topic | what it carries | written by | consumed by | read back by | read by | kept |"
    rows = [
        f"| `{topic.name}` | {topic.purpose} | {topic.who(TopicAccess.WRITE)} | {topic.who(TopicAccess.CONSUME)} "
        f"| {topic.who(TopicAccess.REBUILD)} | {topic.who(TopicAccess.READ)} | {_kept(topic)} |"
        for topic in CATALOGUE
    ]
    return "\n".join((head, "|---|---|---|---|---|---|---|", *rows))


def kinds() -> str:
    """Return the table of what redaction finds, in the order in which rules look."""
    rows = [f"| `{kind}` | `<{kind.name}>` | {kind.how} |" for kind in Kind]
    return "\n".join(("| kind | placeholder | how |", "|---|---|---|", *rows))


def tree() -> str:
    """Return the folders with the first sentence of what each says it holds."""
    lines = []
    for name in FOLDERS:
        lines.append(f"{name + '/':<22}{_first_sentence(ROOT / name)}")
        inner = sorted(path for path in (ROOT / name).iterdir() if path.is_dir()) if name in OPENED else []
        lines += [f"  {path.name + '/':<20}{says}" for path in inner if (says := _first_sentence(path))]
    return "\n".join(("```text", *lines, "```"))


def _kept(topic: Topic) -> str:
    if topic.compacted:
        return "compacted"
    return "for ever" if topic.retention is None else f"{topic.retention // timedelta(days=1)} days"


def _first_sentence(folder: Path) -> str:
    """Return the first line of the package's docstring, or of the README.md of a folder without Python."""
    package, page = folder / "__init__.py", folder / "README.md"
    if package.exists():
        return (ast.get_docstring(ast.parse(package.read_text())) or "").split("\n")[0]
    return page.read_text().split("\n")[0].lstrip("# ") if page.exists() else ""


PARTS = {
    "topics": Part("docs/topics.md", topics),
    "kinds": Part("docs/privacy.md", kinds),
    "commands": Part("docs/cli.md", cli_page.part),
    "variables": Part("docs/configuration.md", configuration_page.variables_table),
    "others": Part("docs/configuration.md", configuration_page.others_table),
    "tree": Part("docs/architecture.md", tree),
}


def write() -> None:
    """Write every part anew.

    Raises:
        LookupError: a page has no place for its part.
    """
    for name, part in PARTS.items():
        page = ROOT / part.page
        text = page.read_text()
        match = part.pattern(name).search(text)
        if match is None:
            raise LookupError(f"{part.page}: there is no <!-- {name} --> … <!-- /{name} -->; put the two lines back")
        page.write_text(text[: match.start(2)] + part.make() + text[match.end(2) :])


if __name__ == "__main__":
    write()
