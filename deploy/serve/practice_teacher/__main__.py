"""`millrace teacher`: a practice teacher. It is a stand-in for a teacher LLM, and named so wherever it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from deploy.edge.process.command import restartable, run

_FILE: Final = click.Path(path_type=Path)


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", "teacher_port", type=int, help="Port to listen on.  [default: 8001]")
@click.option(
    "--workload-file", "files", multiple=True, type=_FILE, help="Can be repeated.  [default: all of workloads_dir]"
)
@click.option("--truth", "teacher_truth", type=_FILE, help="Planted truth, as `millrace simulate --truth` writes it.")
@click.option("--fitted", "teacher_fitted", type=_FILE, help="Labelled rows (CSV, JSONL, Parquet) to fit a model on.")
@click.option("--text", "teacher_text", help="Column of the fitted rows' text.  [default: text]")
@click.option("--label", "teacher_label", help="Column of the fitted rows' label.  [default: label]")
@click.option(
    "--service-seconds", "teacher_service_seconds", type=float, help="Seconds that a call takes.  [default: 0.08]"
)
@click.option("--slow", "teacher_slow", type=float, help="Factor on these seconds.  [default: 1]")
@click.option("--fail-share", "teacher_fail_share", type=float, help="Share of calls answered 500 or 429.")
@click.option("--nonsense-share", "teacher_nonsense_share", type=float, help="Share of calls answered with nonsense.")
@click.option("--seed", "teacher_seed", type=int, help="Another seed is another teacher.  [default: 7]")
@click.option(
    "--exact", "teacher_exact", is_flag=True, default=None, help="Say the planted truth itself, without errors."
)
@restartable
def main(files: tuple[Path, ...], **options: object) -> None:
    """Serve a practice teacher, a stand-in for a teacher LLM.

    It is OpenAI-compatible and no language model: it knows the planted truth of simulated traffic (--truth), or a model
    fitted to labelled rows (--fitted). It can be set to be slow, to fail, or to answer nonsense.
    """
    from deploy.serve.practice_teacher.process import serve

    serve(files, **options)


if __name__ == "__main__":
    run(main, "millrace teacher")
