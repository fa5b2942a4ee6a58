"""The registry client, against a double with Confluent's routes over real HTTP."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.edge import guarded_http
from deploy.edge.registry import Registry
from schemas import codec
from schemas.errors import ContractError, RecordRejected, Unavailable
from schemas.records import Outcome, TrafficRecord

RECORD = TrafficRecord(workload="news", event_time=datetime(2026, 1, 1, tzinfo=UTC), text="Acme rises")


class Double:
    """A registry in memory, with the routes and status codes that Confluent documents."""

    def __init__(self) -> None:
        self.schemas: list[str] = []
        self.asked: list[str] = []
        self.refuses = self.fails = False

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/schemas/ids/{id}", self.by_id), web.post("/subjects/{s}/versions", self.register)])
        return app

    async def by_id(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.fails:
            return web.json_response({"error_code": 50001, "message": "error in the backend"}, status=500)
        number = int(request.match_info["id"])
        if not 1 <= number <= len(self.schemas):
            return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=404)
        return web.json_response({"schema": self.schemas[number - 1]})

    async def register(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.refuses:
            return web.json_response({"error_code": 409, "message": "incompatible"}, status=409)
        schema = (await request.json())["schema"]
        json.loads(schema)
        if schema not in self.schemas:
            self.schemas.append(schema)
        return web.json_response({"id": self.schemas.index(schema) + 1})


@pytest.fixture
async def double() -> AsyncIterator[tuple[Double, Registry]]:
    double = Double()
    async with (
        TestServer(double.app()) as server,
        guarded_http.session(["127.0.0.1"], connections=2, timeout_seconds=5) as session,
    ):
        yield double, Registry(str(server.make_url("")), session)


async def test_registry__round_trip(double):
    """A record written under the registry's id is read by asking for that id; each is asked for once."""
    server, registry = double
    for _ in range(2):
        data = codec.encode(RECORD, await registry.id_of("traffic", TrafficRecord))
        await registry.learn([data, b"{}", b"\xc3\x01", b"\x00"])
        assert codec.decode(TrafficRecord, data, registry.schema_of_id) == RECORD

    assert server.asked == ["/subjects/traffic-value/versions", "/schemas/ids/1"]


async def test_registry__unknown_id(double):
    """An id that the registry does not know yet is worth a retry, never a dead letter."""
    _, registry = double

    with pytest.raises(Unavailable, match="404"):
        await registry.learn([codec.encode(RECORD, 9)])
    with pytest.raises(Unavailable):
        registry.schema_of_id(9)


async def test_registry__fails_and_recovers(double):
    """A failure is not remembered: the next question is asked."""
    server, registry = double
    data = codec.encode(RECORD, await registry.id_of("traffic", TrafficRecord))
    server.fails = True
    with pytest.raises(Unavailable, match="500"):
        await registry.learn([data])
    server.fails = False

    await registry.learn([data])

    assert codec.decode(TrafficRecord, data, registry.schema_of_id) == RECORD


async def test_registry__refuses_a_schema(double):
    """An incompatible schema is a broken contract, which no retry mends."""
    server, registry = double
    server.refuses = True

    with pytest.raises(ContractError, match="incompatible"):
        await registry.id_of("traffic", TrafficRecord)


async def test_registry__another_records_schema(double):
    """A body whose registered schema is of another record is rejected."""
    _, registry = double
    data = codec.encode(RECORD, await registry.id_of("traffic", TrafficRecord))
    await registry.learn([data])

    with pytest.raises(RecordRejected):
        codec.decode(Outcome, data, registry.schema_of_id)


async def test_registry__not_there_or_not_allowed():
    """A registry that is down, or on a host that is not allowed, is unavailable."""
    async with guarded_http.session(["127.0.0.1"], connections=1, timeout_seconds=2) as session:
        for url in ("http://127.0.0.1:9", "http://registry.example"):
            with pytest.raises(Unavailable):
                await Registry(url, session).id_of("traffic", TrafficRecord)
    assert isinstance(session, aiohttp.ClientSession)
