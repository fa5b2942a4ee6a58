"""Letters as people and programs read them. What an application sent cannot steer the terminal it is shown on."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.commands.dead_letters.letters import Letter
from deploy.commands.dead_letters.plan import TOPICS, OriginState, obstacle, origin_of
from deploy.edge.topics.framing import Framing
from schemas.codec import is_framed
from schemas.errors import RecordRejected, Unavailable
from schemas.rules.places import TopicOffset, shown

_DETAIL_CHARACTERS: Final = 60
_SHOWN: Final = (
    "reason", "detail", "stage", "workload", "record_id", "origin", "attempts", "payload_bytes", "payload_sha256",
    "truncated", "code_version",
)  # fmt: skip
_COPIED: Final = ("letter", "reason", "origin")  # people copy them into commands: never wrapped


def line(letter: Letter) -> str:
    """Return a letter as one line of JSON, without its payload."""
    values = dataclasses.asdict(letter.record)
    return json.dumps(
        {
            "partition": letter.place[0],
            "offset": letter.place[1],
            "appended": letter.appended.isoformat(),
            "time": letter.record.time.isoformat(),
            **{name: values[name] for name in _SHOWN},
        }
    )


def table(letters: Sequence[Letter], matched: Counter[str]) -> None:
    """Print letters, and how many there are by reason, those not shown included."""
    drawn = Table(box=None, pad_edge=False)
    for name in ("letter", "time (UTC)", "reason", "workload", "origin", "attempts", "bytes", "detail"):
        drawn.add_column(name, no_wrap=name in _COPIED, overflow="fold")
    for letter in letters:
        record = letter.record
        drawn.add_row(
            *map(printable, (
                f"{letter.place[0]}:{letter.place[1]}", f"{letter.appended:%Y-%m-%d %H:%M:%S}", record.reason,
                record.workload or "", "{}/{}:{}".format(*origin_of(letter)), str(record.attempts),
                str(record.payload_bytes), record.detail[:_DETAIL_CHARACTERS],
            ))
        )  # fmt: skip
    console = Console()
    console.print(drawn)
    reasons = ", ".join(f"{reason} {count}" for reason, count in matched.most_common()) or "none"
    console.print(printable(f"{len(letters)} of {matched.total()} letters shown; by reason: {reasons}"))


def whole(letter: Letter, state: OriginState, framing: Framing) -> None:
    """Print all of a letter, and the state of its origin."""
    record = letter.record
    drawn = Table.grid(padding=(0, 2))
    facts = {
        "letter": f"{letter.place[0]}:{letter.place[1]}",
        "time": f"{letter.appended.isoformat()} (its origin: {record.time.isoformat()})",
        "reason": record.reason,
        "detail": record.detail,
        "stage": record.stage,
        "workload": record.workload or "not known",
        "record id": record.record_id or "not known",
        "attempts": str(record.attempts),
        "code version": record.code_version or "not known",
        "bytes": f"{record.payload_bytes}, SHA-256 {record.payload_sha256}",
        "key": "none" if record.key is None else record.key.decode(errors="backslashreplace"),
        "origin": _origin(origin_of(letter), state),
        "replays": _replays(origin_of(letter), state),
    }
    for name, value in facts.items():
        drawn.add_row(Text(name, style="bold"), printable(value))
    for header in record.headers:
        value = (header.value or b"").decode(errors="backslashreplace")
        drawn.add_row(Text("header", style="bold"), printable(f"{header.name}: {value}"))
    console = Console()
    console.print(drawn)
    form, text = payload_of(letter, framing)
    cut = ", its first part" if record.truncated else ""
    console.print(Text(f"payload, redacted ({form}{cut})", style="bold"))
    for row in text.splitlines():
        console.print(printable(row), soft_wrap=True)


def payload_of(letter: Letter, framing: Framing) -> tuple[str, str]:
    """Return what form the payload has, and the payload as text."""
    payload, topic = letter.record.payload, TOPICS.get(letter.record.origin.topic)
    if topic is not None and is_framed(payload):
        try:
            values = dataclasses.asdict(framing.decode(topic.record, payload))  # type: ignore[call-overload]
            return topic.record.__name__, _indented(values)
        except (RecordRejected, Unavailable):
            pass  # shown as the bytes it is
    try:
        return "JSON", _indented(json.loads(payload))
    except (ValueError, RecursionError):
        return "bytes", payload.decode(errors="backslashreplace")


def printable(text: str) -> Text:
    """Return a text in which unprintable characters are escaped, and none is markup."""
    return Text("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def _origin(origin: TopicOffset, state: OriginState) -> str:
    kept = "is gone: the topic no longer keeps it" if state.record_bytes is None else "is still there"
    return f"{shown(origin)}, {kept}"


def _replays(origin: TopicOffset, state: OriginState) -> str:
    places = ", ".join(shown((origin[0], *place)) for place in state.replays)
    why = obstacle(origin, state, again=False)
    return f"{places or 'none so far'}; {'it can be replayed' if why is None else 'not to be replayed: ' + why}"


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
