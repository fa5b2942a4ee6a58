"""One word, one meaning: a class's name is the name of no other class of the product."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "streams", "trainers", "deploy")


def classes() -> dict[str, list[str]]:
    """Return the places of each class by its name, a leading underscore aside."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    return found


def test_words__name_one_class_each():
    """A reader who knows a word of the glossary, or any class, knows the one thing it names."""
    assert {name: places for name, places in classes().items() if len(places) > 1} == {}


def test_glossary__has_each_word_once():
    """The glossary gives no word two meanings."""
    words = re.findall(r"^\| \*\*(.+?)\*\*( \([^)]*\))?", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)

    assert len(set(words)) == len(words)
