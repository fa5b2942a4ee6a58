"""The numbered orders of docs/exactly-once.md are those of the code's docstrings."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/exactly-once.md").read_text()
STEP = re.compile(r"^ *([1-9])\.? (.+?)(?=^ *[1-9]\.? |^\n|\Z)", re.DOTALL | re.MULTILINE)


def steps(text: str) -> list[tuple[str, str]]:
    """Return the numbered steps of a text, each on one line."""
    return [(number, " ".join(said.split())) for number, said in STEP.findall(text)]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("source", "streams/core/source.py"),
        ("rebuild", "streams/core/rebuild.py"),
        ("window", "streams/window/stage.py"),
    ],
)
def test_order__on_the_page__is_that_of_the_docstring(name: str, module: str) -> None:
    """Who reads the page and who reads the code read the same order."""
    section = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", PAGE, re.DOTALL)
    said = ast.get_docstring(ast.parse((ROOT / module).read_text())) or ""

    assert section is not None
    assert len(steps(section[1])) >= 4
    assert steps(section[1]) == steps(said)
