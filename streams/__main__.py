"""`millrace worker`: its options; the work is in `app`, which is to be read first."""

from __future__ import annotations

import click

from deploy.edge.process.command import SERVERS, restartable, run
from schemas.errors import Unavailable


@click.command()
@click.option("--stages", help="What this worker runs.  [default: curate,label,window,rollout]")
@SERVERS
@restartable
def main(stages: str | None, bootstrap_servers: str | None) -> None:
    """Run the stream: curate, label, window, rollout."""
    from aiokafka.errors import KafkaConnectionError

    from streams import app

    try:
        app.main(stages, bootstrap_servers=bootstrap_servers)
    except KafkaConnectionError as error:
        raise Unavailable(f"Kafka does not answer: {error}") from error


if __name__ == "__main__":
    run(main, "millrace worker")
