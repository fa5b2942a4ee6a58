"""Text in, label out: how a workload's text is found in a chat request and its label in an answer, and the way back.

Shared by curate, the label stage and the router, so that a student can replace the teacher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.ids import digest
from schemas.sections.intake import LABEL, TEXT
from schemas.workload import Workload

# Request parameters under which a student's single label could not replace the teacher's answer.
_NOT_FOR_STUDENTS: Final = ("tools", "functions", "response_format", "audio", "modalities", "prediction")


@dataclass(frozen=True)
class FoundText:
    """The text of a request that follows the workload's template."""

    text: str
    template: str  # fingerprint of the prompt's fixed part


@dataclass(frozen=True)
class Ineligible:
    """A request that only the teacher can answer, and why."""

    reason: str


def template_fingerprint(workload: Workload) -> str:
    """Return the fingerprint of the workload's own prompt template."""
    return digest("template", workload.request.system or "", workload.request.prompt)


def find_text(workload: Workload, request: Mapping[str, Any]) -> FoundText | Ineligible:
    """Find the workload's text in a chat-completion request, or say why a student may not answer it."""
    reason = _refused_parameter(request) or _refused_messages(workload, request.get("messages"))
    if reason:
        return Ineligible(reason)
    prompt = _one_text(request["messages"][-1]["content"]) or ""
    before, after = workload.request.prompt.split(TEXT)
    if not (prompt.startswith(before) and prompt.endswith(after) and len(prompt) > len(before) + len(after)):
        return Ineligible("template")
    return FoundText(prompt[len(before) : len(prompt) - len(after)], template_fingerprint(workload))


def _refused_parameter(request: Mapping[str, Any]) -> str | None:
    if request.get("n") not in (None, 1):
        return "n"
    return next((name for name in _NOT_FOR_STUDENTS if request.get(name)), None)


def _refused_messages(workload: Workload, messages: Any) -> str | None:
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        return "messages"
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    if roles not in (["user"], ["system", "user"], ["developer", "user"]):
        return "turns"
    contents = [_one_text(message.get("content")) for message in messages]
    if None in contents:
        return "modality"
    system = contents[0] if len(contents) == 2 else None
    return None if (system or None) == (workload.request.system or None) else "system"


def _one_text(content: Any) -> str | None:
    """Return a message's content where it is one text: a string, or a list of a single part of type `text`."""
    if isinstance(content, Sequence) and not isinstance(content, str) and len(content) == 1:
        part = content[0]
        content = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
    return content if isinstance(content, str) else None


def messages_for(workload: Workload, text: str) -> list[dict[str, str]]:
    """Return the chat messages that ask the workload's question about a text."""
    system = [{"role": "system", "content": workload.request.system}] if workload.request.system else []
    return [*system, {"role": "user", "content": workload.request.prompt.replace(TEXT, text)}]


def answer_for(workload: Workload, label: str) -> str:
    """Return the assistant's message that says the label."""
    return workload.request.answer.replace(LABEL, label)


def label_in(workload: Workload, answer: str) -> str | None:
    """Return the label an answer says, or None where it says none of the set (or more than the answer form allows).

    A label's own spelling wins; else case, quotes, stars and full stops around it are ignored while it stays unique.
    """
    names = [(label, label) for label in workload.labels] + list(workload.aliases.items())
    for said in _readings(workload, answer.strip()):
        for spelled in (_folded, _undecorated):
            wanted = spelled(said)
            found = {label: None for name, label in names if wanted and spelled(name) == wanted}
            if len(found) == 1 or (found and spelled is _folded):
                return next(iter(found))
    return None


def _readings(workload: Workload, said: str) -> list[str]:
    """Return what may be the label: the part that the answer form leaves, then the whole."""
    before, after = (part.strip() for part in workload.request.answer.split(LABEL))
    fits = said.startswith(before) and said.endswith(after) and len(said) >= len(before) + len(after)
    if not fits or not (before or after):
        return [said]
    return [said[len(before) : len(said) - len(after)], said]


def _folded(name: str) -> str:
    return name.casefold().strip()


def _undecorated(name: str) -> str:
    return name.strip().strip("\"'`.*").strip().casefold()


def answer_in(response: Mapping[str, Any]) -> str | None:
    """Return the text of a chat-completion response, or None where it has none (a tool call, an error)."""
    choices = response.get("choices")
    if not isinstance(choices, Sequence) or not choices or not isinstance(choices[0], Mapping):
        return None
    message = choices[0].get("message")
    return _one_text(message.get("content")) if isinstance(message, Mapping) else None
