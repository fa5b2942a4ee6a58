"""The settings of the router, besides the shared ones."""

from __future__ import annotations

from pydantic import Field, SecretStr

from deploy.edge.process.settings import Settings


class RouterSettings(Settings):
    """Settings of the router."""

    router_port: int = Field(default=8000, ge=1, le=65535)
    admin_host: str = "127.0.0.1"  # admin and probes, never on the traffic port
    admin_port: int = Field(default=8010, ge=1, le=65535)
    admin_token: SecretStr | None = None  # asked for as a bearer token on every admin route where set
    student_urls: list[str] = Field(default=["http://127.0.0.1:8002"])
    capture_queue: int = Field(
        default=20_000, gt=0
    )  # records that wait for Kafka at most; more are dropped and counted
    side_calls: int = Field(
        default=64, gt=0
    )  # reference and shadow calls in flight at most; more are dropped and counted
    body_bytes: int = Field(default=900_000, gt=0)  # largest request body: it must fit a traffic record
    parity_tolerance: float = Field(default=1e-3, gt=0)  # served against recorded probe probabilities; bfloat16: 5e-2
