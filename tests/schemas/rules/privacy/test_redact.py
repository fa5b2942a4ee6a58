"""Personal data goes, figures stay."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum import luhn

from benchmarks.planted_privacy import FORMS
from schemas.rules.normalise import normalise
from schemas.rules.privacy.kinds import RULED, Kind
from schemas.rules.privacy.redact import Policy, policies, redact, redact_all, replace_spans, without_tokens
from schemas.sections.intake import Privacy, SourcePrivacy
from tests.schemas.rules.privacy.personal import HARMLESS, PERSONAL, SECRETS

KEY = b"0123456789abcdef"
KEYED = Policy(key=KEY)

_CHARACTERS = st.text("0123456789 +-.()/@abcDE,:\n$%\u200b\uff20\u0663é", max_size=80)
_PIECES = st.sampled_from(
    [*(text for text, _ in PERSONAL), *HARMLESS, *(text for text, _ in SECRETS), "<EMAIL>", "<PHONE:5f2c9a1b0d3e>", "|"]
)
_GLUE = st.sampled_from(["", " ", "|", "\n", "é ", "İ ", ", ", "<", ">"])
_MIXED = st.lists(st.tuples(_PIECES | _CHARACTERS, _GLUE), max_size=4).map(
    lambda parts: "".join(piece + glue for piece, glue in parts)
)


@pytest.mark.parametrize(("text", "expected"), PERSONAL)
def test_redact__personal_data__becomes_a_placeholder(text: str, expected: str) -> None:
    """Every known form of personal data goes, and what surrounds it stays."""
    assert redact(text).text == expected


@pytest.mark.parametrize(("text", "expected"), SECRETS)
def test_redact__secrets__become_a_placeholder(text: str, expected: str) -> None:
    """Keys of known form, passwords in URLs, and random strings behind a telling word go."""
    assert redact(text).text == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_redact__figures_that_are_not_personal__stay(text: str) -> None:
    """Order numbers, prices, volumes, dates, versions, tickers and identifiers of securities come back as they were."""
    assert redact(text) == (text, {})


def test_redact__every_kind_with_rules__is_tried_and_measured():
    """Each kind has a text that must go, and forms in which the benchmark of redaction plants it."""
    gone = " ".join(expected for _, expected in (*PERSONAL, *SECRETS))

    assert {kind for kind in RULED if f"<{kind.name}>" not in gone} == set()
    assert set(FORMS) == {kind.value for kind in RULED}


@given(_CHARACTERS | _MIXED, st.sampled_from([Policy(), KEYED]))
def test_redact__twice__changes_nothing_more(text: str, policy: Policy) -> None:
    """A redacted text, normalised or not, with tokens or without, holds nothing to redact."""
    once = redact(text, policy).text

    assert redact(once, policy) == (once, {})
    assert redact(normalise(once), policy).counts == {}


@given(st.lists(_CHARACTERS | _MIXED, max_size=8), st.sampled_from([Policy(), KEYED, Policy(frozenset({Kind.EMAIL}))]))
@example(["İ" * 30 + " pwd=abc#1234", "another é"], Policy())  # İ grows when made small: places would shift
def test_redact_all__is_redact_of_each(texts: list[str], policy: Policy) -> None:
    """A batch gives what its texts give alone, whatever is beside them."""
    assert redact_all(texts, policy) == [redact(text, policy) for text in texts]


@given(st.text(max_size=200))
def test_redact__text_without_a_sign__comes_back_as_it_was(text: str) -> None:
    """Most text is not touched, not even normalised."""
    folded = normalise(text)
    if not any(character.isdigit() or character in "@:-_=" for character in folded):
        assert redact(text) == (text, {})


@given(
    st.from_regex(r"[a-z][a-z0-9._]{0,20}@[a-z]{1,10}\.(com|org|co\.uk)", fullmatch=True), st.sampled_from(" ,;<(\n")
)
def test_redact__any_address__is_found_between_any_neighbours(address: str, around: str) -> None:
    """No e-mail address stays, whatever is beside it."""
    assert address not in redact(f"write{around}{address}{around}now").text


@given(st.from_regex(r"4[0-9]{14}", fullmatch=True), st.sampled_from(["", " ", "-"]))
def test_redact__any_visa_number_with_a_right_check_digit__is_found(body: str, gap: str) -> None:
    """No card stays, in any common grouping."""
    number = body + luhn.calc_check_digit(body)
    groups = gap.join(number[i : i + 4] for i in range(0, 16, 4))

    assert redact(f"pay {groups} now").text == "pay <CARD> now"


@given(st.from_regex(r"4[0-9]{14}", fullmatch=True), st.integers(1, 9))
def test_redact__card_like_number_with_a_wrong_check_digit__stays(body: str, off: int) -> None:
    """A number of sixteen digits is an order number until its check digit says otherwise."""
    number = body + str((int(luhn.calc_check_digit(body)) + off) % 10)

    assert redact(f"order {number} filled").counts == {}


@given(st.from_regex(r"DE[0-9]{20}", fullmatch=True))
def test_redact__iban_with_wrong_check_digits__stays(number: str) -> None:
    """A string of an IBAN's shape is one only if its country's structure and mod 97 agree."""
    right = (int(number[4:] + "1314" + number[2:4])) % 97 == 1

    assert ("iban" in redact(f"pay {number} now").counts) == right


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.com", "ada@example.com"),
        ("+44 20 7946 0958", "0044 20 7946 0958"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("(415) 555-2671", "+1 415 555 2671"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
    ],
)
def test_tokens__link_the_spellings_of_one_value(one: str, other: str) -> None:
    """The same person or thing gives the same token, however it is spelt."""
    first, second = redact(one, KEYED).text, redact(other, KEYED).text

    assert first == second
    assert ":" in first


def test_tokens__need_the_key() -> None:
    """Another key, another value or another kind gives another token; without a key there is none."""
    texts = {redact("a@b.com", Policy(key=key)).text for key in (KEY, KEY[::-1], None)}

    assert len(texts) == 3
    assert redact("a@b.com").text == "<EMAIL>"
    assert redact("a@b.com", KEYED).text != redact("c@b.com", KEYED).text
    assert without_tokens(redact("mail a@b.com <now>", KEYED).text) == "mail <EMAIL> <now>"


def test_tokens__do_not_change() -> None:
    """A token is a promise to stored records: HMAC-SHA-256 over kind and value, its first 12 digits."""
    assert redact("Ada@Example.com", KEYED).text == "<EMAIL:ed3d97c4053e>"


def test_policy__a_kind_that_is_kept__is_not_taken_for_another() -> None:
    """What a kept kind claims stays whole: a kept card is no phone number, a kept address no password."""
    text = "call 4111 1111 1111 1111 or mail a@b.com"

    assert redact(text, Policy(frozenset({Kind.EMAIL, Kind.PHONE}))).text == "call 4111 1111 1111 1111 or mail <EMAIL>"
    assert redact(text, Policy(frozenset())) == (text, {})


def test_policies__a_source_overrides_what_it_names() -> None:
    """A source takes over what it does not name from the workload's default."""
    privacy = Privacy(
        names="redact",
        sources={"wire": SourcePrivacy(names="keep"), "desk": SourcePrivacy(kinds=[Kind.EMAIL])},
    )

    found = policies(privacy, KEY)

    assert found == {
        "": Policy(RULED | {Kind.NAME}, KEY),
        "wire": Policy(RULED, KEY),
        "desk": Policy(frozenset({Kind.EMAIL, Kind.NAME}), KEY),
    }


def test_replace_spans__leaves_placeholders_whole() -> None:
    """Spans that a model found replace names, never a piece of a placeholder, and never twice."""
    text = "Ada Abel wrote <EMAIL> today"

    redacted = replace_spans(text, [(0, 8), (4, 8), (10, 20), (16, 18)], Kind.NAME, Policy())

    assert redacted == ("<NAME> wrote <EMAIL> today", {"name": 1})


@given(st.text(max_size=60))
def test_normalise__twice__changes_nothing_more(text: str) -> None:
    """A normalised text is normal, also where a hidden character parted a letter from its accent."""
    assert normalise(normalise(text)) == normalise(text)
    assert normalise("e\u200b\u0301") == "é"


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        "1", "1 ", "a@", "a.", "+1", "01-", "DE89 ", "4111 ", "call ", "ssn ", "a@b.", "(1", "1.", "1.1.1.1", ":", "a:",
        "key ", "key=", "token: ", "password", "password: ", "-----BEGIN PRIVATE KEY----- ", "eyJ", "eyJa.", "sk-",
        "Bearer ", "account ", "account no. ", "passport ", "a://b:", "<EMAIL>", "_", "gh", "tel: ", "1x", "FY25 ",
    ],
)  # fmt: skip
def test_redact__long_hostile_text__takes_linear_time(unit: str) -> None:
    """Forty times the text takes about forty times the time: no pattern backtracks over the whole of it."""

    def seconds(repeats: int) -> float:
        started = time.process_time()
        redact(unit * repeats + " @1234567 key=abcdefghijkl 1.1.1.1 ::1 password:1 passport")
        return time.process_time() - started

    assert seconds(40_000) < 40 * max(seconds(1_000), 0.002) * 4
