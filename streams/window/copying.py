"""Gives a copy of the window's rows to a command that asks for one, as deploy/edge/stores/window_copy.py says."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from deploy.edge.stores.window_copy import ASKED, GIVEN, UNFINISHED
from streams.window.store import Store

LOG: Final = logging.getLogger("millrace.window")
_ABANDONED: Final = timedelta(minutes=10)  # whoever asked would have taken its copy and removed it


def give(store: Store, folder: Path, now: datetime) -> None:
    """Write the copies that were asked for, and remove what was left behind."""
    for asked in sorted(folder.glob(f"*{ASKED}")):
        unfinished = asked.with_suffix(UNFINISHED)
        try:
            store.copy(unfinished)
            unfinished.rename(asked.with_suffix(GIVEN))
        except (OSError, duckdb.Error) as error:
            LOG.warning("no copy of the window for %s: %s: %s", asked.stem, type(error).__name__, error)
            unfinished.unlink(missing_ok=True)
        asked.unlink(missing_ok=True)
    for suffix in (GIVEN, UNFINISHED):
        for left in folder.glob(f"*{suffix}"):
            if now.timestamp() - left.stat().st_mtime > _ABANDONED.total_seconds():
                left.unlink(missing_ok=True)
