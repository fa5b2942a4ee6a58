"""`python -m deploy.infra.grafana.board`: writes millrace.json, the board that Grafana is provisioned with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, StackingMode, VizOrientation
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef

from deploy.infra.grafana.panels import ROWS, Panel

FILE: Final = Path(__file__).with_name("millrace.json")
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${source}")
_HEIGHT: Final = 8
_SETTLED: Final = ("stat", "bars")  # panels that show the last value only


def board() -> dict[str, Any]:
    """Return the board as Grafana's JSON."""
    builder = (
        dashboard.Dashboard("Millrace")
        .uid("millrace")
        .description("From traffic to a student in production: flow, labels, window, runs, rollout, router.")
        .tags(["millrace"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("workload")
            .label("Workload")
            .datasource(SOURCE)
            .query("label_values(millrace_window_rows, workload)")
            .include_all(include_all=True)
            .all_value(".*")
            .multi(multi=True)
        )
    )
    for row in ROWS:
        builder = builder.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel))
    decoded: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    return decoded


def _panel(panel: Panel) -> Any:
    made = _drawing(panel).title(panel.title).description(panel.says).unit(panel.unit).datasource(SOURCE)
    made = made.span(panel.width).height(_HEIGHT)
    if panel.kind != "states":
        made = made.min(panel.least) if panel.least is not None else made
        made = made.max(panel.most) if panel.most is not None else made
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(chr(ord("A") + place))
        made = made.with_target(target.instant() if panel.kind in _SETTLED else target.range())
    return made


def _drawing(panel: Panel) -> Any:
    if panel.kind == "stat":
        return stat.Panel().color_mode(BigValueColorMode.NONE)
    if panel.kind == "bars":
        return bargauge.Panel().orientation(VizOrientation.HORIZONTAL)
    if panel.kind == "states":
        return statetimeline.Panel()
    lines = timeseries.Panel().line_width(2).fill_opacity(10)
    if panel.kind == "stacked":
        lines = lines.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(35)
    return lines


def queries(made: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (panel title, PromQL) of every query on a board, with its variables filled in as Grafana would."""
    for panel in made["panels"]:
        for target in panel.get("targets") or ():
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$workload", ".*")


def text(made: dict[str, Any]) -> str:
    """Return the board as it is checked in."""
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(board()), encoding="utf-8")
