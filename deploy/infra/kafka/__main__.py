"""`millrace kafka` and `millrace topics`: the embedded broker by hand or under a supervisor, and a cluster's topics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from deploy.edge.process.command import SERVERS, load_settings, one_line_errors, run

_HOME: Final = click.option(
    "--home", type=click.Path(path_type=Path), help="The broker's folder.  [default: STATE_DIR/kafka]"
)
_PREFIX: Final = click.option("--prefix", help="Topic name prefix.  [default: MILLRACE_TOPIC_PREFIX]")


@click.group()
def main() -> None:
    """Run the embedded Kafka broker, and make a cluster's topics."""


@main.group()
def kafka() -> None:
    """Start, stop or look at the embedded broker.

    One Apache Kafka node on the loopback address. Its data stay between starts.
    """


@kafka.command()
@_HOME
@click.option("--port", type=click.IntRange(1, 65534), help="The broker's port.  [default: the bootstrap server's]")
@click.option("--foreground", is_flag=True, help="Become the broker, for a supervisor.")
@one_line_errors
def start(home: Path | None, port: int | None, foreground: bool) -> None:
    """Start the broker and wait until it answers."""
    from deploy.edge.process import logs
    from deploy.infra.kafka.embedded import broker_of
    from deploy.infra.kafka.settings import KafkaSettings

    settings = KafkaSettings.load_to_stay()
    logs.start(settings, "kafka")
    broker = broker_of(settings, home, port)
    if foreground:
        broker.become()
    print(f"broker {broker.start().bootstrap_servers}, data in {broker.home}")


@kafka.command()
@_HOME
@one_line_errors
def stop(home: Path | None) -> None:
    """Stop the broker; its data stay."""
    from deploy.infra.kafka.embedded import broker_of
    from deploy.infra.kafka.settings import KafkaSettings

    broker = broker_of(KafkaSettings.load(), home, 1)
    print("stopped" if broker.stop() else f"no broker runs in {broker.home}")


@kafka.command()
@_HOME
@one_line_errors
def status(home: Path | None) -> None:
    """Say whether the broker runs and answers; exit code 1 if not."""
    from deploy.edge.topics.command_clients import broker_answers
    from deploy.infra.kafka.embedded import broker_of
    from deploy.infra.kafka.settings import KafkaSettings

    broker = broker_of(KafkaSettings.load(), home, 1)
    running = broker.running()
    if running is None:
        print(f"no broker runs in {broker.home}; `millrace up` keeps its own elsewhere: see `millrace status`")
        sys.exit(1)
    well = broker_answers({"bootstrap.servers": running.bootstrap_servers}, 5.0)
    print(f"broker {running.bootstrap_servers}, process {running.pid}: {'answers' if well else 'does not answer'}")
    sys.exit(not well)


@main.group()
def topics() -> None:
    """Create the topics and the groups' start offsets."""


@topics.command()
@SERVERS
@_PREFIX
@click.option("--replication", type=click.IntRange(1), default=1, show_default=True, help="Copies of a new topic.")
@one_line_errors
def apply(bootstrap_servers: str | None, prefix: str | None, replication: int) -> None:
    """Create what is missing, and refuse what differs.

    Topics that are there are never changed. Each group without offsets gets the start of its topics, so that the first
    worker misses no record. It can be run again at any time.
    """
    from deploy.infra.kafka import topics as catalogue

    settings = load_settings(bootstrap_servers, prefix)
    catalogue.show_applied(catalogue.apply(settings, replication))


@topics.command("list")
@SERVERS
@_PREFIX
@one_line_errors
def list_command(bootstrap_servers: str | None, prefix: str | None) -> None:
    """Show the catalogue and what of it is on the cluster."""
    from deploy.infra.kafka import topics as catalogue

    catalogue.show_list(load_settings(bootstrap_servers, prefix))


if __name__ == "__main__":
    run(main, "millrace")
