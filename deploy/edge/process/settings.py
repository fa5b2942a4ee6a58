"""What every process is told at its start, read once from the environment (`MILLRACE_…`) and passed down.

A process that needs more subclasses `Settings` in its own room. A mistake names the variable, the value and the remedy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import BadInput, SettingsError, WorkloadError
from schemas.workload import Workload


class Settings(BaseSettings):
    """The settings that all processes share."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, extra="ignore")

    bootstrap_servers: str = "127.0.0.1:19092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    topic_prefix: str = ""
    registry_url: str | None = None  # a Confluent-compatible schema registry; None: single-object encoding
    workloads_dir: Path = Path("workloads")
    state_dir: Path = Path("var/state")
    artefacts_dir: Path = Path("var/artefacts")  # snapshots and adapters, shared by worker, jobs and student servers
    snapshots_url: str | None = None  # an object store's folder for snapshots, by fsspec; None: below artefacts_dir
    allowed_hosts: list[str] = ["127.0.0.1", "localhost", "::1"]  # hosts that outgoing HTTP may reach
    host: str = "127.0.0.1"  # where this process listens
    metrics_port: int = Field(default=0, ge=0, le=65535)  # 0: none is served
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the settings; values given here (from command options) win over the environment.

        Raises:
            SettingsError: a value is not allowed.
        """
        try:
            return cls(**{name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            mistake = error.errors(include_url=False)[0]
            name = "MILLRACE_" + "_".join(str(part) for part in mistake["loc"]).upper()
            raise SettingsError(name, mistake["input"], mistake["msg"]) from error

    def workloads(self) -> dict[str, Workload]:
        """Read every workload file of the folder, by name.

        Raises:
            WorkloadError: a file cannot be used, two have one name, or there is none.
        """
        found: dict[str, Workload] = {}
        for file in sorted(self.workloads_dir.glob("*.toml")):
            workload = Workload.parse(file.read_bytes(), str(file))
            if workload.name in found:
                raise WorkloadError(f"{file}: name", workload.name, "another file has this name; names must differ")
            found[workload.name] = workload
        if not found:
            raise WorkloadError(
                "workloads_dir", str(self.workloads_dir), "holds no workload; `millrace init NAME` writes one"
            )
        return found

    def chosen(self, name: str | None) -> dict[str, Workload]:
        """Return the workload of a name, by it; None: all there are.

        Raises:
            BadInput: there is none of the name. WorkloadError: as `workloads`.
        """
        return self.workloads() if name is None else {name: self.workload(name)}

    def workload(self, name: str | None) -> Workload:
        """Return the workload of a name; None: the only one there is.

        Raises:
            BadInput: there is none of the name, or several and no name. WorkloadError: as `workloads`.
        """
        found = self.workloads()
        if name is None and len(found) == 1:
            return next(iter(found.values()))
        if name is None or name not in found:
            raise BadInput("WORKLOAD", name, f"choose one of {', '.join(sorted(found))}")
        return found[name]
