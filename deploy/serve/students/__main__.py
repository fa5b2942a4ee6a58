"""`millrace serve`: one base and many adapters by name, behind vLLM's routes, on one machine."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.edge.process.command import restartable, run


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", "student_port", type=int, help="Port to listen on.  [default: 8002]")
@click.option("--base", "base_model", help="Folder, installed package or Hugging Face id of the base model.")
@click.option(
    "--root",
    "artefacts_dir",
    type=click.Path(path_type=Path),
    help="Folder of adapters; none is loaded from elsewhere.",
)
@click.option("--threads", "student_threads", type=int, help="Cores to compute on.  [default: half of them]")
@click.option("--batch", "student_batch", type=int, help="Texts in a batch at most.  [default: 32]")
@click.option("--adapters", "student_adapters", type=int, help="Adapters loaded at a time at most.  [default: 16]")
@restartable
def main(**options: object) -> None:
    """Serve students: a base model and its adapters.

    The routes are vLLM's. A restart forgets the adapters; the router loads them again.
    """
    from deploy.serve.students.process import serve

    serve(**options)


if __name__ == "__main__":
    run(main, "millrace serve")
