"""What calls to a teacher come to: their number, the tokens it counted, and money at the workload's price."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.workload import Price


@dataclass(frozen=True, slots=True)
class Spend:
    """Calls, and the tokens that the teacher counted for them."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    def money(self, price: Price) -> float:
        """Return what it costs, in the price's currency."""
        millionths = self.prompt_tokens * (price.prompt_per_million or 0.0)
        return (millionths + self.completion_tokens * (price.completion_per_million or 0.0)) / 1e6

    def of(self, kind: str, price: Price) -> float:
        """Return the amount of one kind."""
        if kind == "money":
            return self.money(price)
        return self.calls if kind == "calls" else self.prompt_tokens + self.completion_tokens
