"""The student servers as the router sees them: load by name, prove, ask; load again what a restarted server forgot.

A student gets traffic only from servers where it is *ready*: its files hash to what the controller named, the server
lists it with that folder, and it answers its recorded probes with the recorded probabilities. Speaks vLLM's routes.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from deploy.edge.process import guarded_http
from deploy.edge.stores.artefacts import Probe, read_artefact
from schemas.errors import ContractError, MillraceError
from schemas.events import ServedModel

CHECK_SECONDS: Final = 1.0
LOAD_SECONDS: Final = 60.0
_PROBES_ASKED: Final = 4

log = logging.getLogger("millrace.router.students")


class StudentFailed(MillraceError):
    """A student did not answer; `reason` is one of a fixed set."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}")


@dataclass(frozen=True)
class Judgement:
    """A student's answer."""

    label: str
    confidence: float
    probabilities: dict[str, float]


class StudentServers:
    """Client of the student servers."""

    def __init__(
        self, session: aiohttp.ClientSession, urls: Iterable[str], artefacts: Path, parity_tolerance: float
    ) -> None:
        self._session, self._urls = session, list(urls)
        self._root, self._tolerance = (artefacts / "adapters").resolve(), parity_tolerance
        self._turn = itertools.cycle(range(len(self._urls)))
        self._wanted: dict[str, ServedModel] = {}
        self._proven: dict[str, list[Probe]] = {}  # version -> probes, once its files were checked
        self._ready: set[tuple[str, str]] = set()  # (url, version)
        self._wake = asyncio.Event()

    def want(self, models: Iterable[ServedModel]) -> None:
        """Say which students shall be loaded; the others are left to the servers."""
        wanted = {model.version: model for model in models}
        if wanted != self._wanted:
            self._wanted = wanted
            self._wake.set()

    def ready(self, model: ServedModel | None) -> bool:
        """Return whether a server has the student, proven. The teacher (None) counts as ready."""
        return model is None or any((url, model.version) in self._ready for url in self._urls)

    async def keep_loaded(self) -> None:
        """Load, prove and re-load what is wanted, for ever."""
        while True:
            self._wake.clear()
            await asyncio.gather(*(self._check(url) for url in self._urls))
            try:
                await asyncio.wait_for(self._wake.wait(), CHECK_SECONDS)
            except TimeoutError:
                continue

    async def classify(self, model: ServedModel, text: str, timeout_seconds: float) -> Judgement:
        """Ask a student about a text.

        Raises:
            StudentFailed: it is nowhere ready, did not answer in time, or answered nonsense.
        """
        url = self._pick(model)
        try:
            rows = await self._classify(url, model.version, [text], timeout_seconds)
            return _judgement(model, rows[0])
        except StudentFailed as failure:
            if failure.reason in ("unreachable", "forgotten"):
                self._ready.discard((url, model.version))
                self._wake.set()
            raise

    def _pick(self, model: ServedModel) -> str:
        for _ in self._urls:
            url = self._urls[next(self._turn)]
            if (url, model.version) in self._ready:
                return url
        raise StudentFailed("not_loaded")

    async def _check(self, url: str) -> None:
        try:
            listed = await self._listed(url)
        except StudentFailed:
            self._ready = {(at, version) for at, version in self._ready if at != url}
            return
        for model in list(self._wanted.values()):
            if (url, model.version) in self._ready and listed.get(model.version) == _folder(model):
                continue
            self._ready.discard((url, model.version))
            try:
                await self._load(url, model, listed)
                self._ready.add((url, model.version))
                log.info("%s serves %s, proven by its probes", url, model.version)
            except (StudentFailed, ContractError) as error:
                log.warning("%s does not serve %s: %s", url, model.version, error)

    async def _load(self, url: str, model: ServedModel, listed: dict[str, str]) -> None:
        """Bring a student into service: (1) check its files, (2) load, (3) see it listed, (4) ask its probes."""
        if model.version not in self._proven:
            self._proven[model.version] = await asyncio.to_thread(verified, model, self._root)
        folder = _folder(model)
        if model.version not in listed:
            await self._post(url, "/v1/load_lora_adapter", {"lora_name": model.version, "lora_path": folder})
            listed = await self._listed(url)
        if listed.get(model.version) != folder:
            raise StudentFailed("not_listed", f"listed from {listed.get(model.version)}")
        probes = self._proven[model.version][:_PROBES_ASKED]
        rows = await self._classify(url, model.version, [probe.text for probe in probes], LOAD_SECONDS)
        for probe, row in zip(probes, rows, strict=True):
            _judgement(model, row)
            worst = max(abs(a - b) for a, b in zip(probe.probabilities, row["probs"], strict=True))
            if worst > self._tolerance:
                raise StudentFailed("parity", f"a probe's probability differs by {worst:.2g}")

    async def _listed(self, url: str) -> dict[str, str]:
        body = await self._call("GET", f"{url}/v1/models", None, CHECK_SECONDS * 5)
        return {str(item.get("id")): str(item.get("root")) for item in orjson.loads(body).get("data", [])}

    async def _post(self, url: str, path: str, body: dict[str, Any]) -> bytes:
        return await self._call("POST", url + path, body, LOAD_SECONDS)

    async def _classify(self, url: str, version: str, texts: list[str], timeout: float) -> list[dict[str, Any]]:  # noqa: ASYNC109 - passed on to the client
        body = await self._call("POST", f"{url}/classify", {"model": version, "input": texts}, timeout)
        try:
            rows = orjson.loads(body)["data"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StudentFailed("invalid", "no data in the answer") from error
        if len(rows) != len(texts):
            raise StudentFailed("invalid", f"{len(rows)} answers to {len(texts)} texts")
        return list(rows)

    async def _call(self, method: str, url: str, body: dict[str, Any] | None, timeout: float) -> bytes:  # noqa: ASYNC109 - passed on to the client
        data = None if body is None else orjson.dumps(body)
        limit = aiohttp.ClientTimeout(total=timeout)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                content = await response.read()
        except TimeoutError as error:
            raise StudentFailed("timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            raise StudentFailed("unreachable", guarded_http.cause(error)) from error
        if response.status == 404:
            raise StudentFailed("forgotten", url)
        if response.status >= 400:
            # What a server says of texts may quote them.
            said = "" if body and "input" in body else content[:200].decode(errors="replace")
            raise StudentFailed("error", f"{response.status} {said}".rstrip())
        return content


def _folder(model: ServedModel) -> str:
    return str(Path(model.uri).resolve())


def verified(model: ServedModel, root: Path) -> list[Probe]:
    """Check a student's folder against the digest the controller named, and return its probes.

    Raises:
        ContractError: it lies outside the root, a file is missing or differs, or it is another student.
    """
    found = read_artefact(_folder(model), root, name=model.version, manifest_sha256=model.manifest_sha256)
    if found.manifest.labels != model.labels:
        raise ContractError(f"the manifest of {model.version} names other labels")
    return found.probes


def _judgement(model: ServedModel, row: dict[str, Any]) -> Judgement:
    """Read one row; labels come from the model's own manifest, since a server may name those of its base."""
    shares = row.get("probs")
    if not isinstance(shares, list) or len(shares) != len(model.labels):
        raise StudentFailed("invalid", "the number of probabilities differs from the number of labels")
    if not all(isinstance(share, int | float) and 0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 0.02:
        raise StudentFailed("invalid", "no probabilities")
    best = max(range(len(shares)), key=shares.__getitem__)
    return Judgement(model.labels[best], float(shares[best]), dict(zip(model.labels, map(float, shares), strict=True)))
