"""vLLM's routes for adapters and classification, over our students.

Status codes are vLLM's: load 200 (plain text), name taken 400, no such path 404; unload of an unknown name 404; unknown
model 404. Where vLLM answers 500 to a bad adapter, this server answers 400 and says what is wrong with it.
Differences that are on purpose: `load_inplace: true` is refused (an adapter is never overwritten); a load may name the
`manifest_sha256` it expects; `label` comes from the adapter's own manifest; probabilities are those of the calibrated
student (logits / temperature); the base itself has no classes; bodies that are not declared as JSON are refused, so
that a web page cannot post to a server on loopback.
It has no authentication: it listens on loopback, behind the router.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.edge.process import probes
from deploy.edge.stores.artefacts import StudentArtefact, StudentNotThere, read_artefact
from deploy.serve.students.batching import Batcher
from schemas.errors import ContractError, Unavailable
from trainers.students import ladder
from trainers.students.protocol import Classified, FrozenBase, LoadedStudent

TEXTS_PER_REQUEST: Final = 256
CHARACTERS: Final = 100_000  # of one text; far above what any student reads
STUCK_SECONDS: Final = 60.0
PROBE_TOLERANCE: Final = 1e-3

T = TypeVar("T", bound=BaseModel)

_REQUESTS = Counter("millrace_student_requests", "Requests to the student server.", ["route", "status"])
_SECONDS = Histogram(
    "millrace_student_request_seconds",
    "Time from a /classify request to its answer.",
    buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12),
)
_LOADS = Counter("millrace_student_loads", "Adapters that were to be loaded, by what came of it.", ["outcome"])
_ADAPTERS = Gauge("millrace_student_adapters", "Adapters that are loaded.")


class Load(BaseModel):
    """Body of a load; fields this server does not know are ignored, as vLLM does."""

    model_config = ConfigDict(strict=True)

    lora_name: str = Field(min_length=1, max_length=200)
    lora_path: str = Field(min_length=1, max_length=4_096)
    load_inplace: bool = False
    manifest_sha256: str | None = None


class _Unload(BaseModel):
    """Body of an unload."""

    model_config = ConfigDict(strict=True)

    lora_name: str


class _Classify(BaseModel):
    """Body of a classification."""

    model_config = ConfigDict(strict=True)

    model: str
    input: str | list[str]


class RequestRefused(Exception):
    """A request that is answered with an error in vLLM's shape."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        self.status, self.kind, self.message = status, kind, message
        super().__init__(message)


@dataclass(frozen=True)
class ReadyStudent:
    """A student that has proven itself, and where it came from."""

    student: LoadedStudent
    labels: list[str]
    path: str
    created: int


class LoadedStudents:
    """The base, the students that are loaded by name, and the thread that runs them."""

    def __init__(self, base: FrozenBase, root: Path, *, batch: int, waiting: int, most: int) -> None:
        self.base, self._root, self._most = base, root, most
        self.batcher = Batcher(batch, waiting)
        self._loaded: dict[str, ReadyStudent] = {}
        self._loading: set[str] = set()

    async def load(self, wanted: Load) -> None:
        """Check an adapter, compare its probes with the trainer's, and only then serve it.

        Raises:
            Refused: the name is taken, there is no room, or the adapter is not what it must be.
        """
        name = wanted.lora_name
        if wanted.load_inplace:
            raise RequestRefused(400, "BadRequestError", "load_inplace is refused: an adapter is never overwritten.")
        if name in self._loaded or name in self._loading or name == self.base.name:
            raise RequestRefused(400, "InvalidUserInput", f"The lora adapter '{name}' has already been loaded.")
        if len(self._loaded) + len(self._loading) >= self._most:
            raise RequestRefused(400, "InvalidUserInput", f"{self._most} adapters are loaded; unload one first.")
        self._loading.add(name)
        try:
            self._loaded[name] = await self._checked(wanted)
        except StudentNotThere as error:
            raise RequestRefused(404, "NotFoundError", str(error)) from error
        except ContractError as error:
            raise RequestRefused(400, "BadRequestError", f"The lora adapter '{name}' is refused: {error}") from error
        finally:
            self._loading.discard(name)
        _ADAPTERS.set(len(self._loaded))

    async def _checked(self, wanted: Load) -> ReadyStudent:
        def read() -> tuple[StudentArtefact, LoadedStudent]:
            artefact = read_artefact(
                wanted.lora_path, self._root, name=wanted.lora_name, manifest_sha256=wanted.manifest_sha256
            )
            return artefact, ladder.load(artefact, self.base)

        artefact, student = await asyncio.to_thread(read)
        found = await self._run(student, [probe.text for probe in artefact.probes])
        trained = np.array([probe.probabilities for probe in artefact.probes])
        difference = float(np.abs(found.probabilities - trained).max())
        if not difference <= PROBE_TOLERANCE:  # also when it is not a number
            raise ContractError(f"the probes differ from the trainer's by {difference:.6f}, allowed {PROBE_TOLERANCE}")
        return ReadyStudent(student, artefact.manifest.labels, wanted.lora_path, int(time.time()))

    def unload(self, name: str) -> None:
        """Forget an adapter; requests that already wait for it are still answered.

        Raises:
            Refused: it is not loaded.
        """
        if self._loaded.pop(name, None) is None:
            raise RequestRefused(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        _ADAPTERS.set(len(self._loaded))

    async def classify(self, name: str, texts: list[str]) -> tuple[list[str], Classified]:
        """Return the labels of the student and the class probabilities of each text.

        Raises:
            Refused: no such model, or too much waits already.
        """
        if name == self.base.name:
            raise RequestRefused(400, "BadRequestError", "The base model has no classes; name an adapter.")
        if name not in self._loaded:
            raise RequestRefused(404, "NotFoundError", f"The model `{name}` does not exist.")
        ready = self._loaded[name]
        return ready.labels, await self._run(ready.student, texts)

    async def _run(self, student: LoadedStudent, texts: list[str]) -> Classified:
        try:
            return await asyncio.wrap_future(self.batcher.submit(student, texts))
        except Unavailable as error:
            raise RequestRefused(503, "ServiceUnavailableError", f"The student server is busy: {error}.") from error

    def models(self) -> list[dict[str, Any]]:
        """Return the base and the adapters as vLLM lists them: `root` is the path an adapter was loaded from."""
        base: dict[str, Any] = {"id": self.base.name, "root": str(self.base.folder), "parent": None, "created": 0}
        adapters: list[dict[str, Any]] = [
            {"id": name, "root": ready.path, "parent": self.base.name, "created": ready.created}
            for name, ready in self._loaded.items()
        ]
        return [{"object": "model", "owned_by": "millrace", **model} for model in (base, *adapters)]


def application(students: LoadedStudents) -> web.Application:
    """Return the server's routes."""

    async def load(request: web.Request) -> web.Response:
        try:
            body = await _body(request, Load)
            await students.load(body)
        except RequestRefused as error:
            _LOADS.labels("not_found" if error.status == 404 else "refused").inc()
            raise
        _LOADS.labels("loaded").inc()
        return web.Response(text=f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    async def unload(request: web.Request) -> web.Response:
        body = await _body(request, _Unload)
        students.unload(body.lora_name)
        return web.Response(text=f"Success: LoRA adapter '{body.lora_name}' removed successfully.")

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": students.models()})

    async def classify(request: web.Request) -> web.Response:
        body = await _body(request, _Classify)
        texts = [body.input] if isinstance(body.input, str) else body.input
        if not 1 <= len(texts) <= TEXTS_PER_REQUEST or any(len(text) > CHARACTERS for text in texts):
            raise RequestRefused(
                400, "BadRequestError", f"input must be 1 to {TEXTS_PER_REQUEST} texts of {CHARACTERS} characters"
            )
        with _SECONDS.time():
            labels, found = await students.classify(body.model, texts)
        return web.json_response(classification(body.model, labels, found))

    async def health(_: web.Request) -> web.Response:
        wrong = students.batcher.wrong(STUCK_SECONDS)
        return web.Response(status=200 if wrong is None else 503, text=wrong or "")

    # The largest classification: 256 texts of 100,000 characters would be 25 MB; 8 MB hold 256 texts of 8,000.
    app = web.Application(middlewares=[_errors_like_vllm], client_max_size=8 << 20)
    app.add_routes([
        web.post("/v1/load_lora_adapter", load),
        web.post("/v1/unload_lora_adapter", unload),
        web.get("/v1/models", models),
        web.post("/classify", classify),
        web.get("/health", health),
    ])  # fmt: skip
    probes.add_routes(app, lambda: students.batcher.wrong(STUCK_SECONDS), lambda: students.batcher.wrong(STUCK_SECONDS))
    return app


def classification(model: str, labels: list[str], found: Classified) -> dict[str, Any]:
    """Return the answer of /classify in vLLM's shape."""
    rows = [
        {"index": index, "label": labels[row.index(max(row))], "probs": row, "num_classes": len(row)}
        for index, row in enumerate(found.probabilities.tolist())
    ]
    tokens = sum(found.tokens)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0, "prompt_tokens_details": None}
    return {
        "id": f"classify-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": rows,
        "usage": usage,
    }


async def _body(request: web.Request, kind: type[T]) -> T:
    if request.content_type != "application/json":
        raise RequestRefused(415, "Unsupported Media Type", "the body must be declared as application/json")
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in mistake["loc"]) or "body"
        raise RequestRefused(400, "BadRequestError", f"{where}: {mistake['msg']}") from error


@web.middleware
async def _errors_like_vllm(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    status = 500
    try:
        response = await handler(request)
        status = response.status
    except RequestRefused as error:
        status = error.status
        body = {"error": {"message": error.message, "type": error.kind, "param": None, "code": status}}
        return web.json_response(body, status=status, headers={"Retry-After": "1"} if status == 503 else None)
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        resource = request.match_info.route.resource
        _REQUESTS.labels(resource.canonical if resource else "other", str(status)).inc()
    return response
