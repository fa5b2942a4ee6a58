"""The settings of every process, read once from the environment (`MILLRACE_…`) and passed down.

A process that needs more subclasses `Settings` in its own room. A mistake names the variable, the value and the remedy.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from deploy.edge.process import variables
from schemas.errors import URL_CREDENTIALS, BadInput, SettingsError, WorkloadError
from schemas.workload import Workload

_QUERY: Final = re.compile(r"(://\S*)\?\S*")  # may hold a token
_SERVER: Final = re.compile(r"(\[[\w:.%]+\]|[^\s:\[\]]+)(:\d{1,5})?")


class Settings(BaseSettings):
    """The settings that all processes share."""

    model_config = SettingsConfigDict(env_prefix=variables.PREFIX, frozen=True, extra="ignore")

    bootstrap_servers: str = Field(default="127.0.0.1:19092", description="The Kafka cluster.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How Kafka is spoken to."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How to log in to Kafka, with SASL."
    )
    sasl_username: str | None = Field(default=None, description="Kafka's user, with SASL.")
    sasl_password: SecretStr | None = Field(default=None, description="Kafka's password, with SASL.")
    ssl_ca_file: Path | None = Field(
        default=None, description="Certificates that Kafka's is checked by; without it, the system's."
    )
    topic_prefix: str = Field(default="", description="What every name of a topic begins with.")
    registry_url: str | None = Field(
        default=None, description="A Confluent-compatible schema registry; without it, values are single objects."
    )
    workloads_dir: Path = Field(default=Path("workloads"), description="Folder of the workload files.")
    state_dir: Path = Field(default=Path("var/state"), description="Folder of what a process may lose and rebuild.")
    artefacts_dir: Path = Field(
        default=Path("var/artefacts"), description="Folder of snapshots and adapters, shared by all processes."
    )
    snapshots_url: str | None = Field(
        default=None, description="An object store's folder for snapshots; without it, they are below the artefacts."
    )
    allowed_hosts: list[str] = Field(
        default=["127.0.0.1", "localhost", "::1"], description="Hosts that outgoing HTTP may reach."
    )
    host: str = Field(default="127.0.0.1", description="Address that the process listens on.")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="Port of probes and metrics; 0: none are served.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="What is logged.")
    log_format: Literal["text", "json"] = Field(default="text", description="How a line of the log is written.")

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read a command's settings; values given here (from its options) win over the environment.

        Raises:
            SettingsError: a value is not allowed, or a `MILLRACE_…` variable of the environment is a misspelt setting.
        """
        settings = cls.load_to_stay(**values)
        for unknown in settings.unknown_variables():
            if unknown.near:
                raise unknown
            print(f"warning: {unknown}", file=sys.stderr)
        return settings

    @classmethod
    def load_to_stay(cls, **values: Any) -> Self:
        """Read the settings of a process that stays: a variable that no process reads is a warning by `logs.start`.

        Raises:
            SettingsError: a value is not allowed.
        """
        try:
            settings = cls(**{name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            mistake = error.errors(include_url=False)[0]
            raise _mistake(cls, str(mistake["loc"][0]), mistake["input"], mistake["msg"]) from error
        settings._check_kafka()
        return settings

    def _check_kafka(self) -> None:
        """Refuse what no Kafka client can start with; each would say so in a stack trace of its own."""
        for field in ("sasl_username", "sasl_password") if self.security_protocol.startswith("SASL") else ():
            if not getattr(self, field):
                raise SettingsError(variables.variable(field), "", f"is needed with {self.security_protocol}; set it")
        if self.ssl_ca_file is not None and not self.ssl_ca_file.is_file():
            raise SettingsError(variables.variable("ssl_ca_file"), str(self.ssl_ca_file), "is no file; give one")
        if not all(_SERVER.fullmatch(server.strip()) for server in self.bootstrap_servers.split(",")):
            remedy = "give host:port, several with commas between them"
            raise SettingsError(variables.variable("bootstrap_servers"), self.bootstrap_servers, remedy)

    @classmethod
    def own_fields(cls) -> list[str]:
        """Return the settings that the class itself brings, or gives another default."""
        return [name for name in cls.model_fields if name in cls.__annotations__]

    def unknown_variables(self) -> list[variables.UnknownVariable]:
        """Return the `MILLRACE_…` variables of the environment that no process reads."""
        return variables.unknown(os.environ, self.workloads_dir)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the values given, then the environment."""
        return init_settings, _Environment(settings_cls)

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
        if name is None:
            raise BadInput("WORKLOAD", None, f"there are several; name one of {', '.join(sorted(found))}")
        if name not in found:
            raise BadInput("WORKLOAD", name, f"choose one of {', '.join(sorted(found))}")
        return found[name]


class _Environment(EnvSettingsSource):
    """The environment, without what Kubernetes puts into it for a Service that is called like a setting of ours."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return a setting's text, or None where there is none."""
        value, key, is_complex = super().get_field_value(field, field_name)
        if isinstance(value, str) and variables.is_service_address(variables.variable(field_name), value):
            value = None
        return value, key, is_complex

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:
        """Return a setting's value, read from JSON where it is a list.

        Raises:
            SettingsError: it is no JSON.
        """
        try:
            return super().prepare_field_value(field_name, field, value, value_is_complex)
        except ValueError as error:
            raise _mistake(self.settings_cls, field_name, value, str(error)) from error


def _mistake(cls: type[BaseSettings], field: str, value: object, otherwise: str) -> SettingsError:
    """Return the error of a value that cannot be used; `otherwise` is the remedy where there is no such setting."""
    known = cls.model_json_schema()["properties"].get(field)
    remedy = f"give {variables.kind(known)}" if known else otherwise
    return SettingsError(variables.variable(field), shown(value) if isinstance(value, str) else value, remedy)


def shown(value: object) -> str:
    """Return a setting's value as a variable spells it and as it may be shown: a URL may hold a password."""
    words = json.dumps(value) if isinstance(value, list | bool) else str(value)
    return _QUERY.sub(r"\1?…", URL_CREDENTIALS.sub("//…@", "none" if value is None else words))
