"""What calls to a teacher cost: their number, the tokens it counted, and money at the workload's price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.errors import DeadLetterReason
from schemas.records import Ceiling, DeadLetter, LabelKind, LabelRecord, Record
from schemas.sections.label import Price

_ASKED: Final = (DeadLetterReason.UNKNOWN_LABEL, DeadLetterReason.TEACHER_REFUSED)


@dataclass(frozen=True, slots=True)
class Spend:
    """Calls, and the tokens that the teacher counted for them; beside them those of all that went in batches."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    batched_calls: int = 0
    batched_prompt_tokens: int = 0
    batched_completion_tokens: int = 0

    @classmethod
    def of_calls(cls, calls: int, prompt_tokens: int, completion_tokens: int, *, batched: bool) -> Spend:
        """Return what calls cost, all of them batched or none."""
        counts = (calls, prompt_tokens, completion_tokens)
        return cls(*counts, *counts) if batched else cls(*counts)

    def __add__(self, other: Spend) -> Spend:
        return Spend(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.batched_calls + other.batched_calls,
            self.batched_prompt_tokens + other.batched_prompt_tokens,
            self.batched_completion_tokens + other.batched_completion_tokens,
        )

    def money(self, price: Price) -> float:
        """Return what it costs, in the price's currency; batched calls at their share of the price."""
        saved = 1.0 - price.batch_share
        prompt = self.prompt_tokens - saved * self.batched_prompt_tokens
        completion = self.completion_tokens - saved * self.batched_completion_tokens
        millionths = prompt * (price.prompt_per_million or 0.0) + completion * (price.completion_per_million or 0.0)
        return millionths / 1e6

    def of(self, kind: str, price: Price) -> float:
        """Return the amount of one kind."""
        if kind == "money":
            return self.money(price)
        return self.calls if kind == "calls" else self.prompt_tokens + self.completion_tokens


def cost_of(record: Record) -> Spend | None:
    """Return what a record of `labels`, `dead-letters` or `ceilings` says its teacher cost; None: nothing.

    A dead letter of the label stage knows its calls, not their tokens.
    """
    if isinstance(record, DeadLetter):
        asked = record.stage == "label" and record.reason in _ASKED
        return Spend(calls=record.attempts) if asked else None
    if not isinstance(record, Ceiling | LabelRecord) or getattr(record, "kind", None) is LabelKind.ERASURE:
        return None
    batched = isinstance(record, LabelRecord) and record.batched
    return Spend.of_calls(record.teacher_calls, record.prompt_tokens, record.completion_tokens, batched=batched)
