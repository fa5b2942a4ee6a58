"""Real labelled text for tests that need it; they are skipped where it is absent."""

from __future__ import annotations

import pytest

from benchmarks import real_text


def real_texts(name: str, column: str = "text") -> list[str]:
    """Return the normalised texts of a data set."""
    texts = real_text.real_texts(name, column)
    if not texts:
        pytest.skip(f"no {name} in {real_text.FOLDER}; MILLRACE_DATA names the folder that holds it")
    return texts
