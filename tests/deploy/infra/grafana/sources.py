"""The metrics that the rooms' source code defines, as Prometheus will name their series."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[4]
_SUFFIXES: Final = {
    "Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count"), "Summary": ("_sum", "_count"),
    "Info": ("_info",),
}  # fmt: skip


def defined() -> dict[str, frozenset[str]]:
    """Return series name -> its labels, for every metric of the code."""
    return {
        name.removesuffix("_total") + suffix: frozenset(labels)
        for kind, name, labels in _all()
        for suffix in _SUFFIXES[kind]
    }


def definitions() -> list[str]:
    """Return the name of every definition: one that is defined twice is there twice."""
    return [name for _, name, _ in _all()]


def _all() -> Iterator[tuple[str, str, list[str]]]:
    for room in ("streams", "trainers", "deploy"):
        for file in (ROOT / room).rglob("*.py"):
            yield from _metrics(ast.parse(file.read_text()))


def _metrics(tree: ast.AST) -> Iterator[tuple[str, str, list[str]]]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _SUFFIXES:
            strings = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
            lists = [argument for argument in call.args if isinstance(argument, ast.List | ast.Tuple)]
            if strings and isinstance(strings[0], str) and strings[0].startswith("millrace_"):
                yield call.func.id, strings[0], _texts(lists[0].elts if lists else ())


def _texts(nodes: Iterable[ast.expr]) -> list[str]:
    return [str(node.value) for node in nodes if isinstance(node, ast.Constant)]
