"""Rows out of a file that somebody has: CSV, JSON lines, Parquet, each also gzipped, or a Hugging Face data set.

Every row comes with its number, so that a mistake can be located. Nothing is guessed about the columns here.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, cast

from schemas.errors import BadInput

_FIELD_CHARACTERS: Final = 100_000_000  # the csv module's own limit is 128 kB, below a long document
_HUB_ID: Final = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.\[\]%-]+)?")
_MISSING: Final = "is no file, and no Hugging Face data set of that name can be had"


@dataclass(frozen=True)
class FileRow:
    """One row: its columns, and the original line where it was JSON."""

    number: int
    values: dict[str, Any]
    line: bytes | None = None


Refuse = Callable[[int, str], None]
"""Takes the number of a row that cannot be read, and why."""


def _not_at_all(number: int, reason: str) -> NoReturn:
    raise ValueError(f"row {number} {reason}")


def rows(source: str, refuse: Refuse = _not_at_all) -> Iterator[FileRow]:
    """Yield the rows of a file (.csv, .tsv, .jsonl, .ndjson, .parquet; with .gz) or of `owner/name[:split]` on the Hub.

    Args:
        source: the file or data set.
        refuse: called for each row that cannot be read though those after it can; by default that ends the reading.

    Raises:
        BadInput: it is not there, is of no known kind, or cannot be read.
    """
    file = Path(source)
    if not file.is_file():
        return _hub(source)
    suffixes = [suffix.lower() for suffix in file.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]
    reader = _READERS.get(kind)
    if reader is None:
        raise BadInput("FILE", source, f"has no known ending; known: {', '.join(_READERS)}, each also with .gz")
    return _read(file, reader, refuse, packed=suffixes[-1] == ".gz")


def _read(file: Path, reader: _Reader, refuse: Refuse, *, packed: bool) -> Iterator[FileRow]:
    number = 0
    try:
        with file.open("rb") as raw:
            for row in reader(cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw, refuse):
                number = row.number
                yield row
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{file}, after row {number}", str(file), f"is not UTF-8 ({error.reason}); convert it, for example by iconv"
        ) from error
    except (OSError, EOFError, ValueError, csv.Error) as error:
        raise BadInput(f"{file}, after row {number}", str(file), f"cannot be read: {error}") from error


def _csv(raw: BinaryIO, refuse: Refuse, delimiter: str = ",") -> Iterator[FileRow]:
    csv.field_size_limit(_FIELD_CHARACTERS)
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    for number, values in enumerate(csv.DictReader(text, delimiter=delimiter), start=1):
        if None in values or None in values.values():
            refuse(number, "has another number of fields than the header")
            continue
        yield FileRow(number, values)


def _tsv(raw: BinaryIO, refuse: Refuse) -> Iterator[FileRow]:
    return _csv(raw, refuse, "\t")


def _json_lines(raw: BinaryIO, refuse: Refuse) -> Iterator[FileRow]:
    for number, line in enumerate(raw, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except UnicodeDecodeError:
            refuse(number, "is not UTF-8")
            continue
        except (ValueError, RecursionError) as error:
            refuse(number, f"is no JSON: {error}")
            continue
        if isinstance(values, dict):
            yield FileRow(number, values, line.strip())
        else:
            refuse(number, "is no JSON object")


def _parquet(raw: BinaryIO, refuse: Refuse) -> Iterator[FileRow]:
    del refuse  # a Parquet file is read or it is not
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise BadInput("FILE", "Parquet", "needs pyarrow; install millrace[replay]") from error
    number = 0
    for batch in parquet.ParquetFile(io.BytesIO(raw.read())).iter_batches():
        for values in batch.to_pylist():
            number += 1
            yield FileRow(number, values)


def _hub(source: str) -> Iterator[FileRow]:
    """Yield a data set's rows, classes by name; only data is loaded, never a script."""
    if not _HUB_ID.fullmatch(source) or Path(source).suffix in (*_READERS, ".gz"):
        raise BadInput("FILE", source, "is no file, and no name of a Hugging Face data set (owner/name[:split])")
    try:
        from datasets import ClassLabel, load_dataset
    except ImportError as error:
        raise BadInput("FILE", source, "is no file; for a Hugging Face data set install millrace[replay]") from error
    name, _, split = source.partition(":")
    try:
        found = load_dataset(name, split=split or "train")
    except Exception as error:  # the library raises a dozen kinds: network, name, access, split, script
        raise BadInput("FILE", source, f"{_MISSING} ({type(error).__name__}: {str(error)[:200]})") from error
    classes = {column: feature for column, feature in found.features.items() if isinstance(feature, ClassLabel)}
    for number, values in enumerate(found, start=1):
        named = {column: feature.int2str(values[column]) for column, feature in classes.items() if values[column] >= 0}
        yield FileRow(number, {**values, **named})


_Reader = Callable[[BinaryIO, Refuse], Iterator[FileRow]]
_READERS: Final[dict[str, _Reader]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
