"""A client of a Confluent-compatible schema registry (Confluent, Karapace, Apicurio): schemas by id, ids by schema.

Blocking, and it keeps nothing: `framing.Framing` asks each question once. We host no registry, and without one
(`registry_url` unset) nothing here is used: records are then single objects.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

from yarl import URL

from deploy.edge.process import guarded_http
from schemas.codec import writer_schema
from schemas.errors import ContractError, Unavailable
from schemas.records import Record

_HEADERS: Final = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
_SECONDS: Final = 5.0


class Registry:
    """One registry, reached only where its host is allowed."""

    def __init__(self, url: str, allowed: Collection[str]) -> None:
        """Take a registry's address; a user and password in it are sent as basic authentication.

        Raises:
            SettingsError: the address can never be reached.
        """
        self._url, self._allowed = guarded_http.check_url("MILLRACE_REGISTRY_URL", url, allowed), allowed
        self._shown = str(URL(self._url).with_user(None)).rstrip("/")  # no password in any message

    def schema_of_id(self, schema_id: int) -> str | None:
        """Return the Avro record schema of an id as JSON text, or None where the registry has none under it (yet).

        Raises:
            Unavailable: the registry does not answer.
        """
        status, answer = self._ask("GET", f"/schemas/ids/{schema_id}")
        if status == 404:
            return None
        try:
            source = str(_expected(status, answer)["schema"])
        except (KeyError, ValueError) as error:
            raise Unavailable(f"the schema registry {self._shown} gives no schema for the id {schema_id}") from error
        try:
            return source if isinstance(json.loads(source), dict) else None
        except ValueError:  # Protobuf
            return None

    def register(self, topic: str, record: type[Record]) -> int:
        """Return the id under which a record's schema is registered for a topic; registers it where it is new.

        Raises:
            Unavailable: the registry does not answer.
            ContractError: the registry refuses the schema, for example as incompatible with its versions.
        """
        body = json.dumps({"schema": writer_schema(record).source, "schemaType": "AVRO"}).encode()
        path = f"/subjects/{topic}-value/versions"
        status, answer = self._ask("POST", path, body)
        if status in (409, 422):
            raise ContractError(f"the schema registry {self._shown} refuses {path}: {_excerpt(answer)}")
        try:
            return int(_expected(status, answer)["id"])
        except (KeyError, ValueError, TypeError) as error:
            raise Unavailable(f"the schema registry {self._shown} gives no id for {path}") from error

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        try:
            status, answer = guarded_http.ask(
                method, self._url + path, self._allowed, timeout_seconds=_SECONDS, headers=_HEADERS, body=body
            )
        except OSError as error:
            raise Unavailable(f"the schema registry {self._shown} does not answer: {error}") from error
        if status not in (200, 404, 409, 422):
            raise Unavailable(f"the schema registry {self._shown} answers {status} to {path}: {_excerpt(answer)}")
        return status, answer


def _expected(status: int, answer: bytes) -> dict[str, Any]:
    """Return the object of an answer that must be one.

    Raises:
        ValueError: it is none.
    """
    found = json.loads(answer)
    if status != 200 or not isinstance(found, dict):
        raise ValueError(f"status {status}")
    return found


def _excerpt(answer: bytes) -> str:
    return " ".join(answer[:300].decode(errors="replace").split())
