"""`millrace kafka start|stop|status`: the embedded broker by hand or under a supervisor."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.edge.process.command import told_in_one_line
from deploy.edge.process.settings import Settings
from deploy.infra.kafka.embedded import HOST, EmbeddedKafka, answers
from schemas.errors import SettingsError


class KafkaSettings(Settings):
    """Where the embedded broker's jars come from and are kept."""

    maven_url: str | None = None  # a mirror in Maven's layout
    jars_dir: Path | None = None  # None: the user's cache

    def broker(self, home: Path | None, port: int | None) -> EmbeddedKafka:
        """Return the broker that these settings and options name."""
        return EmbeddedKafka(
            home or self.state_dir / "kafka", port or self._port(), jars_dir=self.jars_dir, maven_url=self.maven_url
        )

    def _port(self) -> int:
        host, _, port = self.bootstrap_servers.rpartition(":")
        if host not in (HOST, "localhost") or not port.isdecimal():
            raise SettingsError(
                "MILLRACE_BOOTSTRAP_SERVERS", self.bootstrap_servers,
                f"the embedded broker listens on {HOST} alone; name {HOST}:PORT, or run the broker that you name",
            )  # fmt: skip
        return int(port)


HOME = click.option("--home", type=click.Path(path_type=Path), help="Its folder.  [default: STATE_DIR/kafka]")


@click.group()
def main() -> None:
    """Run the embedded Kafka broker: one node, loopback only, data kept between starts."""


@main.command()
@HOME
@click.option("--port", type=click.IntRange(1, 65534), help="Its port.  [default: the bootstrap server's]")
@click.option("--foreground", is_flag=True, help="Become the broker, for a supervisor.")
def start(home: Path | None, port: int | None, foreground: bool) -> None:
    """Start the broker and wait until it answers."""
    broker = KafkaSettings.load().broker(home, port)
    if foreground:
        broker.become()
    print(f"broker {broker.start().bootstrap_servers}, data in {broker.home}")


@main.command()
@HOME
def stop(home: Path | None) -> None:
    """Stop the broker; its data stays."""
    broker = KafkaSettings.load().broker(home, 1)
    print("stopped" if broker.stop() else f"no broker runs in {broker.home}")


@main.command()
@HOME
def status(home: Path | None) -> None:
    """Tell whether the broker runs and answers; exit code 1 if not."""
    broker = KafkaSettings.load().broker(home, 1)
    running = broker.running()
    if running is None:
        print(f"no broker runs in {broker.home}")
        sys.exit(1)
    well = answers(running.bootstrap_servers, 5.0)
    print(f"broker {running.bootstrap_servers}, process {running.pid}: {'answers' if well else 'does not answer'}")
    sys.exit(not well)


if __name__ == "__main__":
    told_in_one_line(main)(prog_name="millrace kafka")
