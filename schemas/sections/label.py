"""The sections of the workload file that say which records get a label, who labels, on what terms and for how much."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.sections.section import Positive, Seconds, Section, Share


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
    """What the teacher may cost; beyond it labelling pauses until the hour or day (UTC) ends, or for good."""

    hour: Allowance = Allowance()
    day: Allowance = Allowance()
    total: Allowance = Allowance()


class Batches(Section):
    """Old records are asked about through the endpoint's batches."""

    after_hours: Annotated[float, Field(gt=0)] | None = None  # records this old on arrival are backfill; None: none
    records: Annotated[int, Field(gt=0, le=20_000)] = 5_000  # requests in one batch at most; as many wait in work


class Teacher(Section):
    """The endpoint that labels, and its terms."""

    url: str = "http://127.0.0.1:8001/v1"
    model: str = "teacher"
    api_key_env: str | None = None  # name of the environment variable that holds the key
    may_train: bool = False  # the teacher's terms allow to train on its answers; false: nothing is trained
    concurrency: Positive = 32  # most calls at a time; a lower limit of the endpoint is found by itself
    timeout_seconds: Seconds = 30.0  # of one call
    deadline_seconds: Seconds = 120.0  # of one record's calls together
    attempts: Positive = 5  # failures on one record, before it is a dead letter while others are answered
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 20
    votes: Positive = 1  # answers asked for where one comes without usable log-probabilities; odd
    reasoning_tokens: Annotated[int, Field(ge=0)] = 0  # the most that a reasoning teacher may think; 0: it does not
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
