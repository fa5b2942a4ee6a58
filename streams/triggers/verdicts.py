"""The numbers every statistical verdict carries, under the same names. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from schemas.events import TriggerVerdict


@dataclass(frozen=True, slots=True)
class Test:
    """One look of a test: it fires where the statistic reaches its threshold and the effect its floor."""

    statistic: float
    threshold: float
    effect: float
    floor: float
    nominal: float  # false alarms between two requests, over all looks
    n: float  # effective
    reference_n: float  # effective
    look: int

    @property
    def fires(self) -> bool:
        """Return whether the change is both proven and large enough to matter."""
        return self.statistic >= self.threshold and self.effect >= self.floor

    def verdict(self, trigger: str, measured: str) -> TriggerVerdict:
        """Return the verdict; `measured` says in words what the effect is."""
        proven = self.statistic >= self.threshold
        evidence = f"statistic {self.statistic:.1f} {'reaches' if proven else 'is below'} {self.threshold:.1f}"
        size = f"{measured} {'reaches' if self.effect >= self.floor else 'is below'} the floor of {self.floor:g}"
        numbers = {name: float(value) for name, value in asdict(self).items()}
        why = f"After {self.n:,.0f} labels against {self.reference_n:,.0f}: {size}, {evidence}."
        return TriggerVerdict(trigger=trigger, fired=self.fires, numbers=numbers, explanation=why)


def waiting(trigger: str, why: str) -> TriggerVerdict:
    """Return the verdict of a trigger that has nothing to judge yet."""
    return TriggerVerdict(trigger=trigger, fired=False, explanation=why)
