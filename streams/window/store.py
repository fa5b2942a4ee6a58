"""The rows of the window in one DuckDB file: a view of `labels`, which may be thrown away and made again at any time.

The rows of a batch, the partition's next `labels` offset and the topic's id are written in one DuckDB transaction. It
may run ahead of Kafka's commit: rows are told by their offset, so a batch that comes again adds nothing, and every
question names the offset below which it asks. One process only may hold the file.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import duckdb
import orjson
import pyarrow as pa

from schemas.errors import SettingsError
from schemas.records import LabelKind, LabelRecord
from schemas.rules.normalise import normalise, text_key
from schemas.workload import Workload

LOG: Final = logging.getLogger("millrace.window")
VERSION: Final = 1  # of the tables below; a file of another version is made again

_SCHEMA: Final = """
CREATE TABLE rows (
    partition UTINYINT NOT NULL, label_offset BIGINT NOT NULL, workload VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL, cluster_id VARCHAR NOT NULL, text_key VARCHAR NOT NULL, draw UBIGINT NOT NULL,
    text VARCHAR NOT NULL, label VARCHAR NOT NULL, vote BOOLEAN NOT NULL, split VARCHAR NOT NULL,
    class_probabilities VARCHAR, propensity DOUBLE NOT NULL, provenance VARCHAR NOT NULL, teacher_model VARCHAR,
    event_time TIMESTAMP NOT NULL
);
CREATE TABLE positions (partition UTINYINT PRIMARY KEY, topic_id VARCHAR NOT NULL, next_offset BIGINT NOT NULL);
CREATE TABLE pruned (
    partition UTINYINT, workload VARCHAR, age_days INTEGER NOT NULL, PRIMARY KEY (partition, workload)
);
CREATE TABLE versions (version INTEGER NOT NULL);
"""

_PRUNE: Final = """
DELETE FROM rows WHERE partition = $partition AND workload = $workload AND event_time < (
    SELECT max(event_time) - to_days($age_days) FROM rows
    WHERE partition = $partition AND workload = $workload AND label_offset < $below AND list_contains($labels, label)
)
"""

_ARROW: Final = pa.schema(
    [
        ("partition", pa.uint8()), ("label_offset", pa.int64()), ("workload", pa.string()), ("record_id", pa.string()),
        ("cluster_id", pa.string()), ("text_key", pa.string()), ("draw", pa.uint64()), ("text", pa.string()),
        ("label", pa.string()), ("vote", pa.bool_()), ("split", pa.string()), ("class_probabilities", pa.string()),
        ("propensity", pa.float64()), ("provenance", pa.string()), ("teacher_model", pa.string()),
        ("event_time", pa.timestamp("us")),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labelled:
    """One record of `labels` and where it stands."""

    partition: int
    offset: int
    record: LabelRecord


@dataclass(frozen=True, slots=True)
class Position:
    """How far the store has read a partition of `labels`."""

    topic_id: str
    next_offset: int


class Store:
    """The DuckDB file of one worker."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it.

        Raises:
            SettingsError: another process holds it, or it cannot be made.
        """
        self._connection = _open(file)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def position(self, partition: int) -> Position | None:
        """Return how far a partition was read."""
        found = self._connection.execute(
            "SELECT topic_id, next_offset FROM positions WHERE partition = ?", [partition]
        ).fetchone()
        return Position(*found) if found else None

    def write(self, labelled: Sequence[Labelled], topic_id: str) -> None:
        """Add what a batch brings; what was added before is passed over."""
        read = {partition: self._next(partition) for partition in {item.partition for item in labelled}}
        new = [item for item in labelled if item.offset >= read[item.partition]]
        if not new:
            return
        added = [_row(item) for item in new if item.record.kind is not LabelKind.ERASURE]
        nexts = {item.partition: item.offset + 1 for item in new}
        with _Transaction(self._connection) as connection:
            if added:
                table = pa.Table.from_pylist(added, schema=_ARROW)
                connection.register("added", table)
                connection.execute("INSERT INTO rows BY NAME SELECT * FROM added")
                connection.unregister("added")
            for item in new:
                if item.record.kind is LabelKind.ERASURE:
                    connection.execute(
                        "DELETE FROM rows WHERE partition = ? AND workload = ? AND record_id = ? AND label_offset < ?",
                        [item.partition, item.record.workload, item.record.record_id, item.offset],
                    )
            for partition, offset in nexts.items():
                connection.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", [partition, topic_id, offset])

    def cut(self, partition: int, offset: int) -> None:
        """Forget what a partition holds from an offset on: it will be fed again."""
        with _Transaction(self._connection) as connection:
            connection.execute("DELETE FROM rows WHERE partition = ? AND label_offset >= ?", [partition, offset])
            connection.execute(
                "UPDATE positions SET next_offset = least(next_offset, ?) WHERE partition = ?", [offset, partition]
            )

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        with _Transaction(self._connection) as connection:
            connection.execute("DELETE FROM rows WHERE partition = ?", [partition])
            connection.execute("DELETE FROM positions WHERE partition = ?", [partition])
            connection.execute("DELETE FROM pruned WHERE partition = ?", [partition])

    def prune(self, partition: int, workload: Workload, below: int) -> None:
        """Delete what the age limit leaves out for good; the rows below the offset are the settled ones."""
        age_days = workload.window.age_days
        parameters = {"partition": partition, "workload": workload.name, "below": below, "age_days": age_days}
        with _Transaction(self._connection) as connection:
            connection.execute(_PRUNE, parameters | {"labels": list(workload.labels)})
            connection.execute("INSERT OR REPLACE INTO pruned VALUES (?, ?, ?)", [partition, workload.name, age_days])

    def pruned_days(self, partition: int, workload: str) -> int | None:
        """Return the age limit the workload's rows were last pruned by; None: never."""
        found = self._connection.execute(
            "SELECT age_days FROM pruned WHERE partition = ? AND workload = ?", [partition, workload]
        ).fetchone()
        return int(found[0]) if found else None

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a question."""
        return self._connection.execute(sql, parameters).fetchall()

    def counts(self, partition: int) -> list[tuple[str, str, str, int]]:
        """Return (workload, label, split, rows) of all that a partition holds."""
        return self._connection.execute(
            "SELECT workload, label, split, count(*) FROM rows WHERE partition = ? GROUP BY ALL", [partition]
        ).fetchall()

    def _next(self, partition: int) -> int:
        position = self.position(partition)
        return position.next_offset if position else 0


class _Transaction:
    """One DuckDB transaction: committed at the end, rolled back by an error; OSError where the disk takes none."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        self._connection.execute("BEGIN")
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._connection.execute("ROLLBACK")
            return
        try:
            self._connection.execute("COMMIT")
        except duckdb.TransactionException as error:  # a full disk, in DuckDB's words; it has rolled back by itself
            raise OSError(f"the store's file took no commit: {error}") from error


def _open(file: Path) -> duckdb.DuckDBPyConnection:
    """Return the open file; one that is damaged or has other tables is made again: it is only a view."""
    if not file.exists():
        return _made(file)
    try:
        connection = duckdb.connect(str(file))
        if _version(connection) == VERSION:
            return connection
        connection.close()
        LOG.warning("%s has other tables than this version's; it is made again from `labels`", file)
    except duckdb.Error as error:
        if "lock" in str(error).lower():
            raise SettingsError(
                "state_dir", str(file), "another process holds this file; give every worker its own MILLRACE_STATE_DIR"
            ) from error
        LOG.warning("%s cannot be read (%s); it is made again from `labels`", file, type(error).__name__)
    return _made(file)


def _made(file: Path) -> duckdb.DuckDBPyConnection:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for leftover in (file, file.with_name(file.name + ".wal")):
            leftover.unlink(missing_ok=True)
        connection = duckdb.connect(str(file))
        connection.execute(_SCHEMA)
        connection.execute("INSERT INTO versions VALUES (?)", [VERSION])
    except (OSError, duckdb.IOException) as error:
        raise SettingsError("state_dir", str(file), f"cannot be written: {error}") from error
    return connection


def _version(connection: duckdb.DuckDBPyConnection) -> int | None:
    try:
        found = connection.execute("SELECT version FROM versions").fetchone()
    except duckdb.CatalogException:
        return None
    return int(found[0]) if found else None


def _row(item: Labelled) -> dict[str, Any]:
    record = item.record
    soft = record.class_probabilities
    return {
        "partition": item.partition,
        "label_offset": item.offset,
        "workload": record.workload,
        "record_id": record.record_id,
        "cluster_id": record.cluster_id,
        "text_key": text_key(record.workload, normalise(record.text)),
        "draw": draw_of(record.workload, record.record_id),
        "text": record.text,
        "label": record.label,
        "vote": record.kind is LabelKind.VOTE,
        "split": record.split.value,
        "class_probabilities": None if soft is None else orjson.dumps(soft).decode(),
        "propensity": record.propensity,
        "provenance": record.provenance.value,
        "teacher_model": record.teacher_model,
        "event_time": record.event_time.astimezone(UTC).replace(tzinfo=None),
    }


def draw_of(workload: str, record_id: str) -> int:
    """Return the row's place in the keyed-hash order: as good as random, and the same for ever."""
    return int.from_bytes(blake2b(record_id.encode(), key=workload.encode(), digest_size=8).digest())
