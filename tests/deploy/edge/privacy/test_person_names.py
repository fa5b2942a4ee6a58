"""Names through Presidio: for real where it and a spaCy pipeline are installed, and a plain word where they are not."""

from __future__ import annotations

import importlib.util

import pytest

from deploy.edge.privacy.person_names import PresidioNames
from schemas.errors import SettingsError

FIELD = "news: privacy.names_model"
INSTALLED = importlib.util.find_spec("presidio_analyzer") is not None


def pipeline() -> str:
    """Return an installed English pipeline, or skip."""
    if not INSTALLED:
        pytest.skip("presidio-analyzer is not installed: the extra `privacy`")
    from spacy.util import get_installed_models  # type: ignore[import-not-found]  # of the extra

    found = [str(name) for name in get_installed_models() if name.startswith("en_")]
    if not found:
        pytest.skip("no English spaCy pipeline is installed")
    return found[0]


def test_presidio__finds_persons_and_nothing_else():
    """Names of persons are found in a batch, in order; firms, places, dates and placeholders are left alone."""
    texts = ["Angela Merkel met Tim Cook in Berlin on Tuesday", "Shares of Apple fell 3%", "mail <EMAIL> today"]

    found = PresidioNames(FIELD, pipeline()).find(texts)

    assert [[text[start:end] for start, end in spans] for text, spans in zip(texts, found, strict=True)] == [
        ["Angela Merkel", "Tim Cook"], [], [],
    ]  # fmt: skip


def test_presidio__a_model_that_is_not_installed__is_told():
    """Nothing is downloaded at start: what is missing is reported with its remedy."""
    with pytest.raises(SettingsError) as caught:
        PresidioNames(FIELD, "xx_no_such_pipeline")

    assert (caught.value.field, caught.value.value) == (FIELD, "xx_no_such_pipeline")
    assert 'or say names = "keep"' in caught.value.remedy
