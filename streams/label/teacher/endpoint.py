"""How one workload's teacher is reached: its address, its key, its connections, and the remedies for a wrong set-up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import aiohttp

from deploy.edge.process import guarded_http
from schemas.errors import SettingsError
from schemas.workload import Workload

WRONG_SET_UP: Final = frozenset({401, 403, 404})  # no record is at fault


class TeacherAccess:
    """The way to one endpoint."""

    def __init__(self, workload: Workload, allowed_hosts: Sequence[str]) -> None:
        """Check what can be checked without a call.

        Raises:
            SettingsError: the URL is not allowed, or the key's environment variable is not set.
        """
        self._teacher = workload.teacher
        self.field = f"{workload.name}: teacher"
        self._url = guarded_http.check_url(f"{self.field}.url", workload.teacher.url, allowed_hosts)
        self._allowed = allowed_hosts
        self._headers = self._authorisation()
        self._session: aiohttp.ClientSession | None = None

    def url(self, path: str) -> str:
        """Return the address of one of the endpoint's routes."""
        return self._url + path

    def session(self) -> aiohttp.ClientSession:
        """Return the connections, which are opened when they are first wanted."""
        if self._session is None:
            self._session = guarded_http.session(
                self._allowed,
                connections=self._teacher.concurrency,
                timeout_seconds=self._teacher.timeout_seconds,
                headers=self._headers,
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def not_allowed(self, error: guarded_http.HostNotAllowed) -> SettingsError:
        """Return what is wrong where the address leads to a host that is not allowed."""
        return SettingsError(f"{self.field}.url", self._url, str(error))

    def wrong_set_up(self, status: int) -> SettingsError:
        """Return which field a 401, 403 or 404 is about, and the remedy."""
        field, value, remedy = self._remedy(status)
        return SettingsError(f"{self.field}.{field}", value, f"the endpoint says {status}: {remedy}")

    def _remedy(self, status: int) -> tuple[str, object, str]:
        if status == 404:
            url = self.url("/chat/completions")
            return "model", self._teacher.model, f"check the model's name and that {url} is the right address"
        variable = self._teacher.api_key_env
        if variable is None:
            return "api_key_env", None, "it wants a key; name the environment variable that holds it"
        return "api_key_env", variable, "the key in this environment variable is wrong or may not use the model"

    def _authorisation(self) -> dict[str, str]:
        variable = self._teacher.api_key_env
        if variable is None:
            return {}
        key = os.environ.get(variable)
        if not key:
            raise SettingsError(f"{self.field}.api_key_env", variable, "is not set; put the teacher's key in it")
        return {"Authorization": f"Bearer {key}"}
