"""No test and no program chooses a free port and binds it later: on its way back somebody else may take it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "streams", "trainers", "deploy", "tests", "benchmarks")
BINDS = {"bind", "create_server"}

RETURNED = """
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
"""
RETURNED_BY_NAME = """
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
"""
USED_AFTERWARDS = """
def test_server():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    serve(port)
"""
CLOSED = """
def test_server():
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    serve(port)
"""
LOOKED_FOR = """
def free_port():
    for port in range(21_000, 22_000):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
"""
HELD = """
def test_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse):
            serve(port)
"""


@pytest.mark.parametrize("source", [RETURNED, RETURNED_BY_NAME, USED_AFTERWARDS, CLOSED, LOOKED_FOR])
def test_check__finds_a_port_that_is_let_go_before_it_is_bound(source: str) -> None:
    """Each of the forms that these tests once had is found."""
    assert let_go(ast.parse(source))


def test_check__leaves_a_port_that_is_held() -> None:
    """A port that stays bound while its number is used belongs to who holds it."""
    assert let_go(ast.parse(HELD)) == []


def test_ports__are_bound_by_who_chooses_them() -> None:
    """A number is asked of port 0 by who listens on it, or proposed and tried again (`deploy/infra/ports.py`)."""
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    found = [f"{file.relative_to(ROOT)}:{line}" for file in files for line in let_go(ast.parse(file.read_bytes()))]

    assert len(files) > 500
    assert found == []


def let_go(tree: ast.Module) -> list[int]:
    """Return the lines where a bound number outlives its socket."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted({line for function in functions for line in _after_the_block(function)})


def _after_the_block(function: ast.AST) -> Iterator[int]:
    if _calls(function, {"getsockname"}) and _calls(function, BINDS):
        yield from _calls(function, {"close"})
    for block in [node for node in ast.walk(function) if isinstance(node, ast.With) and _calls(node, BINDS)]:
        asked, end = _asked(block), block.end_lineno or block.lineno
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id in asked and node.lineno > end:
                yield node.lineno
        for node in ast.walk(block):
            if isinstance(node, ast.Return) and (
                _calls(node, {"getsockname"}) or _name(node.value) in asked | _given(block)
            ):
                yield node.lineno


def _asked(block: ast.With) -> set[str]:
    """Return the names of numbers that a socket was asked for."""
    kinds = ast.Assign | ast.AnnAssign
    found = [node for node in ast.walk(block) if isinstance(node, kinds) and _calls(node, {"getsockname"})]
    names = [name for node in found for name in ast.walk(node) if isinstance(name, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _given(block: ast.With) -> set[str]:
    """Return the names that stand in a call that binds."""
    calls = [node for node in ast.walk(block) if isinstance(node, ast.Call) and _name(node.func) in BINDS]
    return {node.id for call in calls for node in ast.walk(call) if isinstance(node, ast.Name)}


def _calls(tree: ast.AST, names: set[str]) -> list[int]:
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) in names]


def _name(node: ast.expr | None) -> str:
    """Return a name or the last part of a dotted one, and nothing of anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
