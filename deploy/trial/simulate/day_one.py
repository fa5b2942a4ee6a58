"""Hands a file's rows to the program of the day-one report, as lines of JSON through a pipe: it reads no files itself.

{"row": 7, "value": "<base64>", "headers": {"workload": "tickets"}}    what would be produced
{"row": 8, "unreadable": "is no JSON: …"}                              why nothing would be
"""

from __future__ import annotations

import base64
import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import orjson

from deploy.trial.simulate.forms import Wire
from schemas.errors import SettingsError

_NEEDED: Final = ("jinja2", "matplotlib", "pyarrow", "rensa", "sklearn")


class LogLine(NamedTuple):
    """One row of the file."""

    row: int
    unreadable: str | None = None
    wire: Wire | None = None


class Wanted(NamedTuple):
    """The report that is wanted."""

    workload: str
    source: str
    out: Path
    made_up_times: bool
    agreement: float | None
    price_per_1000: float | None

    def arguments(self) -> list[str]:
        """Return it as the program's options."""
        options: dict[str, object] = {
            "--workload": self.workload,
            "--source": self.source,
            "--out": self.out,
            "--agreement": self.agreement,
            "--price-per-1000": self.price_per_1000,
        }
        given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
        if self.made_up_times:
            given.append("--made-up-times")
        return given


def report(wanted: Wanted, lines: Iterable[LogLine]) -> None:
    """Write the report of these rows, and end as its program ends.

    Raises:
        SettingsError: a package that the program needs is not installed.
    """
    missing = next((name for name in _NEEDED if importlib.util.find_spec(name) is None), None)
    if missing is not None:
        raise SettingsError("--report", missing, "is not installed; install millrace[replay,report,streams,trainers]")
    command = [sys.executable, "-m", "deploy.trial.day_one", *wanted.arguments()]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as program:
        try:
            _send(cast("BinaryIO", program.stdin), lines)
        except BrokenPipeError:
            pass  # it ended early, and has said why
        except BaseException:
            program.kill()  # it would only complain that rows are missing
            raise
    sys.exit(program.returncode)


def _send(out: BinaryIO, lines: Iterable[LogLine]) -> None:
    count = 0
    for count, line in enumerate(lines, start=1):  # noqa: B007 - the count is sent at the end
        out.write(_line(line))
    out.write(orjson.dumps({"end": count}, option=orjson.OPT_APPEND_NEWLINE))
    out.close()


def _line(line: LogLine) -> bytes:
    if line.wire is None:
        return orjson.dumps({"row": line.row, "unreadable": line.unreadable}, option=orjson.OPT_APPEND_NEWLINE)
    headers = {name: value.decode() for name, value in line.wire.headers}
    value = base64.b64encode(line.wire.value).decode()
    return orjson.dumps({"row": line.row, "value": value, "headers": headers}, option=orjson.OPT_APPEND_NEWLINE)
