"""A copy of the window's rows for people to ask, while the worker holds its file: made on demand, by files in a folder.

    NAME.asked      made by who asks
    NAME.parquet    the worker's answer about a second later, renamed into place when it is whole
    both            removed by who asked; the worker removes what was left behind

So nothing is copied that nobody wants, no port is opened, and no question can hold the worker's file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

STORE: Final = "window.duckdb"
ASKED: Final = ".asked"
GIVEN: Final = ".parquet"
UNFINISHED: Final = ".unfinished"
# `standing` is a view in the store's file; what is asked for is the same whoever makes the copy.
COPY: Final = "COPY (FROM standing ORDER BY workload, label_offset) TO '{file}' (FORMAT parquet, COMPRESSION zstd)"


def folder(state_dir: Path) -> Path:
    """Return the folder of a worker's window."""
    return state_dir / "window"
