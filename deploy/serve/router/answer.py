"""A student's label in the form of a chat completion, plain or streamed, and errors in OpenAI's form. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

VARIANT: Final = "x-millrace-variant"
VERSION: Final = "x-millrace-model-version"
ROLLOUT: Final = "x-millrace-rollout-id"
FALLBACK: Final = "x-millrace-fallback"
REQUEST_ID: Final = "x-request-id"
DONE: Final = b"data: [DONE]\n\n"


def completion(request_id: str, created: int, model: str, content: str) -> dict[str, Any]:
    """Return a chat completion. A student uses none of the teacher's tokens, so usage says 0."""
    return {
        "id": f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def stream(request_id: str, created: int, model: str, content: str, *, usage: bool) -> bytes:
    """Return the same answer as server-sent events, with the closing usage chunk where the client asked for it."""
    base = {"id": f"chatcmpl-{request_id}", "object": "chat.completion.chunk", "created": created, "model": model}

    def chunk(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return base | {"choices": [choice]}

    chunks = [chunk({"role": "assistant", "content": content}, None), chunk({}, "stop")]
    if usage:
        chunks.append(base | {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}})
    return b"".join(event(item) for item in chunks) + DONE


def event(value: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def error(message: str, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """Return an error body as OpenAI's clients read it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def without_logprobs(response: dict[str, Any]) -> dict[str, Any]:
    """Return the teacher's response as the client would have got it, had the router not asked for log-probabilities."""
    choices = [choice | {"logprobs": None} for choice in response.get("choices", [])]
    return response | {"choices": choices}


def streamed_answer(events: bytes) -> tuple[str | None, str | None]:
    """Return content and model of a complete stream of chunks, or None where it has none."""
    content: list[str] = []
    model = None
    for line in events.splitlines():
        if not line.startswith(b"data: ") or line == b"data: [DONE]":
            continue
        try:
            chunk = orjson.loads(line[6:])
        except orjson.JSONDecodeError:
            continue
        model = chunk.get("model") or model
        content += [(choice.get("delta") or {}).get("content") or "" for choice in chunk.get("choices") or []]
    return ("".join(content) or None), model
