"""A client of a Confluent-compatible schema registry (Confluent, Karapace, Apicurio): schemas by id, ids by schema.

Both directions are asked once and kept: an id never changes its meaning. We host no registry, and without one
(`registry_url` unset) nothing here is used: records are then single objects.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

import aiohttp

from schemas.codec import CONFLUENT, writer_schema
from schemas.errors import ContractError, Unavailable
from schemas.records import Record

_JSON: Final = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


class Registry:
    """One registry, through a session that reaches only allowed hosts (`guarded_http.session`)."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url.rstrip("/"), session
        self._by_id: dict[int, Mapping[str, Any]] = {}
        self._ids: dict[tuple[str, type[Record]], int] = {}

    def schema_of_id(self, schema_id: int) -> Mapping[str, Any]:
        """Return a schema that `learn` has fetched: what `codec.decode` asks for.

        Raises:
            Unavailable: it was not fetched.
        """
        try:
            return self._by_id[schema_id]
        except KeyError:
            raise Unavailable(f"schema {schema_id} was not fetched from {self._url}") from None

    async def learn(self, values: Iterable[bytes]) -> None:
        """Fetch the schemas that a batch of Confluent-framed values names and that are not known yet.

        Raises:
            Unavailable: the registry does not answer, or does not know an id (its writer may be ahead of a replica).
        """
        named = {struct.unpack(">I", value[1:5])[0] for value in values if value[:1] == CONFLUENT and len(value) >= 5}
        for schema_id in sorted(named - self._by_id.keys()):
            answer = await self._ask("GET", f"/schemas/ids/{schema_id}")
            try:
                self._by_id[schema_id] = json.loads(answer["schema"])
            except (KeyError, ValueError, TypeError) as error:
                raise Unavailable(f"{self._url} has no Avro schema under id {schema_id}") from error

    async def id_of(self, topic: str, record: type[Record]) -> int:
        """Return the id under which a record's current schema stands for a topic, registering it where it is new.

        Raises:
            Unavailable: the registry does not answer.
            ContractError: the registry refuses the schema, for example as incompatible with its versions.
        """
        key = (topic, record)
        if key not in self._ids:
            body = {"schema": writer_schema(record).source, "schemaType": "AVRO"}
            answer = await self._ask("POST", f"/subjects/{topic}-value/versions", body)
            self._ids[key] = int(answer["id"])
        return self._ids[key]

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body)
        try:
            async with self._session.request(method, self._url + path, data=data, headers=_JSON) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"the schema registry {self._url} does not answer: {error}") from error
        if response.status in (409, 422):
            raise ContractError(f"the schema registry {self._url} refuses {path}: {text[:300]}")
        if response.status != 200:
            raise Unavailable(f"the schema registry {self._url} answers {response.status} to {path}: {text[:300]}")
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise Unavailable(f"the schema registry {self._url} does not answer in JSON to {path}") from error
        if not isinstance(answer, dict):
            raise Unavailable(f"the schema registry {self._url} does not answer with an object to {path}")
        return answer
