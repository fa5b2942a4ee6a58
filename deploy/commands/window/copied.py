"""A copy of the window's rows: made by the worker that holds the file, or here where none does."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from deploy.edge.stores.window_copy import ASKED, COPY, GIVEN, STORE, UNFINISHED, folder
from schemas.errors import BadInput, SettingsError, Unavailable

WAIT_SECONDS: Final = 60.0  # the worker looks about once a second, but not while it processes a batch
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Copy:
    """The rows, as a table `rows` that can be queried."""

    connection: duckdb.DuckDBPyConnection
    time: datetime  # when it was made

    def ask(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the names of the columns and the rows of an answer.

        Raises:
            BadInput: the SQL is wrong, or asks for more than the rows.
        """
        try:
            found = self.connection.execute(sql)
            names = [column[0] for column in found.description or ()]
            return names, found.fetchall() if names else []
        except duckdb.Error as error:
            said = " ".join(str(error).split())
            hint = "; `DESCRIBE rows` lists the columns" if isinstance(error, duckdb.BinderException) else ""
            raise BadInput("SQL", sql, said + hint) from error


@contextmanager
def copied(state_dir: Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[Copy]:
    """Give a copy of the window of the worker with this state folder; it is removed at the end.

    Raises:
        SettingsError: there is no window in the folder, or it cannot be read.
        Unavailable: the worker that holds the file gave no copy in time.
    """
    place = folder(state_dir)
    if not (place / STORE).exists():
        raise SettingsError(
            "MILLRACE_STATE_DIR", str(state_dir), f"holds no window/{STORE}; set it to that of a worker with the window"
        )
    file = place / f"{uuid.uuid4().hex}{GIVEN}"
    try:
        if not _made(place / STORE, file):
            _asked(file, wait_seconds)
        with duckdb.connect() as connection:
            yield Copy(_closed(connection, file), datetime.fromtimestamp(file.stat().st_mtime, UTC))
    finally:
        for suffix in (ASKED, GIVEN, UNFINISHED):
            file.with_suffix(suffix).unlink(missing_ok=True)


def _made(store: Path, file: Path) -> bool:
    """Make the copy here, and return whether no worker held the file."""
    try:
        with duckdb.connect(str(store), read_only=True) as connection:
            connection.execute(COPY.format(file=_quoted(file)))
    except duckdb.Error as error:
        if "lock" in str(error).lower():
            return False
        raise SettingsError(
            "MILLRACE_STATE_DIR", str(store), f"cannot be read: {error}; the worker makes it anew when it starts"
        ) from error
    return True


def _asked(file: Path, wait_seconds: float) -> None:
    asked = file.with_suffix(ASKED)
    asked.touch()
    deadline = time.monotonic() + wait_seconds
    while not file.exists():
        if not asked.exists() and not file.exists():
            raise Unavailable("the worker could not copy its window; its log says why")
        if time.monotonic() > deadline:
            raise Unavailable(f"the worker that holds {file.parent / STORE} gave no copy within {wait_seconds:.0f} s")
        time.sleep(_LOOK_SECONDS)


def _closed(connection: duckdb.DuckDBPyConnection, file: Path) -> duckdb.DuckDBPyConnection:
    """Let a connection see the copy as `rows`, and no other file."""
    connection.execute(f"CREATE VIEW rows AS FROM read_parquet('{_quoted(file)}')")
    connection.execute(f"SET allowed_paths = ['{_quoted(file)}']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _quoted(file: Path) -> str:
    return str(file).replace("'", "''")
