"""The HTTP edge of batches: files up and down, batches made, looked at and listed; by the teacher's own access.

A failure that may pass is `Away`, one that a smaller batch avoids `TooMuch`; any other names its field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from deploy.edge.process import guarded_http
from schemas.errors import SettingsError
from streams.label.teacher.batches import form
from streams.label.teacher.batches.form import BatchStatus
from streams.label.teacher.client import AGAIN
from streams.label.teacher.endpoint import TeacherAccess

TRANSFER_SECONDS: Final = 600.0  # of a file
_PAGE: Final = 100  # batches of one list
_NOT_FOUND: Final = (404, 405, 501)
_TOO_LARGE: Final = 413


class Away(Exception):
    """A signal: the endpoint does not answer now, or answers something else."""


class TooMuch(Exception):
    """A signal: the endpoint takes no batch of this size, or none beside those it has."""


class BatchEndpoint:
    """One teacher's routes for files and batches."""

    def __init__(self, access: TeacherAccess, timeout_seconds: float) -> None:
        """Take the way to it, and how long a question about a batch may take."""
        self._access = access
        self._timeout = timeout_seconds

    async def upload(self, data: bytes) -> str:
        """Return the id of a file of requests.

        Raises:
            Away: try again. TooMuch: the file is too large. SettingsError: no file can be uploaded.
        """
        form_data = aiohttp.FormData({"purpose": "batch"})
        form_data.add_field("file", data, filename="millrace.jsonl", content_type="application/jsonl")
        body = await self._json("POST", "/files", TRANSFER_SECONDS, data=form_data)
        if not isinstance(body.get("id"), str):
            raise Away("a file without an id")
        return str(body["id"])

    async def create(self, file: str, metadata: Mapping[str, str]) -> BatchStatus:
        """Make a batch of a file.

        Raises:
            Away: perhaps it was made. SettingsError: none can be made.
        """
        wanted = {"input_file_id": file, "endpoint": form.ROUTE, "completion_window": "24h", "metadata": dict(metadata)}
        return self._status(await self._json("POST", "/batches", self._timeout, json=wanted))

    async def batch(self, own: str) -> BatchStatus | None:
        """Return the status of a batch; None: it is no longer there.

        Raises:
            Away: try again. SettingsError: the key is no longer taken.
        """
        try:
            return self._status(await self._json("GET", f"/batches/{own}", self._timeout))
        except _NotFound:
            return None

    async def content(self, file: str) -> bytes:
        """Return a file's bytes; none where it is no longer there.

        Raises:
            Away: try again. SettingsError: the key is no longer taken.
        """
        try:
            return await self._ask("GET", f"/files/{file}/content", TRANSFER_SECONDS)
        except _NotFound:
            return b""

    async def batches(self, since: float) -> list[BatchStatus]:
        """Return the batches that were made since (seconds since 1970), the newest first.

        Raises:
            Away: try again. SettingsError: they cannot be listed.
        """
        found: list[BatchStatus] = []
        while True:
            after = {"after": found[-1].id} if found else {}
            body = await self._json("GET", "/batches", self._timeout, params={"limit": str(_PAGE)} | after)
            listed = body.get("data")
            if not isinstance(listed, list):
                raise Away("a list of batches that is none")
            page = [one for one in map(form.batch_status, listed) if one is not None]
            found += [one for one in page if one.created is None or one.created >= since]
            older = any(one.created is not None and one.created < since for one in page)
            if older or not page or not body.get("has_more"):
                return found

    @staticmethod
    def _status(body: Mapping[str, Any]) -> BatchStatus:
        one = form.batch_status(body)
        if one is None:
            raise Away("a batch without an id or status")
        return one

    async def _json(self, method: str, path: str, seconds: float, **sent: Any) -> dict[str, Any]:
        try:
            body = json.loads(await self._ask(method, path, seconds, **sent))
        except ValueError as error:
            raise Away(f"{method} {path}: no JSON") from error
        if not isinstance(body, dict):
            raise Away(f"{method} {path}: no JSON object")
        return body

    async def _ask(self, method: str, path: str, seconds: float, **sent: Any) -> bytes:
        timeout = aiohttp.ClientTimeout(total=seconds)
        url = self._access.url(path)
        try:
            async with self._access.session().request(
                method, url, timeout=timeout, allow_redirects=False, **sent
            ) as response:
                data = await response.read()
        except guarded_http.HostNotAllowed as error:
            raise self._access.not_allowed(error) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Away(guarded_http.cause(error)) from error
        if response.status in (200, 201):
            return data
        raise self._failure(method, path, response.status)

    def _failure(self, method: str, path: str, status: int) -> Exception:
        """Return what a status means; what is said beside it may quote a request."""
        if status in _NOT_FOUND:
            remedy = f"the endpoint has no {method} {path} ({status}); remove after_hours to ask call by call"
            return _NotFound(f"{self._access.field}.batch", None, remedy)
        if status in AGAIN:
            return Away(f"status {status}")
        if status == _TOO_LARGE:
            return TooMuch(f"status {status}")
        if status in (401, 403):
            return self._access.wrong_set_up(status)
        return SettingsError(f"{self._access.field}.batch", None, f"the endpoint says {status} to {method} {path}")


class _NotFound(SettingsError):
    """A route, a batch or a file that is not there."""
