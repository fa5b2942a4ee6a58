"""Snapshots in an object store: a real folder behind file://, and fsspec's own store in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from deploy.edge.stores import object_store
from deploy.edge.stores.object_store import ObjectStore, fetched
from schemas.errors import ContractError, SettingsError, Unavailable

NAME = "news/0001-ab"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one = tmp_path / "finished"
    one.mkdir()
    (one / "rows.parquet").write_bytes(b"rows")
    (one / "manifest.json").write_bytes(b"{}")
    return one


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(object_store.PROTOCOLS, "memory", "fsspec")  # one process's own: no user can choose it
    (tmp_path / "share").mkdir()
    yield (tmp_path / "share").as_uri() if request.param == "file" else "memory://bucket/millrace"
    fsspec.filesystem("memory").store.clear()


def read(url: str, uri: str, beside: Path) -> dict[str, bytes]:
    with fetched(uri, url, beside) as folder:
        return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_put__read_back(url: str, folder: Path, tmp_path: Path) -> None:
    """What was put comes back byte by byte, and the copy is gone afterwards."""
    uri = ObjectStore(url + "/").put(folder, NAME)

    assert uri == f"{url}/{NAME}"
    assert read(url, uri, tmp_path) == {"rows.parquet": b"rows", "manifest.json": b"{}"}
    assert not list(tmp_path.glob(".snapshot-*"))


@pytest.mark.parametrize("call", ["put_file", "pipe_file"])
def test_put__breaks_off(url: str, call: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A put that breaks off, wherever, leaves no snapshot for anyone; the next one completes it."""
    store = ObjectStore(url)

    def broken(*_: Any) -> None:
        raise RuntimeError("the store's own kind of error")

    with monkeypatch.context() as patched:
        patched.setattr(store._files, call, broken)
        with pytest.raises(Unavailable, match="own kind"):
            store.put(folder, NAME)
    assert list(store.manifests(["news"])) == []
    with pytest.raises(ContractError, match=r"has no manifest\.json"):
        read(url, f"{url}/{NAME}", tmp_path)

    store.put(folder, NAME)
    assert list(store.manifests(["news", "others"])) == [("news", "0001-ab", b"{}")]


def test_put__again(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that is there is not written again; one whose rows were cut short is."""
    store = ObjectStore(url)
    store.put(folder, NAME)
    with monkeypatch.context() as patched:
        patched.setattr(store._files, "put_file", None)
        store.put(folder, NAME)

    store._files.pipe_file(f"{store._root}/{NAME}/rows.parquet", b"ro")
    store.put(folder, NAME)
    with store.rows("news", "0001-ab") as content:
        assert content.read() == b"rows"


def test_share__is_not_mounted(folder: Path, tmp_path: Path) -> None:
    """A folder that is not there is an outage: it is never made up on the local disk."""
    store = ObjectStore((tmp_path / "share").as_uri())

    with pytest.raises(Unavailable, match="is no folder"):
        store.put(folder, NAME)
    assert not (tmp_path / "share").exists()


@pytest.mark.parametrize(
    "url",
    [
        "/var/snapshots", "http://127.0.0.1/x", "memory://x", "file::http://127.0.0.1/x", "simplecache::s3://b/x",
        "s3://key:secret@bucket/x", "s3://bucket/x?token=1", "file:///a/../b", "", "ssh://host/x",
    ],
)  # fmt: skip
def test_url__of_another_kind(url: str) -> None:
    """Anything but a plain URL of an allowed kind is refused with the setting's name."""
    with pytest.raises(SettingsError, match="MILLRACE_SNAPSHOTS_URL"):
        ObjectStore(url)


def test_url__without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose package is missing is reported with what to install."""
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(SettingsError, match=r"pip install 'fsspec\[s3\]'"):
        ObjectStore("s3://bucket/millrace")


@pytest.mark.parametrize("uri", ["{}x/news/1", "{}/../other/1", "s3://other/news/1", "file::{}/news/1", "{}"])
def test_fetch__from_elsewhere(url: str, uri: str, tmp_path: Path) -> None:
    """A request can only name what lies below the configured URL, and without one only a path."""
    for allowed in (url, None):
        with pytest.raises(ContractError, match="does not lie below"), fetched(uri.format(url), allowed, tmp_path):
            pass


def test_fetch__of_a_path(tmp_path: Path) -> None:
    """A path is read where it is."""
    with fetched(str(tmp_path), None, tmp_path) as folder:
        assert folder == tmp_path


def test_fetch__store_back_after_a_while(
    url: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job waits for a store that does not answer, and then reads it whole."""
    uri, fetch, failures = ObjectStore(url).put(folder, NAME), ObjectStore.fetch, [0, 1, 2]

    def shaky(self: ObjectStore, uri: str, into: Path) -> None:
        if failures.pop():
            raise Unavailable("away")
        fetch(self, uri, into)

    monkeypatch.setattr(ObjectStore, "fetch", shaky)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    assert read(url, uri, tmp_path)["rows.parquet"] == b"rows"
