"""Logging of a process: one line an event, as text or JSON, to standard error."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from deploy.edge.process.settings import Settings


class _Text(logging.Formatter):
    """One line; only a stack trace takes more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return " ".join(super().formatMessage(record).splitlines())


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def start(settings: Settings, process: str) -> logging.Logger:
    """Configure the root logger of this process and return the process's own."""
    handler = logging.StreamHandler()
    text = _Text("%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    handler.setFormatter(_Json() if settings.log_format == "json" else text)
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for noisy in ("aiokafka", "kafka", "urllib3", "asyncio", "faust", "mode"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
    log = logging.getLogger(f"millrace.{process}")
    for unknown in settings.unknown_variables():
        log.warning("%s", unknown)
    return log
