"""The rows of the window in one DuckDB file: a view of `labels`, which may be deleted and made again at any time.

The rows of a batch, the partition's next `labels` offset and the topic's id are written in one DuckDB transaction. It
may run ahead of Kafka's commit: rows are identified by their offset, so a batch that comes again adds nothing,
and every question names the offset below which it asks. One process only may hold the file.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from deploy.edge.stores.window_copy import COPY
from schemas.errors import SettingsError
from schemas.records import LabelKind, Split
from schemas.workload import Workload
from streams.window.columns import Labelled, corrections_of, erasures_of, rows_of
from streams.window.corrections import CORRECT, of_training

LOG: Final = logging.getLogger("millrace.window")
WAL: Final = "128MB"  # what is written before DuckDB compresses it: at its 16 MB that takes a quarter of all time
VERSION: Final = 5  # of the tables below; a file of another version is made again

_SCHEMA: Final = """
CREATE TABLE rows (
    partition UTINYINT NOT NULL, label_offset BIGINT NOT NULL, workload VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL, cluster_id VARCHAR NOT NULL, text_key UHUGEINT NOT NULL,
    text VARCHAR NOT NULL, label VARCHAR NOT NULL, vote BOOLEAN NOT NULL, split VARCHAR NOT NULL,
    client VARCHAR NOT NULL, source VARCHAR NOT NULL,
    class_probabilities VARCHAR, propensity DOUBLE NOT NULL, provenance VARCHAR NOT NULL, teacher_model VARCHAR,
    prompt_sha256 VARCHAR, event_time TIMESTAMP NOT NULL, paraphrases VARCHAR[],
    corrects BIGINT
);
CREATE TABLE erased (
    partition UTINYINT NOT NULL, label_offset BIGINT NOT NULL, workload VARCHAR NOT NULL, record_id VARCHAR NOT NULL
);
CREATE TABLE positions (partition UTINYINT PRIMARY KEY, topic_id VARCHAR NOT NULL, next_offset BIGINT NOT NULL);
CREATE TABLE pruned (
    partition UTINYINT, workload VARCHAR, age_days INTEGER NOT NULL, PRIMARY KEY (partition, workload)
);
CREATE TABLE versions (version INTEGER NOT NULL);
CREATE VIEW standing AS
SELECT rows.* EXCLUDE (text_key) FROM rows
WHERE NOT EXISTS (
    FROM erased WHERE erased.partition = rows.partition AND erased.workload = rows.workload
        AND erased.record_id = rows.record_id AND rows.label_offset < erased.label_offset
)
QUALIFY row_number() OVER (PARTITION BY rows.partition, workload, record_id ORDER BY rows.label_offset DESC) = 1;
"""

# Texts that differ in case alone are one; `labels` has them normalised. Hashed here: Python takes ten times as long.
_INSERT: Final = """
INSERT INTO rows BY NAME SELECT *, md5_number(lower(text)) AS text_key FROM added
"""

_BEGIN: Final = "INSERT INTO positions VALUES ($partition, $topic_id, $next_offset)"
_ADVANCE: Final = "UPDATE positions SET topic_id = $topic_id, next_offset = $next_offset WHERE partition = $partition"

_PRUNE: Final = """
DELETE FROM rows WHERE partition = $partition AND workload = $workload AND event_time < (
    SELECT max(event_time) - to_days($age_days) FROM rows
    WHERE partition = $partition AND workload = $workload AND label_offset < $below AND list_contains($labels, label)
)
"""

_ERASE: Final = """
DELETE FROM rows WHERE partition = $partition AND EXISTS (
    FROM erased WHERE erased.partition = rows.partition AND erased.workload = rows.workload
        AND erased.record_id = rows.record_id
        AND rows.label_offset < erased.label_offset AND erased.label_offset < $below
)
"""

_ROWS: Final = (LabelKind.LABEL, LabelKind.VOTE)

HeldStratum = tuple[str, str, str]  # workload, label, split


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
        self._counts: dict[int, Counter[HeldStratum]] = {}  # by partition, once asked for
        self._positions: dict[int, Position | None] = {}  # as the file has them, once asked for
        self.tables: object = None  # marks the temporary tables; None: there are none, or older than the rows

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def position(self, partition: int) -> Position | None:
        """Return how far a partition was read."""
        if partition not in self._positions:
            found = self._connection.execute(
                "SELECT topic_id, next_offset FROM positions WHERE partition = ?", [partition]
            ).fetchone()
            self._positions[partition] = Position(*found) if found else None
        return self._positions[partition]

    def write(self, labelled: Sequence[Labelled], topic_id: str) -> None:
        """Add the labels of a batch; those added before are skipped."""
        read = {partition: self._next(partition) for partition in {item.partition for item in labelled}}
        new = [item for item in labelled if item.offset >= read[item.partition]]
        if not new:
            return
        added = [item for item in new if item.record.kind in _ROWS]
        erased = [item for item in new if item.record.kind is LabelKind.ERASURE]
        corrections = of_training(item for item in new if item.record.kind is LabelKind.CORRECTION)
        positions = {item.partition: Position(topic_id, item.offset + 1) for item in new}
        with self._transaction() as connection:
            if added:
                with _registered(connection, "added", rows_of(added)):
                    connection.execute(_INSERT)
            if erased:
                with _registered(connection, "erasures", erasures_of(erased)):
                    connection.execute("INSERT INTO erased BY NAME SELECT * FROM erasures")
            if corrections:
                with _registered(connection, "corrections", corrections_of(corrections)):
                    for statement in CORRECT:
                        connection.execute(statement)
            for partition, position in positions.items():
                statement = _ADVANCE if self.position(partition) else _BEGIN  # an upsert takes three times as long
                connection.execute(statement, asdict(position) | {"partition": partition})
        self._positions.update(positions)
        self._count(added)
        for item in corrections:
            self._counts.pop(item.partition, None)

    def cut(self, partition: int, offset: int) -> None:
        """Forget what a partition holds from an offset on: it will be fed again."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM rows WHERE partition = ? AND label_offset >= ?", [partition, offset])
            connection.execute("DELETE FROM erased WHERE partition = ? AND label_offset >= ?", [partition, offset])
            connection.execute(
                "UPDATE positions SET next_offset = least(next_offset, ?) WHERE partition = ?", [offset, partition]
            )
        self._forget(partition)

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM rows WHERE partition = ?", [partition])
            connection.execute("DELETE FROM erased WHERE partition = ?", [partition])
            connection.execute("DELETE FROM positions WHERE partition = ?", [partition])
            connection.execute("DELETE FROM pruned WHERE partition = ?", [partition])
        self._forget(partition)

    def erase(self, partition: int, below: int) -> None:
        """Delete the rows that were erased below an offset; below it all must be settled.

        Until then they are in the file, and every question leaves them out: a batch brings the store ahead of where a
        trigger fires, and what is erased later belongs to the snapshot of an earlier offset.
        """
        settled = {"partition": partition, "below": below}
        if not self.query("SELECT 1 FROM erased WHERE partition = $partition AND label_offset < $below", settled):
            return
        with self._transaction() as connection:
            connection.execute(_ERASE, settled)
            connection.execute("DELETE FROM erased WHERE partition = $partition AND label_offset < $below", settled)
        self._counts.pop(partition, None)

    def prune(self, partition: int, workload: Workload, below: int) -> None:
        """Delete the rows that the age limit rules out for good; rows below the offset are settled."""
        age_days = workload.window.age_days
        parameters = {"partition": partition, "workload": workload.name, "below": below, "age_days": age_days}
        with self._transaction() as connection:
            connection.execute(_PRUNE, parameters | {"labels": list(workload.labels)})
            connection.execute("INSERT OR REPLACE INTO pruned VALUES (?, ?, ?)", [partition, workload.name, age_days])
        self._counts.pop(partition, None)

    def pruned_days(self, partition: int, workload: str) -> int | None:
        """Return the age limit the workload's rows were last pruned by; None: never."""
        found = self._connection.execute(
            "SELECT age_days FROM pruned WHERE partition = ? AND workload = ?", [partition, workload]
        ).fetchone()
        return int(found[0]) if found else None

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a question."""
        return self._connection.execute(sql, parameters or {}).fetchall()

    def batches(self, sql: str, rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a question, `rows` at a time; nothing else may be asked meanwhile."""
        found = self._connection.execute(sql)
        while some := found.fetchmany(rows):
            yield some

    def copy(self, file: Path) -> None:
        """Write the last label of each record that is not erased as a Parquet file."""
        self._connection.execute(COPY.format(file=str(file).replace("'", "''")))

    def counts(self, partition: int) -> Counter[HeldStratum]:
        """Return how many rows a partition holds by workload, label and split, rows still to be erased included.

        A corrected row counts under both its labels, as a record does that was labelled twice.
        They are counted once and then kept with every batch, so that asking costs the same however many rows there
        are; after a deletion they are counted again.
        """
        if partition not in self._counts:
            found = self._connection.execute(
                "SELECT workload, label, split, count(*) FROM rows WHERE partition = ? GROUP BY ALL", [partition]
            ).fetchall()
            self._counts[partition] = Counter({(name, label, split): number for name, label, split, number in found})
        return self._counts[partition]

    def training_counts(self, partition: int, workload: Workload) -> dict[str, int]:
        """Return the training rows of each of the workload's labels: at least as many as any snapshot could hold."""
        held = self.counts(partition)
        return {label: held[workload.name, label, Split.TRAIN.value] for label in workload.labels}

    def _forget(self, partition: int) -> None:
        self._counts.pop(partition, None)
        self._positions.pop(partition, None)

    def _transaction(self) -> _Transaction:
        self.tables = None
        return _Transaction(self._connection)

    def _count(self, added: Sequence[Labelled]) -> None:
        for item in added:
            if item.partition in self._counts:
                record = item.record
                self._counts[item.partition][record.workload, record.label, record.split.value] += 1

    def _next(self, partition: int) -> int:
        position = self.position(partition)
        return position.next_offset if position else 0


class _Transaction:
    """One DuckDB transaction: committed at the end, rolled back by an error; OSError where the disk is full."""

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
        connection = _connected(file)
        if _version(connection) == VERSION:
            return connection
        connection.close()
        LOG.warning("%s has other tables than this version's; it is made again from `labels`", file)
    except duckdb.Error as error:
        if "lock" in str(error).lower():
            raise SettingsError(
                "state_dir", str(file), "another process holds this file; give every worker its own MILLRACE_STATE_DIR"
            ) from error
        # Of the rows it may quote some; what it says of the file quotes none.
        cause = error if isinstance(error, duckdb.IOException) else type(error).__name__
        LOG.warning("%s cannot be read (%s); it is made again from `labels`", file, cause)
    return _made(file)


def _made(file: Path) -> duckdb.DuckDBPyConnection:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for leftover in (file, file.with_name(file.name + ".wal")):
            leftover.unlink(missing_ok=True)
        connection = _connected(file)
        connection.execute(_SCHEMA)
        connection.execute("INSERT INTO versions VALUES (?)", [VERSION])
    except (OSError, duckdb.IOException) as error:
        raise SettingsError("state_dir", str(file), f"cannot be written: {error}") from error
    return connection


def _connected(file: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(file), config={"wal_autocheckpoint": WAL})


def _version(connection: duckdb.DuckDBPyConnection) -> int | None:
    try:
        found = connection.execute("SELECT version FROM versions").fetchone()
    except duckdb.CatalogException:
        return None
    return int(found[0]) if found else None


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    connection.register(name, table)
    try:
        yield
    finally:
        connection.unregister(name)
