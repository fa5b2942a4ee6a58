"""The promotion event from a job's evidence: identity, sequence and times are added here, figures stay. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from schemas.codec import from_datum, writer_schema
from schemas.errors import ContractError
from schemas.promotion import ModelPromotion

EVENT_TYPE: Final = "millrace.model.promotion.v1"
_FORMAT: Final = "millrace-evidence/1"
_PARTS: Final = (
    "event_id", "model_id", "model_version", "labels", "student_form", "base_model", "artifact", "data", "evaluation",
    "decision", "lineage",
)  # fmt: skip
_TIMES: Final = (("data", "time_from"), ("data", "time_to"), ("decision", "expires_at"))


def promotion_of(
    evidence: Mapping[str, Any], *, workload: str, request_id: str, run_id: str, version: str, now: datetime
) -> ModelPromotion:
    """Return the event of a finished run, its sequence still 0.

    Raises:
        ContractError: it is no evidence of this version.
    """
    if evidence.get("format") != _FORMAT:
        raise ContractError(f"evidence of format {evidence.get('format')!r}; this dispatcher reads {_FORMAT}")
    try:
        datum = {name: evidence[name] for name in _PARTS}
        for part, name in _TIMES:
            if datum[part].get(name):
                datum[part] = datum[part] | {name: datetime.fromisoformat(datum[part][name])}
        datum |= {
            "event_time": datetime.fromisoformat(evidence["finished"]), "recorded_time": now, "sequence": 0,
            "model_line": workload, "producer_version": version, "correlation_id": request_id, "causation_id": run_id,
        }  # fmt: skip
        return from_datum(ModelPromotion, datum)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ContractError(f"the evidence cannot be read: {error!r}") from error


def numbered(event: ModelPromotion, sequence: int) -> ModelPromotion:
    """Return the event with its place in the model line."""
    return replace(event, sequence=sequence)


def headers_of(event: ModelPromotion) -> list[tuple[str, bytes]]:
    """Return the CloudEvents attributes (Kafka binding, binary mode) and the writer schema."""
    values = {
        "ce_specversion": "1.0",
        "ce_id": event.event_id,
        "ce_source": "/millrace/dispatcher",
        "ce_type": EVENT_TYPE,
        "ce_subject": event.model_line,
        "ce_time": event.event_time.isoformat().replace("+00:00", "Z"),
        "content-type": "application/avro",
        "avro.schema": writer_schema(ModelPromotion).source,
    }
    return [(name, value.encode()) for name, value in values.items()]
