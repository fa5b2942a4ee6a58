"""The facts of a text: figures, currencies, tickers, words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.normalise import normalise
from streams.curate.enrich import Enrichment, enrich, enrich_all, numbers, tickers


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Apple pays $1.2bn", ["USD"]),
        ("$AAPL and $TSLA rise", []),
        ("$AAPL pays $0.26", ["USD"]),
        ("-$5 or $.50 or $ 7", ["USD"]),
        ("US$5m, C$3m, A$ 2, HK$7", ["USD", "CAD", "AUD", "HKD"]),
        ("R$ 5 bilhões", ["BRL"]),
        ("€5 after £4 after €3", ["EUR", "GBP"]),
        ("¥500 and ₹20", ["JPY", "INR"]),
        ("EUR/USD at 1.08", ["EUR", "USD"]),
        ("EURUSD slips", ["EUR", "USD"]),
        ("eur and usd", []),
        ("USD5m or 100USD", ["USD"]),
        ("Profit of Rs 100 crore", ["INR"]),
        ("Rs.20 a share", ["INR"]),
        ("Rs are cut", []),
        ("Yen, yuan and euros rise against the dollar", ["JPY", "CNY", "EUR", "USD"]),
        ("Inflation in the euro zone", []),
        ("The Swiss franc and the Hong Kong dollar", ["CHF", "HKD"]),
        ("Canadian dollars", ["CAD"]),
        ("South Korean won weakens", ["KRW"]),
        ("Team won the real crown", []),
        ("Nokia (NOK) rises", []),
        ("NOK 3bn, then 500 RON", ["NOK", "RON"]),
        ("TRY again", []),
        ("400 pence", ["GBP"]),
        ("Pound falls", []),
        ("AMD and ALL", []),
        ("5 zł", ["PLN"]),
    ],
)
def test_currencies__by_symbol_code_and_name(text: str, codes: list[str]) -> None:
    """In order and each once; what only looks like a currency is none, and shared names are decided one way."""
    assert enrich(text).currencies == codes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Sales up 12% to $1,234.5 m", 2),
        ("10:30 on 2026-03-02, 1/2 or 10-15%", 4),
        ("Q3, B2B, COVID-19, F-16", 0),
        ("5m and 3x and -7", 3),
        ("FTSE 100", 1),
        ("no figure at all", 0),
        ("<PHONE> and https://t.co/a1b2", 0),
    ],
)
def test_numbers__counts_figures(text: str, count: int) -> None:
    """An amount, a share, a date is one figure; a digit within a word is none."""
    assert numbers(text) == count


def test_enrich__of_a_headline() -> None:
    """The fields of one headline, as a curated record has them."""
    found = enrich("Apple (NASDAQ: AAPL) lifts dividend 4% to $0.26, $MSFT follows", "en")

    assert found == Enrichment(
        words=11, characters=62, numbers=2, currencies=["USD"], tickers=["MSFT", "AAPL"], language="en"
    )


def test_tickers__are_cash_tags_and_listings() -> None:
    """Amounts and other brackets are no tickers."""
    assert tickers("$BRK.B $AAPL $5m (NYSE: GE) (LSE:BP) (see A) $TOOLONG") == ["BRK.B", "AAPL", "GE", "BP"]


@given(st.lists(st.text(alphabet=st.sampled_from("aeuro USD$€5.,-0RsNOK%"), max_size=40), max_size=6))
def test_batch__is_told_like_each_alone(texts: list[str]) -> None:
    """A batch changes nothing; counts are never negative, lists hold nothing twice."""
    texts = [normalise(text) for text in texts]
    found = enrich_all(texts)

    assert found == [enrich(text) for text in texts]
    assert all(one.characters == len(text) and one.words >= 0 for one, text in zip(found, texts, strict=True))
    assert all(len(one.currencies) == len(set(one.currencies)) for one in found)
