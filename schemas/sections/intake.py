"""The sections of the workload file that say what a request is, and what becomes of it before a label."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.rules.privacy.kinds import RULED, Kind
from schemas.sections.section import Positive, Section, Share

TEXT: Final = "{text}"
LABEL: Final = "{label}"
# What the detector chooses from: languages that financial news is commonly written in. More of them make it less sure:
# among 8 it is sure of 83 % of short headlines, among these 27 of 78 % (streams/curate/language.py).
_LANGUAGES: Final = "ar cs da de el en es fi fr he hi hu id it ja ko nl no pl pt ro ru sv tr uk vi zh"
LANGUAGES: Final = tuple(_LANGUAGES.split())


def _only_ruled(kinds: list[Kind] | None) -> list[Kind] | None:
    if Kind.NAME in (kinds or ()):
        raise ValueError('may not hold "name"; say names = "redact"')
    return kinds


class Request(Section):
    """How the text is found in a request, and how a label is written into an answer."""

    system: str | None = None  # the fixed system message; None: none is expected
    prompt: str = TEXT  # the last user message, with {text} in place of the text
    answer: str = LABEL  # the assistant's message, with {label} in place of the label

    @field_validator("prompt")
    @classmethod
    def _has_text(cls, value: str) -> str:
        if value.count(TEXT) != 1:
            raise ValueError("must contain {text} exactly once")
        return value

    @field_validator("answer")
    @classmethod
    def _has_label(cls, value: str) -> str:
        if value.count(LABEL) != 1:
            raise ValueError("must contain {label} exactly once")
        return value


class Limits(Section):
    """What a traffic record may be."""

    record_bytes: Annotated[int, Field(gt=0, le=1_000_000)] = 1_000_000  # as it arrives; the broker takes no more
    depth: Positive = 16  # of nested JSON
    string_characters: Positive = 200_000  # longest string anywhere in a request or response
    characters: Positive = 8_000  # of the text to judge
    age_days: Positive = 3_650
    future_seconds: Positive = 600


class SourcePrivacy(Section):
    """What is redacted differently in the texts of one source; a missing key is as for all others."""

    kinds: list[Kind] | None = None
    names: Literal["keep", "redact"] | None = None

    _ruled = field_validator("kinds")(_only_ruled)


class Privacy(Section):
    """Which personal data become placeholders."""

    kinds: list[Kind] = sorted(RULED)
    names: Literal["keep", "redact"] = "keep"  # of persons; to redact them needs a model
    names_model: str = "en_core_web_sm"  # an installed spaCy pipeline
    token_key_env: str | None = None  # name of the environment variable that holds the key of the tokens
    sources: dict[str, SourcePrivacy] = {}

    _ruled = field_validator("kinds")(_only_ruled)


class Duplicates(Section):
    """When two texts count as one."""

    similarity: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7  # Jaccard over word 1- and 2-grams
    horizon: Positive = 200_000  # clusters remembered per partition, oldest evicted first


class Quality(Section):
    """Which texts are not worth a label; each rule has a name, which its `discarded` records carry."""

    least_words: Positive = 1
    most_words: Positive | None = None
    least_characters: Positive = 2
    most_characters: Positive | None = None  # beyond limits.characters a record is a dead letter anyway
    symbols: Share = 0.5  # of the characters, how many may be neither letter, digit, space nor common punctuation
    repeated_words: Share = 0.6  # of the three-word sequences, how many may have come before in the text
    repeated_characters: Annotated[int, Field(ge=2)] = 40  # longest run of one character
    boilerplate: list[str] = []  # phrases; a text that is mostly made of them goes
    deny: list[str] = []  # words, phrases or /regular expressions/; a text with one of them goes
    allow: list[str] = []  # the same; where there are any, a text must have one
    languages: list[str] = []  # a text that is surely in another language goes; none: every language stays
    classifier: str | None = None  # a linear model file; relative to the folder of the workload files
    classifier_threshold: Share | None = None  # least score that stays; None: the file's own

    @model_validator(mode="after")
    def _least_is_below_most(self) -> Self:
        for least, most in (("least_words", "most_words"), ("least_characters", "most_characters")):
            low, high = getattr(self, least), getattr(self, most)
            if high is not None and low > high:
                raise ValueError(f"{least} = {low} is above {most} = {high}")
        if self.classifier_threshold is not None and self.classifier is None:
            raise ValueError("classifier_threshold needs a classifier")
        return self

    @field_validator("boilerplate", "deny", "allow")
    @classmethod
    def _says_something(cls, value: list[str]) -> list[str]:
        if any(not entry.strip() or entry == "//" for entry in value):
            raise ValueError("holds an empty entry, which every text would match; remove it")
        return value

    @field_validator("deny", "allow")
    @classmethod
    def _compiles(cls, value: list[str]) -> list[str]:
        for entry in value:
            try:
                re.compile(expression(entry))
            except re.error as error:
                raise ValueError(f"{entry} is no regular expression: {error}") from error
        return value

    @field_validator("languages")
    @classmethod
    def _are_known(cls, value: list[str]) -> list[str]:
        unknown = [name for name in value if name not in LANGUAGES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no language the detector knows; choose from {', '.join(LANGUAGES)}")
        return value


class Blend(Section):
    """How much of each source is kept, so that a loud feed does not fill the window."""

    default: Share = 1.0  # of a source that is not named
    sources: dict[str, Share] = {}


class Caps(Section):
    """Most curated records of one origin within a stretch of arrival time: one party cannot fill the window."""

    hours: Positive = 1  # length of a stretch, by the broker's clock
    source: Positive | None = None  # of one source; None: no cap
    client: Positive | None = None  # of one client
    api_key: Positive | None = None  # of one API key
    cluster: Positive | None = None  # votes on one near-duplicate cluster


class Enrich(Section):
    """Facts of a text beyond those that cost next to nothing."""

    language: bool = False  # 35 to 90 microseconds per record; quality.languages turns it on too


def is_expression(entry: str) -> bool:
    """Return whether an entry of a list is a regular expression: it is written between slashes."""
    return len(entry) > 1 and entry.startswith("/") and entry.endswith("/")


def expression(entry: str) -> str:
    """Return the regular expression of an entry of a list; words match whole."""
    return entry[1:-1] if is_expression(entry) else rf"(?<!\w){re.escape(entry.strip())}(?!\w)"
