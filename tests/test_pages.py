"""The pages are true: generated parts equal the code, and what a page or a comment names exists."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from schemas.sections.rollout import Audit, Rollout
from schemas.sections.trainers import Gate, Student
from schemas.sections.triggers import Asking
from streams.triggers.audits import DOUBT
from tests.generated import PARTS, ROOT, tree

FOLDERS = ("schemas", "streams", "trainers", "deploy", "benchmarks", "tests", "docs", ".github")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").rglob("*.md")]
CODE = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
FILES = {str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*")}
README = ROOT / "README.md"
OURS = "|".join(FOLDERS[:-1])
# The end of a module's path; a path that begins with one of our folders; a folder, with its last slash.
NAMED = re.compile(rf"\b[a-z_]+/[a-z_/]+\.py\b|(?<![\w/.-])(?:{OURS})/[\w./-]*\w|(?<=`)[a-z_]+(?:/[a-z_]+)+(?=/`)")
STANDS_FOR_ANY = re.compile(r"/v?[A-Z]+\b(?!\.md)")  # NAME.toml, vN


@pytest.mark.parametrize("name", PARTS)
def test_generated_part__is_made_from_the_code(name):
    """A part between its two marks is what the code says; `python -m tests.generated` mends it."""
    part = PARTS[name]
    match = part.pattern(name).search((ROOT / part.page).read_text())

    assert match
    assert match.group(2) == part.make()


def test_tree__no_folder_is_silent():
    """Every folder in the tree says what it holds."""
    assert not [line for line in tree().splitlines() if line.rstrip().endswith("/")]


def test_readme__is_read_in_a_few_minutes():
    """The README has at most 1,200 words, whatever is added to the loop."""
    assert len(README.read_text().split()) <= 1200


def test_readme__quotes_the_figures_of_their_page():
    """Each number and each command in the README's table of figures is on docs/figures.md."""
    table = README.read_text().split("## Six figures", 1)[1].split("\n## ", 1)[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| ")][1:]
    page = (ROOT / "docs/figures.md").read_text()
    quoted = {number for row in rows for number in re.findall(r"\d+(?:\.\d+)?", row[2])}

    assert len(rows) == 6
    assert {number for number in quoted if not re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]*\d)", page)} == set()
    assert all(row[3].strip() in page for row in rows)


def test_pages__name_only_make_targets_that_exist():
    """Every `make …` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(part for page in PAGES for part in re.findall(r"```.*?```|`[^`]*`", page.read_text(), re.DOTALL))

    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", code, re.MULTILINE)) <= targets


def test_triggers__are_all_on_their_page():
    """The table of triggers has a row for each that may ask for a retrain, and for the alarm."""
    table = (ROOT / "docs/triggers.md").read_text().split("## The triggers", 1)[1].split("\n#", 1)[0]

    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == {*get_args(Asking), DOUBT}


@pytest.mark.parametrize(
    ("page", "sections"),
    [("training", {"student": Student(), "gate": Gate()}), ("rollout", {"rollout": Rollout(), "audit": Audit()})],
)
def test_sections__shown_on_their_page__are_whole(page, sections):
    """A page that shows sections of the workload file shows all their keys, at their defaults."""
    shown = re.search(r"```toml\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL)

    assert shown
    assert tomllib.loads(shown[1]) == {name: section.model_dump() for name, section in sections.items()}


def test_pages__every_relative_link_leads_somewhere():
    """A relative link leads to a file that exists, and to one of its headings where it names one."""
    assert not [(page.name, link) for page in PAGES for link in _links(page) if not _leads(page, link)]


def test_pages__each_is_found_from_the_index():
    """Every page of docs/ is listed in docs/README.md."""
    listed = set(_links(ROOT / "docs/README.md"))

    assert not {page.name for page in (ROOT / "docs").glob("*.md")} - listed - {"README.md"}


def test_decisions__have_a_number_a_date_and_a_status():
    """Every decision has a number of its own, a date, and a status; what is replaced names what replaced it."""
    text = (ROOT / "docs/decisions.md").read_text()
    heads = re.findall(r"^- \*\*(\d+)\*\* \(\d{4}-\d\d-\d\d, (?:accepted|replaced by (\d+))\) \*\*", text, re.MULTILINE)
    numbers = sorted(int(number) for number, _ in heads)

    assert len(heads) == len(re.findall(r"^- ", text, re.MULTILINE))
    assert numbers == list(range(1, len(numbers) + 1))
    assert {int(other) for _, other in heads if other} <= set(numbers)


def test_paths__named_in_words_exist():
    """A path in a page, a docstring or a comment is that of a file or folder, or the end of one."""
    named = {(str(source.relative_to(ROOT)), path) for source in (*PAGES, *CODE) for path in _named(source)}

    assert not {(source, path) for source, path in named if not any(f"/{file}".endswith(f"/{path}") for file in FILES)}


def _links(page: Path) -> list[str]:
    """Return the relative links of a page, anchors included."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in link]


def _leads(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in set(_anchors(target)))


def _anchors(page: Path) -> Iterator[str]:
    """Yield the anchors that a page's headings have on the repository's host."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _named(source: Path) -> set[str]:
    """Return the paths that a page, a docstring or a comment of a module names."""
    return {path for path in NAMED.findall(_words(source)) if not STANDS_FOR_ANY.search(path)}


def _words(source: Path) -> str:
    """Return a page's text, or a module's docstrings and comments."""
    text = source.read_text()
    if source.suffix != ".py" or not NAMED.search(text):  # most modules name none: a third of the time
        return text
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return "\n".join((*comments, *docstrings))
