"""Personal data goes, figures stay."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from schemas.rules.normalise import normalise
from schemas.rules.redact import redact

PERSONAL = [
    ("mail john.doe+x@acme-corp.co.uk now", "mail <EMAIL> now"),
    ("o'neil_1@sub.example.museum", "<EMAIL>"),
    ("<a@b.com>,c@d.org", "<<EMAIL>>,<EMAIL>"),
    ("john\uff20example.com", "<EMAIL>"),
    ("jo\u200bhn@exam\u200bple.com", "<EMAIL>"),
    ("call +1 (415) 555-0134 today", "call <PHONE> today"),
    ("+44 20 7946 0958", "<PHONE>"),
    ("+49 170 1234567", "<PHONE>"),
    ("+4917012345678", "<PHONE>"),
    ("+33 (0)1 23 45 67 89", "<PHONE>"),
    ("+1.202.555.0143", "<PHONE>"),
    ("0049 30 1234567", "<PHONE>"),
    ("(212) 555-0199", "<PHONE>"),
    ("415-555-2671", "<PHONE>"),
    ("415.555.2671", "<PHONE>"),
    ("1-800-555-0199", "<PHONE>"),
    ("020 7946 0958", "<PHONE>"),
    ("01 23 45 67 89", "<PHONE>"),
    ("0171/1234567", "<PHONE>"),
    ("tel: 555-0123", "tel: <PHONE>"),
    ("phone 2025550143", "phone <PHONE>"),
    ("+1 202\n555 0143", "<PHONE>"),
    ("card 4111 1111 1111 1111 12/25", "card <CARD> 12/25"),
    ("no.5555-5555-5555-4444", "no.<CARD>"),
    ("3782 822463 10005", "<CARD>"),
    ("order 12 4111 1111 1111 1111", "order 12 <CARD>"),
    ("DE89 3704 0044 0532 0130 00 was paid", "<IBAN> was paid"),
    ("IBAN FR14 2004 1010 0505 0001 3M02 606 USD", "IBAN <IBAN> USD"),
    ("GB29NWBK60161331926819", "<IBAN>"),
    ("ssn 123-45-6789", "ssn <SSN>"),
    ("Social Security Number 123456789", "Social Security Number <SSN>"),
]

HARMLESS = [
    "shares rose 3.5% to $1,234.56 on volume 12,345,678",
    "order 1234567890123456 was filled",
    "2024-01-15 10:30 and 05.03.2024 and 01/19/2024",
    "$AAPL 150C 01/19/2024 call 2023 2024",
    "calls at 4500, call 1500000 shares, tel aviv 35 index 1,850.25",
    "+1.23456789% and up +3.5 2024-01-15",
    "000-12-3456 666-12-3456 900-12-3456",
    "from 01.02.2024 to 05.03.2024",
    "ISIN US0378331005 CUSIP 037833100",
    "EUR/USD 1.0823-1.0941, 0.00012345678",
    "12345678901234567890",
    "@elonmusk tweeted about $TSLA",
    "accession 0001193125-24-012345",
    "1 000 000 000 shares, 10.5 20.5 30.5 40.5 50.5",
    "2020-2021-2022-2023 and S&P 500 5000 5100 5200",
]

_CHARACTERS = st.text("0123456789 +-.()/@abcDE,:\n$%\u200b\uff20\u0663é", max_size=80)


@pytest.mark.parametrize(("text", "expected"), PERSONAL)
def test_redact__personal_data__becomes_a_placeholder(text: str, expected: str) -> None:
    """Every known form of personal data goes, and what stands around it stays."""
    assert redact(text).text == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_redact__figures_that_are_not_personal__stay(text: str) -> None:
    """Order numbers, prices, volumes, dates, tickers and identifiers of securities come back as they were."""
    assert redact(text) == type(redact(""))(text, {})


@given(_CHARACTERS)
def test_redact__twice__changes_nothing_more(text: str) -> None:
    """A redacted text, normalised or not, holds nothing to redact."""
    once = redact(text).text

    assert redact(once).text == once
    assert redact(normalise(once)).counts == {}


@given(st.text(max_size=200))
def test_redact__text_without_digits_or_at_sign__comes_back_as_it_was(text: str) -> None:
    """Most text is not touched, not even normalised."""
    folded = normalise(text)
    if not any(character.isdigit() or character == "@" for character in folded):
        assert redact(text).text == text


@given(
    st.from_regex(r"[a-z][a-z0-9._]{0,20}@[a-z]{1,10}\.(com|org|co\.uk)", fullmatch=True), st.sampled_from(" ,;<(\n")
)
def test_redact__any_address__is_found_between_any_neighbours(address: str, around: str) -> None:
    """No e-mail address stays, whatever stands beside it."""
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


@pytest.mark.parametrize("unit", ["1", "1 ", "a@", "a.", "+1", "01-", "DE89 ", "4111 ", "call ", "ssn ", "a@b.", "(1"])
def test_redact__long_hostile_text__takes_linear_time(unit: str) -> None:
    """Forty times the text takes about forty times the time: no pattern backtracks over the whole of it."""

    def seconds(repeats: int) -> float:
        started = time.process_time()
        redact(unit * repeats + "@1234567")
        return time.process_time() - started

    assert seconds(40_000) < 40 * max(seconds(1_000), 0.002) * 4
