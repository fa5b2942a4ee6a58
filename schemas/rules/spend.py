"""What calls to a teacher come to: their number, the tokens it counted, and money at the workload's price."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.records import LabelRecord
from schemas.workload import Price


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
        """Return what calls of one way come to."""
        counts = (calls, prompt_tokens, completion_tokens)
        return cls(*counts, *counts) if batched else cls(*counts)

    @classmethod
    def of_label(cls, record: LabelRecord) -> Spend:
        """Return what a label says it cost."""
        counts = (record.teacher_calls, record.prompt_tokens, record.completion_tokens)
        return cls.of_calls(*counts, batched=record.batched)

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
        """Return what it costs, in the price's currency; what went in batches at their share of the price."""
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
