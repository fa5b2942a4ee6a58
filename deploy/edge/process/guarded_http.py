"""Outgoing HTTP that can reach only allowed hosts: checked when a connection is made, so that a redirect or a changed
DNS answer cannot lead elsewhere. Redirects are not followed unless a caller asks for it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final

import aiohttp
from aiohttp import abc
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from schemas.errors import SettingsError

_ANSWER_BYTES: Final = 4_000_000


class HostNotAllowed(OSError):
    """A connection to a host outside the allow-list was refused before it was made."""


class _Connector(aiohttp.TCPConnector):
    """A connector that refuses hosts outside the allow-list, names and literal addresses alike."""

    def __init__(self, allowed: Collection[str], **options: Any) -> None:
        super().__init__(resolver=_Resolver(allowed), **options)
        self._allowed = frozenset(allowed)

    async def connect(self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:  # noqa: ASYNC109 - aiohttp's signature
        _check(req.url, self._allowed)
        return await super().connect(req, traces, timeout)


class _Resolver(abc.AbstractResolver):
    """Resolves allowed names only."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed, self._inner = frozenset(allowed), ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[abc.ResolveResult]:
        if host not in self._allowed:
            raise HostNotAllowed(f"{host} is not in allowed_hosts")
        return await self._inner.resolve(host, port, family)

    async def close(self) -> None:
        await self._inner.close()


def _check(url: URL, allowed: frozenset[str]) -> None:
    if url.scheme not in ("http", "https") or url.host not in allowed:
        raise HostNotAllowed(f"{url.origin()} is not in allowed_hosts")


def check_url(field: str, url: str, allowed: Collection[str]) -> str:
    """Return the URL without its trailing slash, or fail at start-up because it can never be reached.

    Raises:
        SettingsError: no http(s) URL, or its host is not allowed.
    """
    try:
        parsed = URL(url)
    except ValueError:  # a port that is no number, brackets that do not close
        parsed = URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SettingsError(field, url, "must be an http or https URL")
    if parsed.host not in allowed:
        raise SettingsError(
            field, url, f"its host is not allowed; add it to MILLRACE_ALLOWED_HOSTS ({', '.join(allowed)})"
        )
    return url.rstrip("/")


def cause(error: Exception) -> str:
    """Return why there is no answer, in words that quote none: of an HTTP client's own errors only the name."""
    words = str(error) if isinstance(error, OSError) else ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def session(
    allowed: Collection[str], *, connections: int, timeout_seconds: float, **options: Any
) -> aiohttp.ClientSession:
    """Return a client session that can reach only the allowed hosts."""
    return aiohttp.ClientSession(
        connector=_Connector(allowed, limit=connections, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        **options,
    )


def ask(
    method: str, url: str, allowed: Collection[str], *, timeout_seconds: float, headers: Mapping[str, str],
    body: bytes | None = None,
) -> tuple[int, bytes]:  # fmt: skip
    """Ask one question, blocking, and return the answer's status and content: for the rare one outside an event loop.

    Raises:
        OSError: no answer; `HostNotAllowed` before any connection.
    """
    parsed = URL(url)
    _check(parsed, frozenset(allowed))
    sent = dict(headers)
    if parsed.user:
        sent["Authorization"] = "Basic " + b64encode(f"{parsed.user}:{parsed.password or ''}".encode()).decode()
    make = HTTPSConnection if parsed.scheme == "https" else HTTPConnection
    connection = make(parsed.host or "", parsed.port, timeout=timeout_seconds)
    try:
        connection.request(method, parsed.raw_path_qs, body, sent)
        response = connection.getresponse()
        return response.status, response.read(_ANSWER_BYTES)
    except HTTPException as error:
        raise OSError(f"no HTTP answer: {type(error).__name__}") from error
    finally:
        connection.close()
