"""The router's public routes: chat completions (plain, streamed), models, classify; the rest of /v1 is the teacher's.

Admin and probes are never here (admin.py).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.client_exceptions import ClientError

from deploy.serve.router import answer, metrics
from deploy.serve.router.assign import eligibility
from deploy.serve.router.exchange import Caller, ClientReply, Desk, Exchange, served_variant
from deploy.serve.router.teacher import TeacherUnreachable, kept_headers
from schemas.ids import digest
from schemas.rules.chat import FoundText, Ineligible, label_in, messages_for
from schemas.workload import Workload

SESSION: Final = "x-session-id"
CLIENT: Final = "x-millrace-client"
CLIENT_VERSION: Final = "x-millrace-client-version"
_CAPTURED_STREAM_BYTES: Final = 500_000
_STREAM: Final = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_MOST_INPUTS: Final = 256


class Public:
    """Handlers of the traffic port."""

    def __init__(self, workloads: Mapping[str, Workload], desk: Desk) -> None:
        self._workloads, self._desk = workloads, desk

    def application(self, body_bytes: int) -> web.Application:
        """Return the application of the traffic port."""
        app = web.Application(client_max_size=body_bytes, middlewares=[_errors])
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.chat),
                web.post("/v1/classify", self.classify),
                web.get("/v1/models", self.models),
                web.route("*", "/v1/{path:.*}", self.other),
            ]
        )
        return app

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat completion with a student or the teacher."""
        body = await _json(request)
        workload = self._workload(body)
        found = eligibility(workload, body)
        stream = bool(body.get("stream"))
        if isinstance(found, Ineligible):
            metrics.INELIGIBLE.labels(workload.name, found.reason).inc()
            return await self._ineligible(request, workload, body, stream=stream)
        exchange = self._open(request, workload, body, found)
        given = await self._desk.ask_students(exchange)
        if given is None and stream:
            return await self._streamed_teacher(request, exchange)
        if given is None:
            try:
                given = await self._desk.ask_teacher(exchange)
            except TeacherUnreachable:
                self._desk.settle(exchange, ClientReply(None, status=502))
                raise
        response = _plain_response(exchange, given) if not stream else await _streamed_student(request, exchange, given)
        self._desk.settle(exchange, given)
        return response

    async def classify(self, request: web.Request) -> web.Response:
        """Label one text or several: label, probabilities where a student answered, and the version that did."""
        body = await _json(request)
        workload = self._workload(body)
        texts = [body["input"]] if isinstance(body.get("input"), str) else body.get("input")
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            return _refused(400, "input must be a text or a list of texts")
        if len(texts) > _MOST_INPUTS:
            return _refused(400, f"input holds {len(texts)} texts; at most {_MOST_INPUTS} are taken")
        rows = await asyncio.gather(*(self._classify(request, workload, text, i) for i, text in enumerate(texts)))
        wrong = next((row["status"] for row in rows if row["status"] != 200), None)
        if wrong is not None:
            return _refused(502, f"the teacher answered with status {wrong}", "upstream_error", "teacher_failed")
        data = [{"index": i} | {k: v for k, v in row.items() if k != "status"} for i, row in enumerate(rows)]
        return web.json_response({"object": "list", "model": workload.name, "data": data}, dumps=_dumps)

    async def models(self, _: web.Request) -> web.Response:
        """List the workloads, each as a model, with what answers for it now."""
        data = []
        for name in self._workloads:
            view = self._desk.view(name)
            serving = [model.version for model in (view.champion, view.challenger) if model is not None]
            data.append({"id": name, "object": "model", "created": 0, "owned_by": "millrace", "serving": serving})
        return web.json_response({"object": "list", "data": data}, dumps=_dumps)

    async def other(self, request: web.Request) -> web.Response:
        """Pass anything else on to the teacher."""
        body = await request.read() if request.can_read_body else None
        workload = next(iter(self._workloads.values()))
        if body and request.content_type == "application/json":
            values = await _json(request)
            named = self._workloads.get(str(values.get("model")))
            if named is not None:
                workload, body = named, orjson.dumps(values | {"model": named.teacher.model})
        path = "/" + request.match_info["path"] + (f"?{request.query_string}" if request.query_string else "")
        kind = request.headers.get("Content-Type")
        raw = await self._desk.teachers[workload.name].other(request.method, path, body, kind)
        return web.Response(body=raw.body, status=raw.status, headers=raw.headers)

    def _workload(self, body: Mapping[str, Any]) -> Workload:
        name = body.get("model")
        if isinstance(name, str) and name in self._workloads:
            return self._workloads[name]
        known = ", ".join(self._workloads)
        message = f"model = {str(name)[:80]!r}: no such workload here; known: {known}"
        raise _Refusal(404, message, "model_not_found")

    def _open(
        self, request: web.Request, workload: Workload, body: Mapping[str, Any], found: FoundText, part: str = ""
    ) -> Exchange:
        given = request.headers.get(answer.REQUEST_ID, "")[:128] or uuid.uuid4().hex
        session = request.headers.get(SESSION)
        return self._desk.open(workload, body, found, given + part, session, _caller(request))

    async def _ineligible(
        self, request: web.Request, workload: Workload, body: Mapping[str, Any], *, stream: bool
    ) -> web.StreamResponse:
        teacher = self._desk.teachers[workload.name]
        headers = {answer.VARIANT: "teacher"}
        if stream:
            async with teacher.stream(body) as upstream:
                response, _ = await _pass_on(request, upstream, headers)
                status: int = response.status
        else:
            raw = await teacher.other(
                "POST", "/chat/completions", orjson.dumps(dict(body) | {"model": workload.teacher.model}), None
            )
            response, status = web.Response(body=raw.body, status=raw.status, headers=raw.headers | headers), raw.status
        metrics.REQUESTS.labels(workload.name, "none", "teacher", status).inc()
        return response

    async def _streamed_teacher(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        began = time.monotonic()
        try:
            async with self._desk.teachers[exchange.workload.name].stream(exchange.request) as upstream:
                self._desk.waited(exchange, "teacher", time.monotonic() - began)
                headers = _headers(exchange, ClientReply(None, version=exchange.workload.teacher.model))
                response, events = await _pass_on(request, upstream, headers)
        except TeacherUnreachable:
            self._desk.settle(exchange, ClientReply(None, status=502))
            raise
        whole = events.rstrip().endswith(b"[DONE]") and response.status == 200
        content, model = answer.streamed_answer(events) if whole else (None, None)
        exchange.waited = (
            time.monotonic() - exchange.started
        )  # a stream lasts as long as the teacher and the reader take
        label = label_in(exchange.workload, content) if content is not None else None
        version = model or exchange.workload.teacher.model
        self._desk.settle(exchange, ClientReply(None, response.status, label, content=content, version=version))
        return response

    async def _classify(self, request: web.Request, workload: Workload, text: str, index: int) -> dict[str, Any]:
        body = {"model": workload.name, "messages": messages_for(workload, text)}
        found = eligibility(workload, body)
        if isinstance(found, Ineligible):
            raise _Refusal(400, f"input {index} cannot be put into the workload's prompt ({found.reason})", None)
        exchange = self._open(request, workload, body, found, f"-{index}" if index else "")
        given = await self._desk.ask_students(exchange)
        if given is None:
            try:
                given = await self._desk.ask_teacher(exchange)
            except TeacherUnreachable:
                self._desk.settle(exchange, ClientReply(None, status=502))
                raise
        self._desk.settle(exchange, given)
        probabilities = given.judgement.probabilities if given.judgement else None
        variant = served_variant(exchange, given)
        return {
            "status": given.status, "label": given.label, "probabilities": probabilities, "model": given.version,
            "variant": variant, "request_id": exchange.request_id,
        }  # fmt: skip


def _caller(request: web.Request) -> Caller:
    key = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return Caller(
        client=request.headers.get(CLIENT, "")[:128],
        version=request.headers.get(CLIENT_VERSION, "")[:128] or None,
        api_key_hash=digest("api-key", key) if key else None,
    )


class _Refusal(Exception):
    """A request that is answered with an error in OpenAI's form."""

    def __init__(self, status: int, message: str, code: str | None) -> None:
        self.status, self.code = status, code
        super().__init__(message)


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except _Refusal as refusal:
        return _refused(refusal.status, str(refusal), code=refusal.code)
    except TeacherUnreachable:
        return _refused(502, "the teacher did not answer", "upstream_error", "teacher_unreachable")
    except web.HTTPRequestEntityTooLarge:
        return _refused(413, "the request body is too large")
    except web.HTTPNotFound:
        return _refused(404, "no such route; the API is under /v1")
    return response


def _refused(status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> web.Response:
    return web.json_response(answer.error(message, kind, code), status=status, dumps=_dumps)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise _Refusal(400, f"the body is no JSON: {error}", None) from error
    if not isinstance(body, dict):
        raise _Refusal(400, "the body must be a JSON object", None)
    return body


def _headers(exchange: Exchange, given: ClientReply) -> dict[str, str]:
    headers = {
        answer.VARIANT: served_variant(exchange, given),
        answer.VERSION: given.version,
        answer.REQUEST_ID: exchange.request_id,
    }
    if exchange.view.rollout_id and exchange.view.challenger:
        headers[answer.ROLLOUT] = exchange.view.rollout_id
    if exchange.fallback:
        headers[answer.FALLBACK] = exchange.fallback
    return headers


def _plain_response(exchange: Exchange, given: ClientReply) -> web.Response:
    headers = _headers(exchange, given)
    if given.raw is None:
        return web.Response(body=orjson.dumps(given.response), content_type="application/json", headers=headers)
    body = given.raw.body
    if given.raw.with_logprobs and given.response is not None:
        body = orjson.dumps(answer.without_logprobs(dict(given.response)))
    return web.Response(body=body, status=given.status, headers=given.raw.headers | headers)


async def _streamed_student(request: web.Request, exchange: Exchange, given: ClientReply) -> web.StreamResponse:
    usage = bool((exchange.request.get("stream_options") or {}).get("include_usage"))
    events = answer.stream(
        exchange.request_id, int(exchange.time.timestamp()), given.version, given.content or "", usage=usage
    )
    response = web.StreamResponse(headers=_STREAM | _headers(exchange, given))
    await response.prepare(request)
    await response.write(events)
    await response.write_eof()
    return response


async def _pass_on(request: web.Request, upstream: Any, headers: dict[str, str]) -> tuple[web.StreamResponse, bytes]:
    """Pass a stream on chunk by chunk, waiting for the reader; return it and what passed (bounded)."""
    response = web.StreamResponse(status=upstream.status, headers=kept_headers(upstream) | headers)
    await response.prepare(request)
    seen = bytearray()
    try:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
            if len(seen) < _CAPTURED_STREAM_BYTES:
                seen += chunk
    except (ClientError, TimeoutError) as error:
        if isinstance(error, ConnectionResetError):
            raise
        await response.write(answer.event(answer.error("the teacher broke off", "upstream_error", "stream_broken")))
    await response.write_eof()
    return response, bytes(seen)


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
