"""The settings of `millrace up`, besides the shared ones."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from deploy.edge.process.settings import Settings


class MachineSettings(Settings):
    """The ports of the processes on one machine; names are those of the environment (`MILLRACE_ROUTER_PORT`, ...)."""

    model_config = SettingsConfigDict(extra="forbid")  # a port by a wrong name would silently be the default one

    broker_port: int = Field(
        default=19092, ge=1, le=65535, description="The embedded broker's port; its controller takes the next one."
    )
    router_port: int = Field(default=8000, ge=1, le=65535, description="Where the router answers requests.")
    admin_port: int = Field(default=8010, ge=1, le=65535, description="The router's admin routes and probes.")
    teacher_port: int = Field(default=8001, ge=1, le=65535, description="Where the practice teacher answers.")
    student_port: int = Field(default=8002, ge=1, le=65535, description="Where the student server answers.")
    worker_port: int = Field(default=9101, ge=1, le=65535, description="The worker's probes and metrics.")
    dispatcher_port: int = Field(default=9102, ge=1, le=65535, description="The dispatcher's probes and metrics.")

    @property
    def own_broker(self) -> bool:
        """Whether the embedded broker is ours to start: it is, unless somebody named another one."""
        return "bootstrap_servers" not in self.model_fields_set

    def addresses(self) -> dict[str, str]:
        """Return the variables by which the processes find each other and their own ports."""
        return {
            "MILLRACE_BOOTSTRAP_SERVERS": self.brokers,
            "MILLRACE_ROUTER_PORT": str(self.router_port),
            "MILLRACE_ADMIN_PORT": str(self.admin_port),
            "MILLRACE_TEACHER_PORT": str(self.teacher_port),
            "MILLRACE_STUDENT_PORT": str(self.student_port),
            "MILLRACE_STUDENT_URLS": f'["http://127.0.0.1:{self.student_port}"]',
            "MILLRACE_ROUTER_ADMIN_URLS": f'["http://127.0.0.1:{self.admin_port}"]',
            "MILLRACE_METRICS_PORT": "0",  # whoever has no port of its own serves none
        }

    @property
    def brokers(self) -> str:
        """Where the processes find Kafka."""
        return f"127.0.0.1:{self.broker_port}" if self.own_broker else self.bootstrap_servers
