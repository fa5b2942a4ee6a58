"""The board and the alerts speak of metrics that exist, in PromQL that parses; the files are what the code makes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are no dependency of ours

from deploy.infra.grafana.board import FILE, board, queries, text
from tests.deploy.infra.grafana.sources import ROOT, defined, definitions

PROMETHEUS = ROOT / "deploy" / "infra" / "prometheus"
TESTS = ("alerts_test.yml", "alerts_days_test.yml")
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here; Debian's package `prometheus` has it"
)


def expressions() -> dict[str, str]:
    """Every PromQL of the board and of the alerts, by its place."""
    alerts = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())
    found = {f"alert {rule['alert']}": rule["expr"] for group in alerts["groups"] for rule in group["rules"]}
    return found | {f"panel {title} {place}": expr for place, (title, expr) in enumerate(queries(board()))}


def test_board__file_is_what_the_code_makes() -> None:
    """millrace.json is the board of panels.py: nobody edited one without the other."""
    assert FILE.read_text(encoding="utf-8") == text(board()), "run `python -m deploy.infra.grafana.board`"


def test_board__metrics_exist_with_their_labels() -> None:
    """Each metric in a query or an alert is defined in a room's code, and so is each label it is used with."""
    known = defined()
    added = {"instance", "job", "le"}  # by Prometheus, and by histograms
    for where, expression in expressions().items():
        names = set(re.findall(r"\bmillrace_\w+", expression))
        labels = set(re.findall(r"(\w+)\s*[=!]~?\s*\"", expression))
        labels |= {name for group in re.findall(r"by \(([^)]*)\)", expression) for name in re.split(r",\s*", group)}

        assert names <= known.keys(), f"{where}: {names - known.keys()} is defined nowhere"
        if names:
            here = frozenset().union(*(known[name] for name in names)) | added
            assert labels <= here, f"{where}: {labels - here} is no label of {sorted(names)}"


def test_code__metrics_follow_the_conventions() -> None:
    """Base units, and no ids or texts as labels."""
    for name, labels in defined().items():
        assert not re.search(r"_(ms|millis|minutes|mb|kb|percent)\b", name), name
        assert not labels & {"id", "record_id", "request_id", "event_id", "text", "email", "url", "path"}, name


def test_code__defines_each_metric_once() -> None:
    """No name is defined in two modules: where one process imports both, the second one ends it."""
    doubled = [name for name, number in Counter(definitions()).items() if number > 1]

    assert doubled == []


def test_board__every_panel_says_what_it_means() -> None:
    """Each panel has a description, a query and a place of its own."""
    panels = [panel for panel in board()["panels"] if panel["type"] != "row"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]

    assert all(panel["description"] and panel["targets"] for panel in panels)
    assert len(set(places)) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


@promtool
def test_promql__parses(tmp_path: Path) -> None:
    """Prometheus itself can read every query of the board."""
    rules = [{"record": f"millrace:query:{place}", "expr": expr} for place, expr in enumerate(expressions().values())]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", *TESTS)],
)
def test_prometheus_files__hold(arguments: tuple[str, ...]) -> None:
    """Prometheus accepts its configuration and rules, and each alert fires when it should and not before."""
    done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts__all_are_tested() -> None:
    """The test files fire every alert once."""
    alerts = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())
    names = {rule["alert"] for group in alerts["groups"] for rule in group["rules"]}
    tests = "".join((PROMETHEUS / name).read_text() for name in TESTS)
    fired = set(re.findall(r'labels: \'ALERTS\{alertname="(\w+)"', tests))

    assert names == fired
