"""A practice teacher for texts whose truth nobody planted: a model fitted at start on labelled rows.

It sees frozen embeddings of the base model *and* word and character n-grams: on n-grams alone it would share the
baseline's features, and the baseline would look better than it is. Its probabilities are calibrated by a temperature
found on held-out rows. It is as good as its rows, no better.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from deploy.edge.stores.base_models import find_base
from schemas.arrays import Floats
from schemas.errors import BadInput
from schemas.rules.chat import label_in
from schemas.rules.normalise import normalise
from schemas.rules.privacy.redact import redact
from schemas.workload import Workload

_MAX_TOKENS: Final = 64
_BATCH: Final = 64
_STRENGTH: Final = 10.0  # C; on unit-length features that leaves the temperature little to correct
_NGRAMS: Final = 20_000  # of each kind
_HELD_OUT: Final = 5  # one row in five finds the temperature


class Embedder:
    """The base model as it comes: the masked mean of its last hidden states, at unit length."""

    def __init__(self, base_model: str) -> None:
        disable_progress_bar()  # type: ignore[no-untyped-call]
        folder = find_base(base_model)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).eval()

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return the embedding of each text (texts, hidden); batches hold texts of similar length."""
        order = np.argsort([len(text) for text in texts], kind="stable")
        found = np.zeros((len(texts), self._model.config.hidden_size))
        for start in range(0, len(texts), _BATCH):
            rows = order[start : start + _BATCH]
            found[rows] = self._means([texts[row] for row in rows])
        return found

    def _means(self, texts: Sequence[str]) -> Floats:
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
        mask = tokens["attention_mask"].unsqueeze(-1)  # [batch, tokens, 1]
        with torch.inference_mode():
            states = self._model(**tokens).last_hidden_state  # [batch, tokens, hidden]
            mean = (states * mask).sum(1) / mask.sum(1)
            return np.asarray(torch.nn.functional.normalize(mean, dim=-1).numpy(), dtype=np.float64)


class FittedTeacher:
    """Class probabilities of any text, by a logistic regression on embeddings and n-grams together."""

    def __init__(self, workload: Workload, rows: Sequence[tuple[str, str]], base_model: str) -> None:
        self._labels = workload.labels
        texts = [normalise(redact(text).text) for text, _ in rows]
        labels = np.array([workload.labels.index(label) for _, label in rows])
        if len(set(labels.tolist())) < 2:
            raise BadInput("--fitted", len(rows), "must hold rows of at least two labels of the workload")
        self._embedder = Embedder(base_model)
        self._words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=_NGRAMS)
        self._characters = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=_NGRAMS
        )
        self._words.fit(texts)
        self._characters.fit(texts)
        features = self._features(texts)
        held_out = np.arange(len(texts)) % _HELD_OUT == 0
        self._model = _logistic().fit(features[~held_out], labels[~held_out])
        self.temperature = _temperature(self._scores(features[held_out]), labels[held_out])
        self._model = _logistic().fit(features, labels)

    def probabilities(self, text: str) -> list[float]:
        """Return the probability of each of the workload's labels."""
        found: list[float] = _softmax(self._scores(self._features([text])) / self.temperature)[0].tolist()
        return found

    def _scores(self, features: Any) -> Floats:
        """Return a score per label of the workload; a label without rows is out of reach."""
        scores = np.full((features.shape[0], len(self._labels)), -1e3)
        scores[:, self._model.classes_] = np.log(np.clip(self._model.predict_proba(features), 1e-12, 1.0))
        return scores

    def _features(self, texts: Sequence[str]) -> Any:
        parts = [
            csr_matrix(self._embedder.embed(texts)),
            self._words.transform(texts),
            self._characters.transform(texts),
        ]
        return hstack(parts).tocsr()


def read_rows(file: Path, workload: Workload, text: str, label: str) -> list[tuple[str, str]]:
    """Read text and label of each row of a CSV, JSONL or Parquet file (gzip too); aliases of labels are understood.

    Raises:
        BadInput: no such file, format, column or label.
    """
    if not file.is_file():
        raise BadInput("--fitted", str(file), "no such file")
    try:
        found = list(_rows(file))
    except (OSError, EOFError, ValueError, csv.Error) as error:
        raise BadInput("--fitted", str(file), f"cannot be read: {error}") from error
    rows = []
    for number, row in enumerate(found, start=1):
        if text not in row or label not in row:
            raise BadInput(str(file), sorted(row), f"row {number} lacks {text!r} or {label!r}; see --text and --label")
        known = label_in(workload, str(row[label]))
        if known is None:
            raise BadInput(f"{file}, row {number}: {label}", row[label], f"must be one of {', '.join(workload.labels)}")
        rows.append((str(row[text]), known))
    return rows


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    name = file.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        from pyarrow import parquet

        yield from parquet.read_table(file).to_pylist()
        return
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    if name.endswith(".csv"):
        yield from csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    elif name.endswith((".jsonl", ".ndjson")):
        yield from (json.loads(line) for line in data.splitlines() if line.strip())
    else:
        raise BadInput("--fitted", str(file), "must be .csv, .jsonl or .parquet, gzip allowed")


def _logistic() -> LogisticRegression:
    return LogisticRegression(C=_STRENGTH, max_iter=200, tol=1e-3)


def _temperature(scores: Floats, labels: NDArray[Any]) -> float:
    """Return the temperature under which the held-out labels are likeliest."""

    def surprise(log_temperature: float) -> float:
        probabilities = _softmax(scores / np.exp(log_temperature))
        return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1.0)).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-2.0, 2.0), method="bounded").x))


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
