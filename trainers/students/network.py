"""A BERT-type base, mean-pooled: texts in, embeddings or logits out, the same way in training and in serving.

The forward pass is a contract with other servers: masked mean of the last hidden state, `pooler.dense` fixed to 0.2
times the identity so that its tanh stays nearly linear, then the classifier. It stays a plain
`BertForSequenceClassification` that vLLM serves with MEAN pooling.
It does not redact or normalise: the caller has done so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification
from transformers.utils.logging import disable_progress_bar

from deploy.edge.stores.base_models import base_digest, find_base
from schemas.arrays import Floats
from schemas.errors import SettingsError

_POOLER: Final = 0.2
_INFERENCE_BATCH: Final = 64
LENGTH_STEP: Final = 8  # in training a new length costs a CPU some 0.7 s of kernel building, so few are used

# B rows, L tokens, H hidden, K classes.


def load_bert(folder: Path, labels: int, seed: int, device: torch.device) -> tuple[Any, Any]:
    """Return tokenizer and model of a base with the fixed pooler and a fresh head.

    Raises:
        SettingsError: it is not a BERT-type model.
    """
    kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if kind != "bert":
        raise SettingsError("base_model", str(folder), f"is of type {kind}; an encoder student needs a BERT-type model")
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = BertForSequenceClassification.from_pretrained(
        folder, num_labels=labels, local_files_only=True, use_safetensors=True, dtype=torch.float32,
        attention_probs_dropout_prob=0.0,  # the fused attention of a CPU has no dropout
    )  # fmt: skip
    with torch.no_grad():
        model.bert.pooler.dense.weight.copy_(torch.eye(model.config.hidden_size) * _POOLER)
        model.bert.pooler.dense.bias.zero_()
    return tokenizer, model.to(device).eval()


class Network:
    """A tokenizer and a model on a device."""

    def __init__(
        self, tokenizer: Any, model: Any, max_tokens: int, device: torch.device, *, step: int = LENGTH_STEP
    ) -> None:
        """Put them together; rows of a batch are padded to a multiple of `step` tokens."""
        self.tokenizer, self.model, self.max_tokens, self.device = tokenizer, model, max_tokens, device
        self._step = step

    @property
    def bert(self) -> Any:
        """The `BertForSequenceClassification` inside, with or without an adapter around it."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, truncated."""
        ids: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)["input_ids"]
        return ids

    def mean(self, ids: Sequence[list[int]]) -> Tensor:
        """Return the masked mean of the last hidden state (B, H) of rows of token ids."""
        padded, mask = self._padded(ids)
        hidden = self.bert.bert(input_ids=padded, attention_mask=mask).last_hidden_state  # (B, L, H)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        mean: Tensor = (hidden * weight).sum(dim=1) / weight.sum(dim=1)
        return mean

    def features(self, ids: Sequence[list[int]]) -> Tensor:
        """Return what the head sees (B, H)."""
        return torch.tanh(self.bert.bert.pooler.dense(self.mean(ids)))

    def logits(self, ids: Sequence[list[int]]) -> Tensor:
        """Return the logits (B, K)."""
        logits: Tensor = self.bert.classifier(self.bert.dropout(self.features(ids)))
        return logits

    @torch.inference_mode()
    def over(self, ids: Sequence[list[int]], forward: Callable[[Sequence[list[int]]], Tensor]) -> Floats:
        """Return forward(token ids) of all rows in their order, in fp32, short rows with short ones."""
        order = np.argsort([len(one) for one in ids], kind="stable")
        parts = [
            forward([ids[row] for row in order[start : start + _INFERENCE_BATCH]]).float().cpu().numpy()
            for start in range(0, len(ids), _INFERENCE_BATCH)
        ]
        found = np.concatenate(parts).astype(np.float64)
        return np.asarray(found[np.argsort(order, kind="stable")])

    def _padded(self, ids: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Return input ids (B, L) and attention mask (B, L)."""
        longest = -(-max(map(len, ids)) // self._step) * self._step
        padded = np.full((len(ids), longest), self.tokenizer.pad_token_id or 0)
        mask = np.zeros((len(ids), longest), dtype=np.int64)
        for row, one in enumerate(ids):
            padded[row, : len(one)], mask[row, : len(one)] = one, 1
        return torch.from_numpy(padded).to(self.device), torch.from_numpy(mask).to(self.device)


class Base:
    """A frozen base with its tokenizer, which its students share."""

    def __init__(self, name: str, device: torch.device) -> None:
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self.name = name
        self.folder: Path = find_base(name)
        self.sha256 = base_digest(self.folder)
        tokenizer, model = load_bert(self.folder, 2, 0, device)  # its head is nobody's
        model.requires_grad_(requires_grad=False)
        self.network = Network(tokenizer, model, model.config.max_position_embeddings, device)
