"""Names of persons in texts, found by a model: Presidio over an installed spaCy pipeline, the extra `privacy`.

Wanted only where a workload file says `names = "redact"`. A model misses names and takes firms for persons; rules for
everything else are in schemas/rules/privacy/redact.py and need none of this.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final, Protocol

from schemas.errors import SettingsError
from schemas.rules.privacy.rule import Span

_BATCH: Final = 256  # texts that go through the pipeline together


class Names(Protocol):
    """Finds the names of persons."""

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return where the names are in each text."""
        ...


class PresidioNames:
    """Presidio's analyzer, asked for persons only."""

    def __init__(self, field: str, model: str) -> None:
        """Load the model; it is never fetched: what is not installed is an error.

        Args:
            field: of the workload file, for errors.
            model: name of an installed spaCy pipeline, such as `en_core_web_sm`; its first part is the language.

        Raises:
            SettingsError: Presidio or the model is not installed.
        """
        presidio, engine, spacy = _presidio(field, model)
        if not spacy.util.is_package(model):  # asked here, because Presidio would download it
            raise SettingsError(field, model, 'is no installed spaCy pipeline; install it, or say names = "keep"')
        self._language = model.partition("_")[0]
        models = [{"lang_code": self._language, "model_name": model}]
        nlp = engine.SpacyNlpEngine(models=models)
        nlp.load()
        registry = presidio.RecognizerRegistry(supported_languages=[self._language])
        registry.add_nlp_recognizer(nlp_engine=nlp)
        analyzer = presidio.AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=[self._language])
        self._analyzer: Any = presidio.BatchAnalyzerEngine(analyzer)

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return where the names are in each text."""
        found = self._analyzer.analyze_iterator(
            list(texts), language=self._language, batch_size=_BATCH, entities=["PERSON"]
        )
        return [[(one.start, one.end) for one in results] for results in found]


def _presidio(field: str, model: str) -> tuple[Any, Any, Any]:
    try:
        return tuple(
            importlib.import_module(name) for name in ("presidio_analyzer", "presidio_analyzer.nlp_engine", "spacy")
        )  # type: ignore[return-value]  # three names, three modules
    except ImportError as error:
        raise SettingsError(
            field, model, f'{error}; install the extra millrace[privacy] and the model, or say names = "keep"'
        ) from error
