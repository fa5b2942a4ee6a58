"""Whether processes can do their work now: the broker by its metadata, everybody else by /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
from yarl import URL

from deploy.edge.process import guarded_http
from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import librdkafka

_ANSWER_SECONDS: Final = 3.0


def broker_answers(settings: Settings, brokers: str) -> str | None:
    """Return None when the broker answers a metadata request, else what is wrong."""
    config = librdkafka(settings) | {"bootstrap.servers": brokers}
    return None if command_clients.broker_answers(config, _ANSWER_SECONDS) else f"no answer from {brokers}"


def ask(urls: Mapping[str, str]) -> dict[str, str | None]:
    """Ask every URL, by name: None where it is ready, else what is wrong."""
    return asyncio.run(_ask_all(urls))


async def _ask_all(urls: Mapping[str, str]) -> dict[str, str | None]:
    hosts = {URL(url).host or "" for url in urls.values()}
    async with guarded_http.session(hosts, connections=len(urls) or 1, timeout_seconds=_ANSWER_SECONDS) as session:
        answers = await asyncio.gather(*(_ask_one(session, url) for url in urls.values()))
    return dict(zip(urls, answers, strict=True))


async def _ask_one(session: aiohttp.ClientSession, url: str) -> str | None:
    try:
        async with session.get(url) as response:
            said = (await response.text())[:200].strip()
            return None if response.status == 200 else said or f"answers {response.status}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return f"no answer ({type(error).__name__})"
