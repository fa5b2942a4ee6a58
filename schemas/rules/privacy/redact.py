"""Personal data out of a text: each piece becomes a typed placeholder, so that a text keeps its shape.

E-mail addresses, phone numbers, payment cards, IBANs, US social security numbers, IP addresses, keys and passwords;
account and passport numbers behind a word that says so. Patterns are linear in the text. With a key, a placeholder
carries a token by which the mentions of one person can be linked, and nothing can be looked up without that key.

It does not look for names (see deploy/edge/privacy/person_names.py), postal addresses, or secrets in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.rules.normalise import normalise, normalise_all
from schemas.rules.privacy import contacts, numbers, secrets
from schemas.rules.privacy.kinds import PLACEHOLDER, RULED, Kind, placeholder
from schemas.rules.privacy.rule import Span
from schemas.rules.privacy.signs import Sign, signs, suspects
from schemas.sections.intake import Privacy

_PASSES: Final = 6  # a replacement can separate digits that then read as something else, until nothing more is found
_HOLE: Final = "\x00"  # in place of a placeholder while rules search a text; `normalise` leaves none in any text


class Redacted(NamedTuple):
    """A text without personal data, and how many placeholders of each kind were put into it."""

    text: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is redacted of a text, and the key of the tokens; None: placeholders carry none."""

    kinds: frozenset[Kind] = RULED
    key: bytes | None = None


DEFAULT: Final = Policy()
EMAIL: Final = placeholder(Kind.EMAIL, "", None)
PHONE: Final = placeholder(Kind.PHONE, "", None)
SECRET: Final = placeholder(Kind.SECRET, "", None)

_ORDER: Final = list(Kind)
_RULES: Final = tuple(
    sorted((*secrets.RULES, *contacts.RULES, *numbers.RULES), key=lambda rule: _ORDER.index(rule.kind))
)
_CANONICAL: Final[dict[Kind, Callable[[str], str]]] = {rule.kind: rule.canonical for rule in _RULES} | {
    Kind.NAME: contacts.one_name
}


def policies(privacy: Privacy, key: bytes | None) -> dict[str, Policy]:
    """Return the policy of each source that a workload names, and under "" that of all others.

    Args:
        privacy: the workload's section.
        key: what the environment variable of `privacy.token_key_env` holds; None where none is named.
    """

    def policy(kinds: Iterable[Kind], names: str) -> Policy:
        return Policy(frozenset(kinds) | ({Kind.NAME} if names == "redact" else set()), key)

    default = {"": policy(privacy.kinds, privacy.names)}
    return default | {
        name: policy(privacy.kinds if own.kinds is None else own.kinds, own.names or privacy.names)
        for name, own in privacy.sources.items()
    }


def redact(text: str, policy: Policy = DEFAULT) -> Redacted:
    """Replace personal data by placeholders; a redacted text, redacted again, stays as it is.

    The normalised text is searched, so that wide or hidden characters hide nothing; a text that holds
    nothing to hide comes back as it was, any other one comes back normalised.
    """
    return _redacted(text, normalise(text), policy)


def redact_all(texts: Sequence[str], policy: Policy = DEFAULT) -> list[Redacted]:
    """Redact each text as `redact` does; one search over the whole batch is enough for most of its texts."""
    plain = normalise_all(texts)
    redacted = [Redacted(text, {}) for text in texts]
    for place in suspects(plain):
        redacted[place] = _redacted(texts[place], plain[place], policy)
    return redacted


def replace_spans(text: str, spans: Iterable[Span], kind: Kind, policy: Policy) -> Redacted:
    """Replace spans that were found by other means by placeholders of one kind.

    Args:
        text: perhaps with placeholders; a span that touches one is left out.
        spans: in any order; of two that overlap, the one that starts first wins.
        kind: of all of them.
        policy: whose key the tokens are made with.
    """
    taken = [match.span() for match in PLACEHOLDER.finditer(text)]
    parts: list[str] = []
    done = count = 0
    for start, end in sorted(spans):
        if start < done or any(start < last and first < end for first, last in taken):
            continue
        parts += [text[done:start], placeholder(kind, _CANONICAL[kind](text[start:end]), policy.key)]
        done = end
        count += 1
    return Redacted("".join((*parts, text[done:])), {kind.value: count} if count else {})


def without_tokens(text: str) -> str:
    """Return the text as if no key had linked its placeholders."""
    return PLACEHOLDER.sub(r"<\1>", text)


def _redacted(text: str, plain: str, policy: Policy) -> Redacted:
    """Run the rules until they find nothing more."""
    carried = signs(plain)
    if not carried:
        return Redacted(text, {})
    draft = _Draft(plain, policy)
    for _ in range(_PASSES):
        if not draft.take(carried):
            break
        carried = signs(draft.text)
    if not draft.counts:
        return Redacted(text, {})
    return Redacted(draft.filled(), dict(draft.counts))


class _Draft:
    """A text with holes in place of placeholders: what a rule cannot see, it cannot take apart."""

    def __init__(self, plain: str, policy: Policy) -> None:
        self._policy = policy
        self._held = [match[0] for match in PLACEHOLDER.finditer(plain)]
        self.text = PLACEHOLDER.sub(_HOLE, plain) if self._held else plain
        self.counts: Counter[str] = Counter()  # placeholders put in, by kind

    def take(self, carried: set[Sign]) -> bool:
        """Run every rule whose signs the text carries, once; return whether one found something."""
        found = False
        for rule in _RULES:
            if carried & rule.signs and (spans := list(rule.find(self.text))):
                self._hide(rule.kind, spans)
                found = True
        return found

    def filled(self) -> str:
        """Return the text with its placeholders."""
        first, *rest = self.text.split(_HOLE)
        return first + "".join(held + part for held, part in zip(self._held, rest, strict=True))

    def _hide(self, kind: Kind, spans: Sequence[Span]) -> None:
        """Replace spans by holes; what the policy keeps is hidden too, so that no other rule takes it."""
        parts: list[str] = []
        held: list[str] = []
        done = passed = 0
        for start, end in spans:
            between = self.text[done:start]
            before = passed + between.count(_HOLE)
            held += [*self._held[passed:before], self._instead(kind, self.text[start:end])]
            parts += [between, _HOLE]
            done, passed = end, before
        self._held = held + self._held[passed:]
        self.text = "".join((*parts, self.text[done:]))

    def _instead(self, kind: Kind, value: str) -> str:
        if kind not in self._policy.kinds:
            return value
        self.counts[kind.value] += 1
        return placeholder(kind, _CANONICAL[kind](value), self._policy.key)
