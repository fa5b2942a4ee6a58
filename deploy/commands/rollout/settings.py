"""The settings of `millrace rollout`, besides the shared ones."""

from __future__ import annotations

from pydantic import Field, SecretStr

from deploy.edge.process.settings import Settings


class RolloutSettings(Settings):
    """Settings of the rollout command."""

    admin_token: SecretStr | None = Field(
        default=None, description="Bearer token of every admin route; without it, none is asked for."
    )
    router_admin_urls: list[str] = Field(
        default=["http://127.0.0.1:8010"], description="Every router's admin address, for `millrace rollout abort`."
    )
