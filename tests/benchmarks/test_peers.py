"""The peers' lock: it holds what their programs need, at our versions."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.peers.environment import LOCK, ROOT

OURS = ROOT / "requirements.lock"
# Quix Streams pins these, or refuses newer ones.
ITS_OWN = {"confluent-kafka", "pydantic", "pydantic-core", "pydantic-settings"}
_IMPORTED = """
import ast, sys
from pathlib import Path
import benchmarks.peers.curation
for name, module in list(sys.modules.items()):
    if name.partition(".")[0] in ("benchmarks", "deploy", "schemas", "streams") and module.__file__:
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            for found in getattr(node, "names", []) if isinstance(node, ast.Import) else []:
                print(found.name)
            if isinstance(node, ast.ImportFrom):
                print(node.module)
"""


def _locked(file: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", file.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_lock__names_no_address() -> None:
    """Where packages come from is the machine's business."""
    assert "://" not in LOCK.read_text()


def test_lock__holds_all_that_our_rules_import_at_the_versions_of_the_main_lock() -> None:
    """Every contender runs the same code: a new import of a rule must reach the peers' environment too."""
    done = subprocess.run([sys.executable, "-c", _IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True)
    known = metadata.packages_distributions()
    named = {name for module in done.stdout.split() for name in known.get(module.partition(".")[0], [])}
    needed = {re.sub(r"[-_.]+", "-", name).lower() for name in named} & set(_locked(OURS))
    peers, ours = _locked(LOCK), _locked(OURS)

    assert "rensa" in needed
    assert needed - set(peers) == set()
    assert {name for name in needed - ITS_OWN if not peers[name] & ours[name]} == set()
