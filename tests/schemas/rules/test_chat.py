"""Text in, label out: the way there and the way back meet."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.rules.chat import FoundText, Ineligible, answer_for, answer_in, find_text, label_in, messages_for
from schemas.sections.intake import LABEL, TEXT
from schemas.workload import Workload


def plain(less: str) -> st.SearchStrategy[str]:
    return st.text(max_size=20).filter(lambda text: less not in text)


def workload_of(**values: object) -> Workload:
    try:
        return Workload.model_validate({"name": "w", "labels": ["good", "bad"]} | values)
    except ValidationError:
        assume(False)
        raise


@given(plain(TEXT), plain(TEXT), st.none() | st.text(max_size=20), st.text(min_size=1))
def test_find_text__of_our_own_messages(before, after, system, text):
    """Whatever the template, the text that we ask about is the text that is found."""
    prompt = before + TEXT + after
    assume(prompt.count(TEXT) == 1)
    workload = workload_of(request={"prompt": prompt, "system": system})

    found = find_text(workload, {"model": "w", "messages": messages_for(workload, text)})

    assert isinstance(found, FoundText)
    assert found.text == text


@given(st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=6), plain(LABEL), plain(LABEL), st.data())
def test_label_in__of_our_own_answer(labels, before, after, data):
    """Whatever the labels and the answer form, the label that is said is the label that is read."""
    form = before + LABEL + after
    assume(form.count(LABEL) == 1)
    workload = workload_of(labels=labels, request={"answer": form})
    label = data.draw(st.sampled_from(labels))

    assert label_in(workload, answer_for(workload, label)) == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("good", "good"), (" GOOD\n", "good"), ('"good".', "good"), ("**good**", "good"), ("U.S.", "U.S."),
        ("u.s", "U.S."), ("fine", "good"), ("ugly", None), ("", None), ("...", None), ("good or bad", None),
    ],
)  # fmt: skip
def test_label_in__what_teachers_write(answer, label):
    """Case, quotes, stars and full stops are forgiven; anything more is no label."""
    workload = Workload(name="w", labels=["good", "bad", "U.S."], aliases={"fine": "good"})

    assert label_in(workload, answer) == label


MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"messages": MESSAGES, "tools": [{}]}, "tools"),
        ({"messages": MESSAGES, "n": 2}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({}, "messages"),
        ({"messages": ["hello"]}, "turns"),
        ({"messages": [*MESSAGES, {"role": "assistant", "content": "x"}]}, "turns"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "modality"),
        ({"messages": [{"role": "system", "content": "x"}, *MESSAGES]}, "system"),
        ({"messages": [{"role": "user", "content": ""}]}, "template"),
    ],
)
def test_find_text__only_the_teacher_can_answer(request_, reason):
    """A request that one label cannot answer is recognised, with its reason."""
    assert find_text(workload_of(), request_) == Ineligible(reason)


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["messages", "role", "content", "n", "choices", "message"]), inner)))  # fmt: skip
def test_foreign_json__never_raises(value):
    """Whatever JSON object comes in, it has a text, or a reason; an answer, or none."""
    workload = workload_of()
    outer = value if isinstance(value, dict) else {"messages": value, "choices": value}

    assert isinstance(find_text(workload, outer), FoundText | Ineligible)
    assert answer_in(outer) is None or isinstance(answer_in(outer), str)
