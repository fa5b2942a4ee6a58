"""What `millrace rollout` is told at its start, besides the shared settings."""

from __future__ import annotations

from pydantic import Field, SecretStr

from deploy.edge.process.settings import Settings


class RolloutSettings(Settings):
    """Settings of the rollout command."""

    admin_token: SecretStr | None = None  # the routers' bearer token, where they ask for one
    router_admin_urls: list[str] = Field(
        default=["http://127.0.0.1:8010"]
    )  # every router's admin address, for `rollout abort`
