"""A workload's redaction as a process carries it out: policies by source, the tokens' key from the environment, names.

Worker and router build it at their start from the same workload file, so that a student is asked what it was taught.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from deploy.edge.privacy.person_names import Names, PresidioNames
from schemas.errors import SettingsError
from schemas.rules.privacy.kinds import Kind
from schemas.rules.privacy.redact import Policy, Redacted, policies, redact_all, replace_spans
from schemas.sections.intake import Privacy
from schemas.workload import Workload

LEAST_KEY_BYTES: Final = 16


class Redactor:
    """Redacts the texts of one workload."""

    def __init__(self, by_source: Mapping[str, Policy], names: Names | None = None) -> None:
        """Take what was decided at the start.

        Args:
            by_source: policies; "" for all other sources.
            names: finds names; needed where a policy redacts them.
        """
        self._policies, self._names = by_source, names

    def policy(self, source: str = "") -> Policy:
        """Return the policy of a source."""
        return self._policies.get(source) or self._policies[""]

    def redact(self, text: str, source: str = "") -> Redacted:
        """Redact one text."""
        (redacted,) = self.redact_all([text], [source])
        return redacted

    def redact_all(self, texts: Sequence[str], sources: Sequence[str]) -> list[Redacted]:
        """Redact each text as its source asks for: of normalised texts, normalised ones come back.

        Args:
            texts: of any sources.
            sources: of each text; "" where none is known.
        """
        if len(self._policies) == 1:
            return self._under(self._policies[""], texts)
        redacted = [Redacted("", {})] * len(texts)
        by_policy: dict[Policy, list[int]] = {}
        for place, source in enumerate(sources):
            by_policy.setdefault(self.policy(source), []).append(place)
        for policy, places in by_policy.items():
            found = self._under(policy, [texts[place] for place in places])
            for place, one in zip(places, found, strict=True):
                redacted[place] = one
        return redacted

    def _under(self, policy: Policy, texts: Sequence[str]) -> list[Redacted]:
        redacted = redact_all(texts, policy)
        if self._names is None or Kind.NAME not in policy.kinds:
            return redacted
        spans = self._names.find([one.text for one in redacted])
        named = [replace_spans(one.text, s, Kind.NAME, policy) for one, s in zip(redacted, spans, strict=True)]
        return [Redacted(new.text, one.counts | new.counts) for one, new in zip(redacted, named, strict=True)]


def redactors(workloads: Mapping[str, Workload], environment: Mapping[str, str] = os.environ) -> dict[str, Redactor]:
    """Return the redactor of each workload; a model of names is loaded once, however many want it.

    Raises:
        SettingsError: a key is not set or too short, or a model of names is not installed.
    """
    models: dict[str, Names] = {}
    made = {}
    for name, workload in workloads.items():
        privacy, field = workload.privacy, f"{name}: privacy"
        own = policies(privacy, _key(field, privacy, environment))
        wanted = any(Kind.NAME in policy.kinds for policy in own.values())
        if wanted and privacy.names_model not in models:
            models[privacy.names_model] = PresidioNames(f"{field}.names_model", privacy.names_model)
        made[name] = Redactor(own, models[privacy.names_model] if wanted else None)
    return made


def _key(field: str, privacy: Privacy, environment: Mapping[str, str]) -> bytes | None:
    variable = privacy.token_key_env
    if variable is None:
        return None
    key = environment.get(variable, "").encode()
    if not key:
        raise SettingsError(
            f"{field}.token_key_env", variable, "is not set; put the tokens' key in it, the same for worker and router"
        )
    if len(key) < LEAST_KEY_BYTES:  # neither the key nor its length is shown
        raise SettingsError(
            f"{field}.token_key_env", variable, f"holds less than {LEAST_KEY_BYTES} bytes; draw a longer key at random"
        )
    return key
