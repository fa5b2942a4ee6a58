"""The frozen base and the students on it, for inference on one machine.

A student is the base with its LoRA merged into copies of the weights it touches (W + alpha/rank * B A); everything
else is shared with the base. Measured on MiniLM, one text, one core: merged 8-9 ms, unmerged 11-15 ms; 42 MB a student.
The forward pass is the trainer's to the letter: masked mean of the last hidden states, a pooler fixed to 0.2 * I with
tanh, the linear head, softmax of logits / temperature. It does not redact or normalise: the caller has done so.

Shapes: B batch, L tokens, H hidden, C classes, R rank.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, BertModel
from transformers.utils.logging import disable_progress_bar

from deploy.edge.stores.base_models import base_digest, find_base
from deploy.serve.students.adapters import AdapterRefused, CheckedAdapter, Probe
from schemas.errors import SettingsError
from schemas.manifest import AdapterManifest

POOLER_SCALE: Final = 0.2  # keeps tanh nearly linear, so the head sees the mean itself
PROBE_TOLERANCE: Final = 1e-3
_PREFIX: Final = "base_model.model."


@dataclass(frozen=True)
class Classified:
    """Class probabilities of each text, and how many tokens of it were read."""

    probabilities: list[list[float]]
    tokens: list[int]


class Base:
    """A frozen BERT encoder with its tokenizer."""

    def __init__(self, name: str) -> None:
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self.name = name
        self.folder: Path = find_base(name)
        self.sha256 = base_digest(self.folder)
        config = AutoConfig.from_pretrained(self.folder, local_files_only=True)
        if config.model_type != "bert":
            raise SettingsError(
                "base_model", name, f"is a {config.model_type} model; this server serves bert, vLLM the others"
            )
        self.max_tokens: int = config.max_position_embeddings
        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        bert: Any = BertModel
        self.bert = bert.from_pretrained(
            self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, add_pooling_layer=True
        )
        self.bert.eval().requires_grad_(requires_grad=False)
        self.hidden: int = config.hidden_size
        self.bert.pooler.dense.weight.copy_(POOLER_SCALE * torch.eye(self.hidden))
        self.bert.pooler.dense.bias.zero_()

    def encode(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return the token ids of each text, cut at `max_tokens`."""
        return cast("list[list[int]]", self.tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"])

    def pad(self, ids: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Return input ids [B, L] and attention mask [B, L]."""
        longest = max(map(len, ids))
        padding: int = self.tokenizer.pad_token_id or 0
        tokens = torch.full((len(ids), longest), padding, dtype=torch.long)
        mask = torch.zeros((len(ids), longest), dtype=torch.long)
        for row, one in enumerate(ids):
            tokens[row, : len(one)] = torch.tensor(one)
            mask[row, : len(one)] = 1
        return tokens, mask


class ServedStudent:
    """One adapter on the base: texts in, class probabilities out. They share a tokenizer, so one thread runs all."""

    def __init__(self, base: Base, adapter: CheckedAdapter, batch: int) -> None:
        self.manifest = adapter.manifest
        if self.manifest.max_tokens > base.max_tokens:
            raise AdapterRefused(f"max_tokens is {self.manifest.max_tokens}; the base reads {base.max_tokens}")
        self._base, self._batch = base, batch
        tensors = _tensors(adapter, _expected(base, self.manifest))
        self._bert = _merged(base.bert, tensors, self.manifest.alpha / self.manifest.rank)
        self._weight = tensors[_PREFIX + "classifier.weight"]  # [C, H]
        self._bias = tensors[_PREFIX + "classifier.bias"]  # [C]

    def classify(self, texts: Sequence[str]) -> Classified:
        """Return class probabilities of each text, in the order given; batches hold texts of similar length."""
        ids = self._base.encode(texts, self.manifest.max_tokens)
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        found: list[list[float]] = [[]] * len(ids)
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            for row, probabilities in zip(rows, self._forward([ids[row] for row in rows]), strict=True):
                found[row] = probabilities
        return Classified(found, [len(one) for one in ids])

    def _forward(self, ids: Sequence[list[int]]) -> list[list[float]]:
        tokens, mask = self._base.pad(ids)
        with torch.inference_mode():
            states = self._bert(input_ids=tokens, attention_mask=mask).last_hidden_state  # [B, L, H]
            weights = mask.unsqueeze(-1).to(states.dtype)  # [B, L, 1]
            mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)  # [B, H]
            pooled = torch.tanh(self._bert.pooler.dense(mean))  # [B, H]
            logits = nn.functional.linear(pooled, self._weight, self._bias)  # [B, C]
            probabilities = torch.softmax(logits / self.manifest.temperature, dim=-1)
        return cast("list[list[float]]", probabilities.tolist())


def largest_difference(probes: Sequence[Probe], found: Classified) -> float:
    """Return the largest difference between the trainer's probabilities and ours over all probes."""
    pairs = zip(probes, found.probabilities, strict=True)
    return max(
        abs(theirs - ours) for probe, row in pairs for theirs, ours in zip(probe.probabilities, row, strict=True)
    )


def _expected(base: Base, manifest: AdapterManifest) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that such an adapter has on this base."""
    classes = len(manifest.labels)
    shapes: dict[str, tuple[int, ...]] = {
        _PREFIX + "classifier.weight": (classes, base.hidden),
        _PREFIX + "classifier.bias": (classes,),
    }
    for name, module in base.bert.named_modules():
        touched = any(name == target or name.endswith("." + target) for target in manifest.target_modules)
        # LoRA on the pooler is dropped by vLLM without a word, so no adapter may have it.
        if touched and not name.startswith("pooler") and isinstance(module, nn.Linear):
            shapes[f"{_PREFIX}bert.{name}.lora_A.weight"] = (manifest.rank, module.in_features)
            shapes[f"{_PREFIX}bert.{name}.lora_B.weight"] = (module.out_features, manifest.rank)
    return shapes


def _tensors(adapter: CheckedAdapter, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    try:
        found = safetensors.torch.load(adapter.weights)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise AdapterRefused(f"the weights cannot be read: {error}") from error
    if found.keys() != expected.keys():
        missing, stray = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        raise AdapterRefused(
            f"the weights lack {len(missing)} tensors ({', '.join(missing[:2])}) "
            f"and hold {len(stray)} unknown ({', '.join(stray[:2])})"
        )
    for name, shape in expected.items():
        if tuple(found[name].shape) != shape or not found[name].is_floating_point():
            raise AdapterRefused(
                f"{name} is {found[name].dtype} {tuple(found[name].shape)}, not floating point {shape}"
            )
        if not bool(torch.isfinite(found[name]).all()):
            raise AdapterRefused(f"{name} holds numbers that are not finite")
    return {name: tensor.float() for name, tensor in found.items()}


def _merged(bert: Any, tensors: Mapping[str, Tensor], scale: float) -> Any:
    """Return a copy of the encoder that shares every weight with it but those the adapter changes."""
    shared = {id(tensor): tensor for tensor in (*bert.parameters(), *bert.buffers())}
    copied = copy.deepcopy(bert, shared)
    for name, a in tensors.items():
        if name.endswith(".lora_A.weight"):
            module = copied.get_submodule(name.removeprefix(_PREFIX + "bert.").removesuffix(".lora_A.weight"))
            b = tensors[name.replace(".lora_A.", ".lora_B.")]  # [out, R]; a is [R, in]
            module.weight = nn.Parameter(module.weight + scale * (b @ a), requires_grad=False)
    return copied
