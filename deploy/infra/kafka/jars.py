"""Pinned jars: fetched once into a folder, each checked against its SHA-256 before every use.

A list has one `group:name:jar:version sha256` a line. Checking the broker's 46 takes 0.1 s, so it is never skipped.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, Final

from maven_artifact import Artifact, Downloader, RequestException
from maven_artifact.requestor import Requestor

from schemas.errors import ContractError, MillraceError, Unavailable

SPACE_BYTES: Final = 100_000_000  # for the broker's 43 MB of jars, twice
_TIMEOUT_SECONDS: Final = (5.0, 60.0)  # to connect, and between two pieces of an answer
_AT_ONCE: Final = 8


class NoSpace(MillraceError):
    """The disk has too little room for what is about to be written."""


@dataclass(frozen=True)
class Jar:
    """One jar and what it must hash to."""

    group: str
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Return the jar's file name."""
        return f"{self.name}-{self.version}.jar"


def parse(text: str) -> tuple[Jar, ...]:
    """Return the jars of a list; lines that start with # are comments."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    split = [(coordinate.split(":"), digest) for coordinate, digest in lines]
    return tuple(Jar(group, name, version, digest) for (group, name, _, version), digest in split)


def of_broker() -> tuple[Jar, ...]:
    """Return the jars of the embedded broker."""
    return parse(resources.files("deploy.infra.kafka").joinpath("jars.txt").read_text())


def ensure(jars: Sequence[Jar], folder: Path, maven_url: str | None = None) -> list[Path]:
    """Return the paths of the jars, fetching those that are missing and checking every one.

    Args:
        jars: what is wanted.
        folder: where they are kept, for all users of the list.
        maven_url: a repository in Maven's layout; None is the library's default.

    Raises:
        Unavailable: a missing jar cannot be fetched.
        ContractError: a jar, kept or just fetched, is not the pinned one.
        NoSpace: the disk is full.
    """
    missing = [jar for jar in jars if not (folder / jar.file).exists()]
    if missing:
        check_space(folder, SPACE_BYTES)
        with ThreadPoolExecutor(_AT_ONCE) as pool, contextlib.redirect_stdout(io.StringIO()):
            list(pool.map(lambda jar: _fetch(jar, folder, maven_url), missing))
    for jar in jars:
        _check(jar, folder / jar.file, f"delete {folder / jar.file} and start again: it is then fetched anew")
    return [folder / jar.file for jar in jars]


def check_space(folder: Path, needed_bytes: int) -> None:
    """Make the folder and see that its disk has room.

    Raises:
        NoSpace: it has not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise NoSpace(
            f"{folder}: {needed_bytes // 1_000_000} MB are needed, {free // 1_000_000} MB are free; "
            "make room, or use a folder on another disk"
        )


class _Requestor(Requestor):  # type: ignore[misc]
    """The library's requestor, which waits for ever, with a timeout."""

    def request(self, url: str, onFail: Any, onSuccess: Any = None, method: str = "get", **options: Any) -> Any:  # noqa: N803 - the library's names
        return super().request(url, onFail, onSuccess, method, timeout=_TIMEOUT_SECONDS, **options)


def _fetch(jar: Jar, folder: Path, maven_url: str | None) -> None:
    """Fetch to a name of our own, check, and only then give the jar its name: no reader sees half a jar."""
    part = folder / f".{jar.file}.{uuid.uuid4().hex}.part"
    downloader = Downloader(maven_url) if maven_url else Downloader()
    downloader.requestor = _Requestor()
    downloader.resolver.requestor = downloader.requestor
    try:
        downloader.download(Artifact(jar.group, jar.name, jar.version, extension="jar"), filename=str(part))
        _check(
            jar, part, "the repository, or a proxy on the way, sent something else: use another (MILLRACE_MAVEN_URL)"
        )
        os.replace(part, folder / jar.file)  # noqa: PTH105 - Path.replace is the same call
    except RequestException as error:
        raise Unavailable(
            f"{jar.file} cannot be fetched ({' '.join(str(error.msg).split())}); the broker's jars are needed once: "
            f"connect this machine, set MILLRACE_MAVEN_URL to a mirror, or copy {folder} from another machine"
        ) from error
    except OSError as error:
        raise NoSpace(f"{jar.file} cannot be written to {folder}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _check(jar: Jar, path: Path, remedy: str) -> None:
    found = sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise ContractError(f"{jar.file}: its SHA-256 must be {jar.sha256}, but is {found}; {remedy}")
