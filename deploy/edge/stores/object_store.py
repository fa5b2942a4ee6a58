"""Snapshots in an object store, by fsspec: a folder each, its manifest put last, so that a reader sees all or nothing.

Keys and endpoints are the store's own business (its environment variables, fsspec's configuration files). A URL holds
none, for events name it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from schemas.errors import ContractError, MillraceError, SettingsError, Unavailable
from schemas.manifest import MANIFEST, ROWS

SETTING: Final = "MILLRACE_SNAPSHOTS_URL"
PROTOCOLS: Final = {"file": "fsspec", "s3": "fsspec[s3]", "gs": "fsspec[gcs]", "az": "fsspec[abfs]"}  # -> its package
PATIENCE_SECONDS: Final = 600  # a job waits for the store that long: it may have waited for its GPU longer
_URL: Final = re.compile(r"([a-z0-9]+)://[A-Za-z0-9._/+=~-]+")  # no `::` chains, no user, no query
_REMEDY: Final = "give a folder's URL such as s3://bucket/millrace (file, s3, gs or az; no key, no query, no `..`)"


class ObjectStore:
    """The folders <workload>/<snapshot id>/ below one URL."""

    def __init__(self, url: str) -> None:
        """Check the URL; nothing is asked of the store.

        Raises:
            SettingsError: it is of no allowed kind, or the package for it is not installed.
        """
        self.url = url.rstrip("/")
        found = _URL.fullmatch(url)
        if found is None or found[1] not in PROTOCOLS or ".." in url:
            raise SettingsError(SETTING, url, _REMEDY)
        self._is_local = found[1] == "file"
        try:
            from fsspec.core import url_to_fs

            self._files, root = url_to_fs(self.url, use_listings_cache=False, auto_mkdir=True)
        except ImportError as error:
            remedy = f"a package is missing here ({error}): pip install '{PROTOCOLS[found[1]]}'"
            raise SettingsError(SETTING, url, remedy) from error
        self._root = str(root).rstrip("/")

    def put(self, folder: Path, name: str) -> str:
        """Put a finished snapshot, and return its URL; one that is there already is left alone.

        Args:
            folder: holds `rows.parquet` and `manifest.json`.
            name: <workload>/<snapshot id>.

        Raises:
            Unavailable: the store does not take it.
        """
        place, manifest = f"{self._root}/{name}", (folder / MANIFEST).read_bytes()
        with self._asked():
            if not self._has(place, manifest, (folder / ROWS).stat().st_size):
                self._files.put_file(str(folder / ROWS), f"{place}/{ROWS}")
                self._files.pipe_file(f"{place}/{MANIFEST}", manifest)
        return f"{self.url}/{name}"

    def fetch(self, uri: str, folder: Path) -> None:
        """Write a snapshot's files into a folder; whoever reads them checks their digests.

        Raises:
            ContractError: there is no such snapshot. Unavailable: the store does not answer.
        """
        place = self._root + uri.removeprefix(self.url)
        with self._asked():
            for file in (MANIFEST, ROWS):
                try:
                    self._files.get_file(f"{place}/{file}", str(folder / file))
                except FileNotFoundError as error:
                    raise ContractError(f"{uri} has no {file}") from error

    def manifests(self, workloads: Collection[str]) -> Iterator[tuple[str, str, bytes]]:
        """Yield workload, snapshot id and manifest of the snapshots that are complete.

        Raises:
            Unavailable: the store does not answer.
        """
        with self._asked():
            for workload in self._names(""):  # a name out of a record is only ever compared
                for snapshot in self._names(f"/{workload}") if workload in workloads else []:
                    manifest = self._manifest(f"{self._root}/{workload}/{snapshot}")
                    if manifest is not None:
                        yield workload, snapshot, manifest

    @contextmanager
    def rows(self, workload: str, snapshot: str) -> Iterator[BinaryIO]:
        """Open a snapshot's `rows.parquet`.

        Raises:
            Unavailable: the store does not answer.
        """
        with self._asked(), self._files.open(f"{self._root}/{workload}/{snapshot}/{ROWS}", "rb") as content:
            yield cast("BinaryIO", content)

    def _names(self, below: str) -> list[str]:
        try:
            return sorted(
                str(path).rstrip("/").rsplit("/", 1)[-1] for path in self._files.ls(self._root + below, detail=False)
            )
        except FileNotFoundError:
            return []

    def _has(self, place: str, manifest: bytes, rows_bytes: int) -> bool:
        return self._manifest(place) == manifest and self._files.size(f"{place}/{ROWS}") == rows_bytes

    def _manifest(self, place: str) -> bytes | None:
        try:
            return bytes(self._files.cat_file(f"{place}/{MANIFEST}"))
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextmanager
    def _asked(self) -> Iterator[None]:
        if self._is_local and not Path(self._root).is_dir():  # a share that is not mounted is never made up
            raise Unavailable(f"the object store {self.url} does not answer: {self._root} is no folder")
        try:
            yield
        except MillraceError:
            raise
        except Exception as error:  # each store has error classes of its own, few of them OSError
            raise Unavailable(
                f"the object store {self.url} does not answer: {type(error).__name__}: {error}"
            ) from error


def _patiently() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(Unavailable), stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_random_exponential(multiplier=0.2, max=30), reraise=True,
    )  # fmt: skip


@contextmanager
def fetched(uri: str, allowed: str | None, beside: Path) -> Iterator[Path]:
    """Give a snapshot's folder: the one that a path names, or a copy of what a URL names, removed afterwards.

    Args:
        uri: a path, or the URL of a snapshot.
        allowed: the URL that it must lie below; None: only a path is allowed.
        beside: where the copy is made.

    Raises:
        ContractError: it lies elsewhere, or is not there. SettingsError: `allowed` cannot be used.
        Unavailable: the store did not answer for ten minutes.
    """
    if "://" not in uri:
        yield Path(uri)
        return
    store = ObjectStore(allowed) if allowed else None
    if store is None or _URL.fullmatch(uri) is None or ".." in uri or not uri.startswith(f"{store.url}/"):
        raise ContractError(f"the snapshot {uri} does not lie below {SETTING} ({allowed}): it is not read")
    folder = Path(tempfile.mkdtemp(prefix=".snapshot-", dir=beside))
    try:
        for attempt in _patiently():
            with attempt:
                store.fetch(uri, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
