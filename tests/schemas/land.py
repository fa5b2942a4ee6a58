"""Land the next version of a schema: `python -m tests.schemas.land CuratedRecord`, after its `.avsc` was changed.

1 check that every landed version can still be read (and, where the topic promises it, that old readers can read us)
2 copy the schema to `schemas/avsc/landed/vN`
3 write golden bytes of a full record, and what they say as JSON, to `tests/schemas/golden/vN`

A change that would break a reader is refused with its field and the remedy, and nothing is written. What is landed is
never landed again: a later change is a later version. The class in `schemas/{records,events,promotion}.py` is
yours to change; `tests/schemas` says what it lacks.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.codec import SINGLE_OBJECT
from schemas.errors import BadInput
from schemas.topics import CATALOGUE, Topic
from tests.schemas.golden_form import GOLDEN, plain
from tests.schemas.resolution import problems

AVSC: Final = Path(__file__).parents[2] / "schemas" / "avsc"
TOPICS: Final = {topic.record.__name__: topic for topic in CATALOGUE}
# The end of a problem -> what to do about it.
REMEDIES: Final = {
    "is new and has no default": 'give it a default, such as "type": ["null", "string"], "default": null',
    "is gone": "keep it: old readers have no default for it",
    "cannot read": "keep the symbol, and the enum's default",
    "": "a type is for ever: keep the field as it was and add another one",
}
FIRST: Final = datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)


def landed(record: str, avsc: Path = AVSC) -> dict[int, Any]:
    """Return the landed schemas of a record by their version."""
    files = sorted(avsc.glob(f"landed/v*/{record}.avsc"))
    return dict(sorted((int(file.parent.name[1:]), json.loads(file.read_text())) for file in files))


def breaks(topic: Topic, schema: Any, old: Any) -> list[str]:
    """Return what the schema breaks of what an older one promised."""
    found = problems(schema, old)
    if topic.compatibility == "FULL_TRANSITIVE":
        found += [problem.replace("is new and has no default", "is gone") for problem in problems(old, schema)]
    return found


def land(record: str, avsc: Path = AVSC, golden: Path = GOLDEN) -> int:
    """Land a record's schema and return its version.

    Raises:
        BadInput: there is no such record, nothing has changed, or the change breaks a reader.
    """
    if record not in TOPICS:
        raise BadInput("RECORD", record, f"choose one of {', '.join(sorted(TOPICS))}")
    schema = json.loads((avsc / f"{record}.avsc").read_text())
    versions = landed(record, avsc)
    if schema in versions.values():
        raise BadInput("RECORD", record, f"has nothing to land; change schemas/avsc/{record}.avsc first")
    for version, old in versions.items():
        for problem in breaks(TOPICS[record], schema, old):
            place, _, said = problem.partition(": ")
            remedy = next(remedy for sign, remedy in REMEDIES.items() if sign in said)
            raise BadInput(record + place.removeprefix("record"), f"{said}, against v{version}", remedy)
    number = max(versions, default=0) + 1
    datum = _Full().of(schema, record)
    for file in (f"{record}.avsc", f"landed/v{number}/{record}.avsc"):
        _write(avsc / file, laid_out(schema) + "\n")
    _write(golden / f"v{number}/{record}.json", json.dumps(plain(datum), ensure_ascii=False, indent=1) + "\n")
    _write(golden / f"v{number}/{record}.hex", _encoded(schema, datum).hex() + "\n")
    return number


def laid_out(schema: Any, margin: str = "") -> str:
    """Return a schema, or a part of one, as JSON with one field per line."""
    if '"fields"' not in json.dumps(schema):
        return json.dumps(schema, ensure_ascii=False)
    if isinstance(schema, list):
        return f"[{', '.join(laid_out(one, margin) for one in schema)}]"
    inner = f"{margin}  "
    parts = {name: laid_out(part, margin) for name, part in schema.items() if name != "fields"}
    if "fields" in schema:
        fields = ",\n".join(inner + laid_out(one, inner) for one in schema["fields"])
        parts["fields"] = f"[\n{fields}\n{margin}]"
    return "{" + ", ".join(f'"{name}": {parts[name]}' for name in schema) + "}"


@dataclass
class _Full:
    """Makes records in which every field holds something, and no two fields the same."""

    leaves: int = 1
    named: dict[str, Any] = field(default_factory=dict)

    def of(self, schema: Any, name: str) -> Any:
        """Return a value of a schema; its name makes a text of it show where it belongs."""
        if isinstance(schema, list):
            return self.of(next(branch for branch in schema if branch != "null"), name)
        if isinstance(schema, str):
            return self.of(self.named[schema], name) if schema in self.named else self._leaf(schema, name)
        if "name" in schema:
            self.named[schema["name"]] = schema
        kind = schema["type"]
        if kind == "record":
            value: Any = {one["name"]: self.of(one["type"], one["name"]) for one in schema["fields"]}
        elif kind == "array":
            value = [self.of(schema["items"], name)]
        elif kind == "map":
            value = {f"{name} ä": self.of(schema["values"], name)}
        elif kind == "enum":
            value = schema["symbols"][-1]
        else:
            value = self._leaf(schema.get("logicalType", kind), name)
        return value

    def _leaf(self, kind: str, name: str) -> Any:
        self.leaves += 1
        n = self.leaves
        values: Mapping[str, Any] = {
            "string": f"{name} {n} \u2013 é",
            "bytes": bytes([0, 255, n % 256]),
            "boolean": True,
            "int": n * 1_000_003,
            "long": n * 1_000_003,
            "float": n + 0.5,
            "double": n + 0.5,
            "timestamp-micros": FIRST + timedelta(seconds=n),
        }
        return values[kind]


def _encoded(schema: Any, datum: Any) -> bytes:
    out = io.BytesIO(SINGLE_OBJECT + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")))
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), datum)
    return out.getvalue()


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def main(arguments: list[str]) -> None:
    """Land the records that are named; exit with 2 at the first that cannot be."""
    try:
        for record in arguments or [""]:
            print(f"{record} is landed as v{land(record)}: commit it with its golden bytes, then run tests/schemas")
    except BadInput as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
