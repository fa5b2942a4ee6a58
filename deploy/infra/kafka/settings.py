"""What `millrace kafka` reads at its start, besides the shared settings."""

from __future__ import annotations

from pathlib import Path

from deploy.edge.process.settings import Settings
from deploy.infra.kafka.embedded import HOST, EmbeddedKafka
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
