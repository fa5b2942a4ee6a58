"""What the board shows: rows of panels with their PromQL, in the order of the flow. Data only; board.py draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PanelKind = Literal["lines", "stacked", "stat", "bars", "states"]

RATE: Final = "$__rate_interval"
OF: Final = 'workload=~"$workload"'


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the name of its series."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture of the board."""

    title: str
    says: str  # what it means and when to worry: Grafana shows it behind the title
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: PanelKind = "lines"
    width: int = 8  # of 24
    least: float | None = 0
    most: float | None = None


@dataclass(frozen=True)
class PanelRow:
    """A titled row of panels."""

    title: str
    panels: tuple[Panel, ...]


def _rate(metric: str, by: str, selector: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{selector}}}[{RATE}]))"


def _quantile(quantile: float, metric: str, by: str, selector: str = "") -> str:
    return f"histogram_quantile({quantile}, sum by (le, {by}) (rate({metric}_bucket{{{selector}}}[{RATE}])))"


PIPELINE: Final = PanelRow("Pipeline", (
    Panel("Residual", "Records lost or doubled since the worker started. Anything but 0 is a fault.", (
        Query("sum by (stage) (millrace_stage_residual_records)", "{{stage}}"),
    ), kind="stat", width=4, least=None),
    Panel("Records settled", "Records each stage consumed and settled, per second.", (
        Query(_rate("millrace_stage_consumed_records_total", "stage"), "{{stage}}"),
    ), unit="cps", width=10),
    Panel("Outcomes", "Where the records of each stage went, by topic.", (
        Query(_rate("millrace_stage_records_total", "stage, outcome"), "{{stage}} → {{outcome}}"),
    ), unit="cps", kind="stacked", width=10),
    Panel("Lag", "Records that wait before each stage.", (
        Query("sum by (stage) (millrace_stage_lag_records)", "{{stage}}"),
    )),
    Panel("Lag age", "Age of the last settled record while others wait: how old is what we know?", (
        Query("max by (stage) (millrace_stage_lag_seconds)", "{{stage}}"),
    ), unit="s"),
    Panel("Dead letters", "Records that can never be processed, by reason. None is lost: see the dead-letters topic.", (
        Query("sum by (stage, reason) (millrace_stage_dead_letters_total)", "{{stage}}: {{reason}}"),
    ), kind="bars"),
    Panel("Batch time", "95th percentile of working on a batch and of its transaction.", (
        Query(_quantile(0.95, "millrace_stage_process_seconds", "stage"), "{{stage}} works"),
        Query(_quantile(0.95, "millrace_stage_settle_seconds", "stage"), "{{stage}} settles"),
    ), unit="s", width=12),
    Panel("Rebuild time", "Mean time to rebuild a partition's state from our own topics, on assignment.", (
        Query("sum by (stage) (millrace_stage_rebuild_seconds_sum)"
              " / sum by (stage) (millrace_stage_rebuild_seconds_count)", "{{stage}}"),
    ), unit="s", kind="bars", width=12),
))  # fmt: skip

TEACHER: Final = PanelRow("Teacher and labels", (
    Panel("Calls", "Calls to the teacher by what came of them; `again` was tried once more.", (
        Query(_rate("millrace_teacher_requests_total", "outcome", OF), "{{outcome}}"),
    ), unit="reqps", kind="stacked", width=6),
    Panel("Call time", "Median and 95th percentile of one call.", (
        Query(_quantile(0.5, "millrace_teacher_request_seconds", "workload", OF), "{{workload}} p50"),
        Query(_quantile(0.95, "millrace_teacher_request_seconds", "workload", OF), "{{workload}} p95"),
    ), unit="s", width=6),
    Panel("Tokens", "Tokens the teacher counted: this is the bill.", (
        Query(_rate("millrace_teacher_tokens_total", "kind", OF), "{{kind}} per second"),
    ), kind="stacked", width=6),
    Panel("Where labels come from", "Harvested labels cost nothing, asked ones cost a call.", (
        Query(f"sum by (provenance) (millrace_labels_total{{{OF}}})", "{{provenance}}"),
    ), kind="bars", width=6),
    Panel("Calls at a time", "How many open calls the teacher was found to take; it falls where the teacher refuses.", (
        Query(f"max by (workload) (millrace_teacher_concurrency{{{OF}}})", "{{workload}}"),
    )),
    Panel("Paused", "1 while nothing can be asked: budget spent, teacher away or overloaded. The worker's log says "
          "which.", (
        Query(f"max by (workload) (millrace_teacher_paused{{{OF}}})", "{{workload}}"),
    ), most=1),
    Panel("Batches", "Batches open at the teacher's endpoint and the requests in them. Hours are usual, 24 the most.", (
        Query(f"sum by (workload) (millrace_teacher_batches{{{OF}}})", "{{workload}} open"),
        Query(f"sum by (workload) (millrace_teacher_batch_requests{{{OF}}})", "{{workload}} requests"),
    )),
))  # fmt: skip

WINDOW: Final = PanelRow("Window, triggers and runs", (
    Panel("Training rows by class", "What a student would learn from. A class far below the others is learnt badly.", (
        Query(f'sum by (class_name) (millrace_window_rows{{{OF}, split=~"(?i)train"}})', "{{class_name}}"),
    ), kind="bars", width=12),
    Panel("Rows by split", "Training rows and the rows that are only ever evaluated on.", (
        Query(f"sum by (split) (millrace_window_rows{{{OF}}})", "{{split}}"),
    ), kind="bars", width=6),
    Panel("Way to the next retrain", "New labels since the last request, over the number that triggers one.", (
        Query(f"millrace_window_new_labels{{{OF}}} / millrace_window_new_labels_threshold{{{OF}}}", "{{workload}}"),
    ), unit="percentunit", width=6),
    Panel("Triggers", "What each trigger measures over what makes it fire. The ones that test also need their effect "
          "to reach its floor: `millrace triggers explain` says why.", (
        Query(f"millrace_trigger_statistic{{{OF}}} / millrace_trigger_threshold{{{OF}}}", "{{workload}}: {{trigger}}"),
    ), unit="percentunit", width=12),
    Panel("Standing fired", "Triggers that have fired, and retrains that are due but only suggested.", (
        Query(f"sum by (trigger) (millrace_trigger_fires{{{OF}}})", "{{trigger}}"),
        Query(f"sum(millrace_retrain_suggested{{{OF}}})", "suggested"),
    ), kind="stat", width=12),
    Panel("Retrain requests", "Threshold events by the trigger that fired.", (
        Query(f"sum by (workload, trigger) (millrace_trigger_total{{{OF}}})", "{{workload}}: {{trigger}}"),
    ), kind="stat", width=6),
    Panel("Runs", "Runs in flight, and those that ended, by how.", (
        Query("sum(millrace_training_runs_active)", "active"),
        Query("sum by (state) (millrace_training_runs_total)", "{{state}}"),
    ), kind="stat", width=6),
    Panel("Loss", "Loss of the last step of the run that trained last.", (
        Query(f"millrace_training_loss{{{OF}}}", "{{workload}}"),
    ), width=6, least=None),
    Panel("Run time", "Mean time from a job's start to its evidence.", (
        Query("sum(millrace_training_duration_seconds_sum) / sum(millrace_training_duration_seconds_count)", "mean"),
    ), unit="s", kind="stat", width=6),
))  # fmt: skip

MODELS: Final = PanelRow("Students", (
    Panel("Macro-F1 with 95 % interval", "On test rows: the student must be above the baseline.", (
        Query(f"millrace_student_macro_f1{{{OF}}}", "{{workload}} {{role}}"),
        Query(f"millrace_student_macro_f1_low{{{OF}}}", "{{workload}} {{role}} low"),
        Query(f"millrace_student_macro_f1_high{{{OF}}}", "{{workload}} {{role}} high"),
    ), unit="percentunit", width=16, most=1),
    Panel("Gate decisions", "What the gate decided. A rejection is the gate at work, not a fault.", (
        Query(f"sum by (workload, outcome) (millrace_gate_decisions_total{{{OF}}})", "{{workload}}: {{outcome}}"),
    ), kind="stat", width=8),
))  # fmt: skip

ROLLOUT: Final = PanelRow("Rollout", (
    Panel("State", "The state of each model line, over time.", (
        Query(f"max by (workload, state) (millrace_rollout_state{{{OF}}}) == 1", "{{workload}}: {{state}}"),
    ), kind="states", width=12),
    Panel("Weight", "Share of eligible requests for the challenger: as decided, and as each router acts.", (
        Query(f"max by (workload) (millrace_rollout_weight_ratio{{{OF}}})", "{{workload}} decided"),
        Query(f"max by (workload, instance) (millrace_router_weight_ratio{{{OF}}})", "{{workload}} at {{instance}}"),
    ), unit="percentunit", width=12, most=1),
    Panel("Guardrails", "Confidence sequence of each guardrail against its limit, in the rollout in flight.", (
        Query(f"max by (metric, side) (millrace_rollout_guardrail_bound{{{OF}}})", "{{metric}} {{side}}"),
        Query(f"max by (metric) (millrace_rollout_guardrail_limit{{{OF}}})", "{{metric}} limit"),
    ), unit="percentunit", width=16),
    Panel("Transitions", "How rollouts went from state to state.", (
        Query(f"sum by (previous, state) (millrace_rollout_transitions_total{{{OF}}})", "{{previous}} → {{state}}"),
    ), kind="bars", width=8),
))  # fmt: skip

ROUTER: Final = PanelRow("Router", (
    Panel("Requests", "Requests answered, by who answered them.", (
        Query(_rate("millrace_router_requests_total", "served", OF), "{{served}}"),
    ), unit="reqps", kind="stacked"),
    Panel("Latency by variant", "Median and 99th percentile of what each variant takes to answer.", (
        Query(_quantile(0.5, "millrace_router_upstream_seconds", "variant", OF), "{{variant}} p50"),
        Query(_quantile(0.99, "millrace_router_upstream_seconds", "variant", OF), "{{variant}} p99"),
    ), unit="s"),
    Panel("Overhead", "Time of a request without its wait for variants: what the router itself costs.", (
        Query(_quantile(0.5, "millrace_router_overhead_seconds", "workload", OF), "{{workload}} p50"),
        Query(_quantile(0.99, "millrace_router_overhead_seconds", "workload", OF), "{{workload}} p99"),
    ), unit="s"),
    Panel("Captured", "Records that Kafka acknowledged, and those that wait.", (
        Query(_rate("millrace_router_captured_total", "topic"), "{{topic}}"),
        Query("sum(millrace_router_capture_queue)", "waiting"),
    )),
    Panel("Student server", "Median and 99th percentile from a request to the student server to its answer.", (
        Query(_quantile(0.5, "millrace_student_request_seconds", "instance"), "{{instance}} p50"),
        Query(_quantile(0.99, "millrace_student_request_seconds", "instance"), "{{instance}} p99"),
    ), unit="s"),
    Panel("Adapters", "Adapters loaded, and texts that wait for a batch.", (
        Query("sum(millrace_student_adapters)", "adapters"),
        Query("sum(millrace_student_waiting_texts)", "texts waiting"),
    ), kind="stat"),
))  # fmt: skip

ROWS: Final = (PIPELINE, TEACHER, WINDOW, MODELS, ROLLOUT, ROUTER)
