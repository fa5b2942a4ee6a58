"""Who answers a request: pure decisions from the request, the workload and what the line serves now.

Knows nothing of HTTP, Kafka or clocks; takes microseconds. Analysis is by the *assigned* variant, so the assignment is
decided here once and never changed by what happens later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.events import ServedModel
from schemas.ids import digest
from schemas.promotion import RolloutLimits
from schemas.records import Variant
from schemas.rules.bucketing import bucket
from schemas.rules.chat import FoundText, Ineligible, find_text
from schemas.workload import Workload

Served = ServedModel | None  # None: the teacher


@dataclass(frozen=True)
class LineView:
    """What this router serves of a model line: the controller's state after local caps and what is really loaded."""

    champion: Served = None
    challenger: ServedModel | None = None
    weight: float = 0.0
    shadow: bool = False
    rollout_id: str | None = None
    epoch: int = 0
    sequence: int = 0
    limits: RolloutLimits | None = None  # of the rollout in flight; None: the workload's


class Reference(StrEnum):
    """When the teacher is asked besides the student, off the hot path."""

    NEVER = "never"
    ALWAYS = "always"
    ON_DISAGREEMENT = "on_disagreement"


@dataclass(frozen=True)
class CallPlan:
    """The calls a request leads to."""

    assigned: Variant
    servers: tuple[Served, ...]  # in order: each is asked where the one before it fails
    aside: Served = None  # the student that is asked off the hot path
    reference: Reference = Reference.NEVER
    audit: bool = False  # the reference was chosen uniformly at random
    propensity: float | None = None  # probability that the teacher labels this request; None where it is not known


def eligibility(workload: Workload, request: Mapping[str, Any]) -> FoundText | Ineligible:
    """Find the text a student may judge, or say why only the teacher can answer."""
    if request.get("logprobs"):
        return Ineligible("logprobs")
    return find_text(workload, request)


def plan(workload: Workload, view: LineView, sticky: str, request_id: str) -> CallPlan:
    """Decide the calls of an eligible request."""
    challenged = view.challenger is not None and view.rollout_id is not None
    assigned = challenged and not view.shadow and bucket(view.rollout_id or "", sticky) < view.weight
    if view.champion is None:
        if assigned:
            return _first_canary(workload, view, request_id)
        share = 0.0 if view.shadow else view.weight * (1 - _paired_share(workload, view))
        aside = view.challenger if challenged and view.shadow else None
        return CallPlan(Variant.CHAMPION, (None,), aside=aside, propensity=1.0 - share)
    audit = _drawn(workload, "audit", request_id) < workload.audit.share
    aside = None
    if assigned:
        servers: tuple[Served, ...] = (view.challenger, view.champion, None)
        aside = view.champion
    else:
        servers = (view.champion, None)
        aside = view.challenger if challenged and view.shadow else None
    reference = Reference.NEVER
    if audit:
        reference = Reference.ALWAYS
    elif aside is not None:
        reference = Reference.ON_DISAGREEMENT
    variant = Variant.CHALLENGER if assigned else Variant.CHAMPION
    return CallPlan(variant, servers, aside, reference, audit, workload.audit.share if audit else None)


def _first_canary(workload: Workload, view: LineView, request_id: str) -> CallPlan:
    """The challenger answers; of a uniform share the teacher says what it would have answered."""
    share = _paired_share(workload, view)
    paired = _drawn(workload, "paired", request_id) < share
    propensity = 1.0 - view.weight * (1 - share) if paired else None
    reference = Reference.ALWAYS if paired else Reference.NEVER
    return CallPlan(Variant.CHALLENGER, (view.challenger, None), None, reference, paired, propensity)


def _paired_share(workload: Workload, view: LineView) -> float:
    return max((view.limits or workload.rollout).paired_share, workload.audit.share)


def _drawn(workload: Workload, purpose: str, request_id: str) -> float:
    return bucket(digest(purpose, workload.name), request_id)
