"""The errors of Millrace, one tree, and the catalogue of dead-letter reasons.

MillraceError
├── BadInput            a person's or an application's mistake: names the field, the value and the remedy
│   ├── WorkloadError   a workload file that cannot be used
│   └── SettingsError   a setting or command option that cannot be used
├── RecordRejected      one record that can never be processed: it becomes a dead letter
├── ContractError       topics, schemas or artefacts that differ from what they must be
└── Unavailable         something outside that does not answer now: worth a retry
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

URL_CREDENTIALS: Final = re.compile(r"//\S*@")  # user and password, which may hold a slash


class MillraceError(Exception):
    """Root of every error that Millrace raises on purpose."""


class BadInput(MillraceError):
    """An input that cannot be used as it is: says which field, which value and what to do."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        self.field, self.value, self.remedy = field, value, remedy
        shown = "none" if value is None else URL_CREDENTIALS.sub("//…@", repr(value))
        super().__init__(f"{field} = {shown if len(shown) <= 200 else shown[:200] + '…'}: {remedy}")


class WorkloadError(BadInput):
    """A workload file that cannot be used."""


class SettingsError(BadInput):
    """A setting or command option that cannot be used."""


class DeadLetterReason(StrEnum):
    """Why a record became a dead letter. Codes are for ever: a reason may be added, never renamed."""

    BAD_ENCODING = "bad_encoding"  # neither our Avro, nor Confluent framing, nor JSON
    BAD_SCHEMA = "bad_schema"  # an unknown schema fingerprint, or bytes that do not fit their schema
    BAD_FIELD = "bad_field"  # a field is missing or of the wrong type
    UNKNOWN_WORKLOAD = "unknown_workload"
    NO_TEXT = "no_text"  # nothing to judge could be found in the record
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TOO_DEEP = "too_deep"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    UNKNOWN_LABEL = "unknown_label"  # the teacher answered outside the label set, twice
    TEACHER_REFUSED = "teacher_refused"  # the teacher's endpoint refused this record (4xx)
    PROCESSING_FAILED = "processing_failed"  # our own code failed on this record, again and again


class RecordRejected(MillraceError):
    """One record that can never be processed: why, in words and numbers of ours, and what is quoted of it.

    What is quoted may hold personal data, and so may the text of any exception that the record led to: a dead letter
    redacts it, and the message of this error leaves it out, so that a log may say it.
    """

    def __init__(self, reason: DeadLetterReason, detail: str, quoted: str = "") -> None:
        self.reason, self.detail, self.quoted = reason, detail, quoted
        super().__init__(f"{reason}: {detail}")


class ContractError(MillraceError):
    """A topic, schema or artefact that differs from what it must be."""


class Unavailable(MillraceError):
    """Something outside that does not answer now."""
