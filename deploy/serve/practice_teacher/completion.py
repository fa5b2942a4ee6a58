"""A chat completion in OpenAI's form, whole or streamed, with log-probabilities and usage counts. Pure.

The answer is one token, with every allowed answer among its alternatives; what surrounds it is certain.
Tokens of the prompt are counted by words and signs: near enough for a budget, not what any real tokenizer counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

NEVER: Final = -9999.0  # how vLLM writes the log-probability of what cannot be said
_PIECE: Final = re.compile(r"\w+|[^\w\s]")
_TOKENS_A_MESSAGE: Final = 4


@dataclass(frozen=True)
class Spoken:
    """One piece of an answer, with the probability of everything that could have stood there."""

    text: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Reply:
    """What is answered, `n` times over."""

    id: str
    created: int
    model: str
    pieces: Sequence[Spoken]
    n: int
    top_logprobs: int | None  # None: no log-probabilities
    prompt_tokens: int

    @property
    def usage(self) -> dict[str, int]:
        """Token counts."""
        completion = self.n * sum(map(count_tokens, (piece.text for piece in self.pieces)))
        total = self.prompt_tokens + completion
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": completion, "total_tokens": total}


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has: its words and signs."""
    return len(_PIECE.findall(text))


def count_prompt(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return about how many tokens the messages have."""
    return sum(_TOKENS_A_MESSAGE + count_tokens(str(message.get("content", ""))) for message in messages)


def whole(reply: Reply) -> dict[str, Any]:
    """Return the completion as one object."""
    content = "".join(piece.text for piece in reply.pieces)
    logprobs = _logprobs(reply.pieces, reply.top_logprobs)
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": content, "refusal": None},
            "logprobs": logprobs,
            "finish_reason": "stop",
        }
        for index in range(reply.n)
    ]
    return _head(reply, "chat.completion") | {"choices": choices, "usage": reply.usage}


def streamed(reply: Reply, *, include_usage: bool) -> Iterator[bytes]:
    """Return the completion as server-sent events: the role, the pieces, the end, the usage where it is asked for."""
    for index in range(reply.n):
        yield _event(reply, index, {"role": "assistant", "content": ""}, include_usage=include_usage)
        for piece in reply.pieces:
            logprobs = _logprobs([piece], reply.top_logprobs)
            yield _event(reply, index, {"content": piece.text}, logprobs=logprobs, include_usage=include_usage)
        yield _event(reply, index, {}, finish="stop", include_usage=include_usage)
    if include_usage:
        yield _sse(_head(reply, "chat.completion.chunk") | {"choices": [], "usage": reply.usage})
    yield b"data: [DONE]\n\n"


def _event(
    reply: Reply,
    index: int,
    delta: Mapping[str, Any],
    *,
    include_usage: bool,
    logprobs: Mapping[str, Any] | None = None,
    finish: str | None = None,
) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    chunk = _head(reply, "chat.completion.chunk") | {"choices": [choice]}
    return _sse(chunk | {"usage": None} if include_usage else chunk)


def _sse(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def _head(reply: Reply, kind: str) -> dict[str, Any]:
    return {"id": reply.id, "object": kind, "created": reply.created, "model": reply.model}


def _logprobs(pieces: Sequence[Spoken], top: int | None) -> dict[str, Any] | None:
    if top is None:
        return None
    content = []
    for piece in pieces:
        likeliest = sorted(piece.probabilities.items(), key=lambda item: -item[1])[:top]
        said = _token(piece.text, piece.probabilities.get(piece.text, 0.0))
        content.append(said | {"top_logprobs": [_token(text, probability) for text, probability in likeliest]})
    return {"content": content, "refusal": None}


def _token(text: str, probability: float) -> dict[str, Any]:
    logprob = math.log(probability) if probability > 0 else NEVER
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
