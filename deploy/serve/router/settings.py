"""The settings of the router, besides the shared ones."""

from __future__ import annotations

from pydantic import Field, SecretStr

from deploy.edge.process.settings import Settings


class RouterSettings(Settings):
    """Settings of the router."""

    router_port: int = Field(default=8000, ge=1, le=65535, description="Where the router answers requests.")
    admin_host: str = Field(
        default="127.0.0.1", description="Address of admin and probes, which are never on the traffic port."
    )
    admin_port: int = Field(default=8010, ge=1, le=65535, description="The router's admin routes and probes.")
    admin_token: SecretStr | None = Field(
        default=None, description="Bearer token of every admin route; without it, none is asked for."
    )
    student_urls: list[str] = Field(default=["http://127.0.0.1:8002"], description="The student servers.")
    capture_queue: int = Field(
        default=20_000, gt=0, description="Records that wait for Kafka at most; more are dropped and counted."
    )
    side_calls: int = Field(
        default=64, gt=0, description="Reference and shadow calls in flight at most; more are dropped and counted."
    )
    body_bytes: int = Field(default=900_000, gt=0, description="Largest request body: it must fit a traffic record.")
    parity_tolerance: float = Field(
        default=1e-3, gt=0, description="Served against recorded probabilities of the probes; bfloat16 needs 5e-2."
    )
