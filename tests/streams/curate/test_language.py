"""The language of a text: named where it is sure, and never wrong on real English."""

from __future__ import annotations

import pytest

from schemas.sections.intake import LANGUAGES, Enrich, Quality
from schemas.workload import Workload
from streams.curate.language import is_wanted, languages_of
from tests.streams.curate.labelled_text import real_texts

TOLD = [
    ("en", "Federal Reserve keeps its key rate unchanged as inflation cools"),
    ("de", "Der Umsatz stieg um 12 Prozent auf 4,3 Milliarden Euro"),
    ("fr", "Le chiffre d'affaires progresse de 8 % au troisième trimestre"),
    ("es", "Los analistas elevan el precio objetivo del banco por sus resultados"),
    ("it", "La Banca centrale lascia i tassi di interesse invariati"),
    ("nl", "Toezichthouder legt bank een boete op van vijf miljoen euro"),
    ("pl", "Inflacja w Polsce hamuje, a ceny ropy spadają"),
    ("ja", "日本銀行は政策金利を据え置いた"),
    ("ru", "Центральный банк сохранил ключевую ставку"),
]


def test_languages_of__sure_texts() -> None:
    """A plain sentence is recognised; what is too short, or has only names and figures, is not."""
    found = languages_of([text for _, text in TOLD] + ["AAPL +4%", "Oil prices slip", "", "1,234.5 2,000 3.5"])

    assert found == [language for language, _ in TOLD] + [None] * 4
    assert set(found) - {None} <= set(LANGUAGES)


@pytest.mark.parametrize(
    ("name", "column"),
    [("banking77", "text"), ("twitter-financial-news-topic", "text"), ("sentfin-headlines", "text"),
     ("reuters21578-topics", "title")],
)  # fmt: skip
def test_english__is_hardly_ever_called_another_language(name: str, column: str) -> None:
    """Of 1,000 real texts a set, a filter on English loses at most one."""
    texts = real_texts(name, column)
    sample = texts[:: len(texts) // 1000][:1000]
    found = languages_of(sample)
    wrong = [text for text, language in zip(sample, found, strict=True) if language not in ("en", None)]
    print(f"{name}: {found.count('en')} English, {found.count(None)} not sure, {len(wrong)} wrong of {len(sample)}")

    assert len(wrong) <= 1


def test_language__is_asked_for_by_either_key() -> None:
    """By default nobody pays for it."""
    plain = Workload(name="news", labels=["a", "b"])
    asked = plain.model_copy(update={"enrich": Enrich(language=True)})
    needed = plain.model_copy(update={"quality": Quality(languages=["en"])})

    assert [is_wanted(one) for one in (plain, asked, needed)] == [False, True, True]
