"""What is sent to a chat endpoint for a prompt, and what its answer says. Pure.

An answer is the message without its thoughts: `reasoning_content` is ignored, and so is all up to `</think>`; a thought
that is not closed leaves nothing. A refusal is recognised by `message.refusal` or the finish reason `content_filter`, a
cut answer by `length`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.rules.chat import answer_in
from schemas.sections.label import Teacher
from streams.label.prompting.probabilities import TopToken
from streams.label.prompting.prompt import Prompt

OPTIONAL: Final = ("structured_outputs", "logprobs", "temperature")  # parameters that an endpoint may not know
RENAMED: Final = "max_completion_tokens"  # what some endpoints want in place of `max_tokens`
VOTE_TEMPERATURE: Final = 0.7  # of the answers after the first: at 0 they would all be the same
_CODE_TOKENS, _LABEL_TOKENS = 4, 32
_THOUGHT: Final = re.compile(r"\A.*</think>|<think>.*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the teacher said, and what it cost."""

    text: str
    model: str
    top: tuple[TopToken, ...]  # the first token, then its alternatives; empty where the endpoint gave none
    prompt_tokens: int
    completion_tokens: int
    calls: int = 1
    refused: bool = False
    cut: bool = False


def request(teacher: Teacher, prompt: Prompt, *, vote: bool, left_out: Collection[str]) -> dict[str, Any]:
    """Return the request's body; `left_out` names what the endpoint does not know."""
    least = _CODE_TOKENS if prompt.coded else _LABEL_TOKENS
    most = teacher.reasoning_tokens + (prompt.tokens or least)
    limit = RENAMED if RENAMED in left_out else "max_tokens"
    body: dict[str, Any] = {
        "model": teacher.model,
        "messages": list(prompt.messages),
        "temperature": VOTE_TEMPERATURE if vote else 0,
        limit: most,
    }
    if prompt.choices:
        body["structured_outputs"] = {"choice": list(prompt.choices)}
    if prompt.coded and teacher.top_logprobs and not vote and "logprobs" not in left_out:
        body |= {"logprobs": True, "top_logprobs": teacher.top_logprobs}
    return {name: value for name, value in body.items() if name == RENAMED or name not in left_out}


def unknown_parameter(refusal: str, sent: Mapping[str, Any]) -> str | None:
    """Return what to leave out (or to rename) of what was sent, where an endpoint's refusal names it."""
    if RENAMED in refusal and "max_tokens" in sent:
        return RENAMED
    return next((name for name in OPTIONAL if name in refusal and name in sent), None)


def answer(teacher: Teacher, body: Mapping[str, Any]) -> Answer | None:
    """Return what a chat completion says; None where it is none."""
    choice = _first_choice(body)
    refused = _refused(choice)
    cut = choice.get("finish_reason") == "length"
    text = answer_in(body)
    if text is None and not refused and not cut:
        return None
    usage = body.get("usage")
    model = body.get("model")
    return Answer(
        text=_THOUGHT.sub("", text or "").strip(),
        model=model if isinstance(model, str) and model else teacher.model,
        top=_top(choice),
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        refused=refused,
        cut=cut,
    )


def _first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) and isinstance(first.get("message"), dict) else {}


def _refused(choice: Mapping[str, Any]) -> bool:
    return bool(choice) and bool(choice["message"].get("refusal") or choice.get("finish_reason") == "content_filter")


def _top(choice: Mapping[str, Any]) -> tuple[TopToken, ...]:
    """Return the first token and then its alternatives; empty where they are missing or malformed."""
    try:
        first = choice["logprobs"]["content"][0]
        found = {str(first["token"]): float(first["logprob"])}
        found |= {str(item["token"]): float(item["logprob"]) for item in first["top_logprobs"]}
    except (KeyError, IndexError, TypeError, ValueError):
        return ()
    return tuple(found.items())


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and value >= 0 else 0
