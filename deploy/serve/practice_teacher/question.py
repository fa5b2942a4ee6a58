"""What a chat request asks the practice teacher: which text, of which workload, and in which words it may answer.

Two prompts are understood: the workload's own request, and the label stage's, whose text is between the lines
`<text>` and `</text>`. A table of lines `CODE = label` makes the codes the answers; else the answers are labels. Pure.
It understands nothing else: it is a stand-in, not a language model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import BadInput
from schemas.rules.chat import FoundText, answer_for, find_text, label_in
from schemas.rules.normalise import normalise, text_key
from schemas.rules.privacy.redact import redact, without_tokens
from schemas.sections.intake import LABEL
from schemas.workload import Workload

_QUOTED: Final = re.compile(r"^<text>\n(.*?)\n</text>$", re.DOTALL | re.MULTILINE)
_CODE: Final = re.compile(r"^(\S{1,8}) = (.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class AskedQuestion:
    """A text to be judged, and the answers that are allowed, each with the label it means."""

    workload: Workload
    text: str  # redacted and normalised
    answers: Mapping[str, str]  # answer -> label
    before: str = ""  # what surrounds the answer where the application asks in its own words
    after: str = ""

    @property
    def key(self) -> str:
        """The hash under which the text's truth is filed."""
        return text_key(self.workload.name, self.text)


def questions_in(workloads: Iterable[Workload], request: Mapping[str, Any]) -> list[AskedQuestion]:
    """Return how each workload reads the request, those it does not fit left out.

    Raises:
        BadInput: a parameter is not understood.
    """
    choice = _choice(request)
    found = (_own_form(workload, request, choice) or _quoted(workload, request, choice) for workload in workloads)
    return [question for question in found if question is not None]


def _choice(request: Mapping[str, Any]) -> list[str] | None:
    """Return the answers the request is constrained to, in vLLM's spelling, or None."""
    if any(name.startswith("guided_") for name in request):
        # vLLM ignores it, and answers without a constraint.
        raise BadInput("guided_choice", request.get("guided_choice"), 'say structured_outputs: {"choice": [...]}')
    outputs = request.get("structured_outputs")
    if outputs is None:
        return None
    choice = outputs.get("choice") if isinstance(outputs, Mapping) else None
    if not isinstance(choice, list) or not choice or not all(isinstance(one, str) and one for one in choice):
        raise BadInput("structured_outputs", outputs, 'only {"choice": [...]} with texts is understood')
    return choice


def _own_form(workload: Workload, request: Mapping[str, Any], choice: list[str] | None) -> AskedQuestion | None:
    found = find_text(workload, {"messages": request.get("messages")})
    if not isinstance(found, FoundText) or _QUOTED.search(found.text):
        return None
    text = _as_filed(found.text)
    if choice is None:
        before, after = workload.request.answer.split(LABEL)
        return AskedQuestion(workload, text, {label: label for label in workload.labels}, before, after)
    answers = _labels_of(workload, choice)
    return AskedQuestion(workload, text, answers) if answers else None


def _quoted(workload: Workload, request: Mapping[str, Any], choice: list[str] | None) -> AskedQuestion | None:
    prompt = _last_user_message(request)
    quoted = list(_QUOTED.finditer(prompt))
    if not quoted:
        return None
    rest = prompt[: quoted[-1].start()] + prompt[quoted[-1].end() :]
    codes = {code: label for code, label in _CODE.findall(rest) if label in workload.labels}
    if codes and (choice is None or set(choice) <= codes.keys()):
        answers = {code: codes[code] for code in (choice or codes)}
    else:
        answers = _labels_of(workload, choice or workload.labels)
    return AskedQuestion(workload, _as_filed(quoted[-1].group(1)), answers) if answers else None


def _as_filed(text: str) -> str:
    """Return the text as truth is filed: raw or redacted, with or without tokens, it is the same text."""
    return normalise(redact(without_tokens(text)).text)


def _labels_of(workload: Workload, choice: Iterable[str]) -> dict[str, str]:
    """Return the label that each choice says, or nothing where one says none."""
    labels = {said: label_in(workload, said) or label_in(workload, answer_for(workload, said)) for said in choice}
    return {said: label for said, label in labels.items() if label is not None} if all(labels.values()) else {}


def _last_user_message(request: Mapping[str, Any]) -> str:
    messages = request.get("messages")
    said = [
        message.get("content")
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, Mapping) and message.get("role") == "user"
    ]
    return said[-1] if said and isinstance(said[-1], str) else ""
