"""Other words for a text of a rare class: what the teacher is asked, and which lines of its answer count.

A paraphrase is part of its record's label, not as a record of its own: it is in the same cluster and split, ends with
the record that an erasure names, and the record still ends once. It is redacted like any text before it is stored.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Final

from deploy.edge.privacy.redactor import Redactor
from schemas.records import CuratedRecord
from schemas.rules.normalise import normalise
from schemas.workload import Workload
from streams.label.endings import LabelDecision
from streams.label.prompting.prompt import Prompt, paraphrase_prompt
from streams.label.teacher.client import Asks, Refused

_NUMBERED: Final = re.compile(r"^\s*\d{1,2}[.)]\s+(.+?)\s*$")
_WORD: Final = re.compile(r"\w")


async def paraphrased(
    teacher: Asks, redactor: Redactor, workload: Workload, record: CuratedRecord, verdict: LabelDecision
) -> LabelDecision:
    """Return the verdict with paraphrases, and what they cost; without any where the teacher gives none.

    Raises:
        SettingsError: the teacher's key, model or address is wrong.
    """
    prompt: Prompt = paraphrase_prompt(workload, record.text, verdict.label)
    calls = Counter(verdict.calls)
    try:
        answer = await teacher.ask(prompt, "paraphrase")
    except Refused as refused:
        calls.update({"paraphrase": 1, "retry": refused.calls - 1})
        return replace(verdict, calls=+calls, batched=teacher.batched)
    calls.update({"paraphrase": 1, "retry": answer.calls - 1})
    said = [] if answer.refused else numbered(answer.text, cut=answer.cut)
    clean = [redactor.redact(normalise(line), record.source).text for line in said]
    return replace(
        verdict,
        calls=+calls,
        prompt_tokens=verdict.prompt_tokens + answer.prompt_tokens,
        completion_tokens=verdict.completion_tokens + answer.completion_tokens,
        batched=teacher.batched,
        paraphrases=tuple(worth_keeping(clean, record.text, workload)),
    )


def numbered(answer: str, *, cut: bool) -> list[str]:
    """Return the numbered lines of an answer; what it says around them counts for nothing, nor a last line cut off."""
    lines = answer.splitlines()[: -1 if cut else None]
    return [found.group(1) for line in lines if (found := _NUMBERED.match(line))]


def worth_keeping(said: list[str], text: str, workload: Workload) -> list[str]:
    """Return the paraphrases that are texts of the workload, each once, none the text itself, as many as it wants."""
    kept = {text.casefold(): text}
    for one in said:
        if _WORD.search(one) and len(one) <= workload.limits.characters:
            kept.setdefault(one.casefold(), one)
    return list(kept.values())[1 : 1 + workload.augment.paraphrases]
