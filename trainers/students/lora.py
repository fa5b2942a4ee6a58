"""Plain LoRA on a BERT-type base as files, and back: merged into the weights it touches (W + alpha/rank * B A).

Everything else is shared with the base. Measured on MiniLM, one text, one core: merged 8-9 ms, unmerged 11-15 ms; 42 MB
a student. Only plain LoRA is what the trainer evaluated and what vLLM serves; the pooler never takes LoRA weights,
which vLLM drops without a word.

Shapes: K classes, H hidden, R rank.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import safetensors.torch
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn

from deploy.edge.stores.artefacts import StudentArtefact, json_object
from schemas.errors import ContractError
from schemas.manifest import canonical
from schemas.rules.statistics.calibration import to_probabilities
from trainers.students.network import Base, Network
from trainers.students.protocol import Classified, SavedStudent
from trainers.students.tensors import read_tensors

POOLING: Final = "mean"
TARGETS: Final = ("dense", "key", "query", "value")
HEAD: Final = "classifier"
CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
_PREFIX: Final = "base_model.model."
# peft's variants change the forward pass.
_PLAIN: Final = (
    "use_dora", "use_rslora", "use_qalora", "use_bdlora", "rank_pattern", "alpha_pattern", "layer_replication",
    "layers_to_transform", "layers_pattern", "lora_bias", "trainable_token_indices", "target_parameters",
    "alora_invocation_tokens", "arrow_config", "fan_in_fan_out",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LoraPart:
    """The form's part of the manifest."""

    pooling: str
    max_tokens: int
    temperature: float  # the student's own calibration: divide logits by it
    rank: int
    alpha: float
    target_modules: list[str]
    modules_to_save: list[str]

    @classmethod
    def checked(cls, part: Mapping[str, Any]) -> LoraPart:
        """Return the part, every field of the type and kind that can be served.

        Raises:
            ContractError: a field is missing, unknown or out of its bounds.
        """
        try:
            found = cls(**part)
        except TypeError as error:
            raise ContractError(f"the manifest's part for LoRA cannot be read: {error}") from error
        if found.pooling != POOLING:
            raise ContractError(f"pooling is {found.pooling!r}; served here: {POOLING!r}")
        for field in ("target_modules", "modules_to_save"):
            names = getattr(found, field)
            if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
                raise ContractError(f"{field} must be a list of names")
        for field in ("max_tokens", "rank"):
            value = getattr(found, field)
            if type(value) is not int or not 1 <= value <= 8_192:
                raise ContractError(f"{field} is {value!r}; it must be a whole number from 1 to 8192")
        for field in ("temperature", "alpha"):
            value = getattr(found, field)
            if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
                raise ContractError(f"{field} is {value!r}; it must be a number above 0")
        return found


def plain_lora(rank: int) -> LoraConfig:
    """Return peft's configuration of the only kind of adapter there is here."""
    return LoraConfig(
        task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=list(TARGETS),
        exclude_modules=r".*pooler.*", modules_to_save=[HEAD],
    )  # fmt: skip


def save_adapter(network: Network, base_model: str, temperature: float) -> SavedStudent:
    """Return the adapter of a network that peft wraps."""
    model = network.model
    state = {name: value.detach().cpu().contiguous() for name, value in get_peft_model_state_dict(model).items()}
    config = model.peft_config["default"]
    part = LoraPart(
        pooling=POOLING, max_tokens=network.max_tokens, temperature=temperature, rank=config.r,
        alpha=float(config.lora_alpha), target_modules=sorted(TARGETS), modules_to_save=[HEAD],
    )  # fmt: skip
    values = config.to_dict() | {
        "base_model_name_or_path": base_model, "inference_mode": True,
        "target_modules": part.target_modules, "modules_to_save": part.modules_to_save,  # peft's sets have no order
    }  # fmt: skip
    return SavedStudent({CONFIG: canonical(values), WEIGHTS: safetensors.torch.save(state)}, dataclasses.asdict(part))


class MergedStudent:
    """A base with an adapter merged into it."""

    def __init__(self, network: Network, temperature: float) -> None:
        self._network, self._temperature = network, temperature

    def classify(self, texts: Sequence[str]) -> Classified:
        """Return calibrated class probabilities of each text."""
        ids = self._network.tokens(texts)
        logits = self._network.over(ids, self._network.logits)
        return Classified(to_probabilities(logits, self._temperature), [len(one) for one in ids])


def load_adapter(artefact: StudentArtefact, base: Base) -> MergedStudent:
    """Return the student of an adapter's files.

    Raises:
        ContractError: they are not plain LoRA that fits the base.
    """
    part = LoraPart.checked(artefact.manifest.part)
    if missing := {CONFIG, WEIGHTS} - artefact.files.keys():
        raise ContractError(f"the manifest does not list {', '.join(sorted(missing))}")
    frozen = base.network
    if part.max_tokens > frozen.max_tokens:
        raise ContractError(f"max_tokens is {part.max_tokens}; the base reads {frozen.max_tokens}")
    _check_config(part, artefact.files[CONFIG])
    shapes = _shapes(frozen.model, part, len(artefact.manifest.labels))
    tensors = read_tensors(WEIGHTS, artefact.files[WEIGHTS], shapes)
    model = _merged(frozen.model, tensors, part.alpha / part.rank)
    network = Network(frozen.tokenizer, model, part.max_tokens, frozen.device, step=1)
    return MergedStudent(network, part.temperature)


def _check_config(part: LoraPart, data: bytes) -> None:
    """Compare peft's configuration with the manifest: plain LoRA, with the manifest's numbers."""
    config = json_object(CONFIG, data)
    wanted = {"peft_type": "LORA", "r": part.rank, "lora_alpha": part.alpha, "bias": "none"}
    for field, value in wanted.items():
        if config.get(field) != value:
            raise ContractError(f"{CONFIG}: {field} is {config.get(field)!r}, not {value!r}")
    for field in _PLAIN:
        if config.get(field):
            raise ContractError(f"{CONFIG}: {field} is set; only plain LoRA is served")
    for field in ("target_modules", "modules_to_save"):
        # peft adds "score" beside "classifier" on its own, which names no module of an encoder.
        said, listed = config.get(field), set(getattr(part, field))
        if not isinstance(said, list) or not listed <= set(said) <= listed | {"score", HEAD}:
            raise ContractError(f"{CONFIG}: {field} is {said!r}, the manifest says {sorted(listed)}")


def _shapes(model: Any, part: LoraPart, classes: int) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that such an adapter has on this base."""
    shapes: dict[str, tuple[int, ...]] = {
        f"{_PREFIX}{HEAD}.weight": (classes, model.config.hidden_size),
        f"{_PREFIX}{HEAD}.bias": (classes,),
    }
    for name, module in model.bert.named_modules():
        touched = any(name == target or name.endswith("." + target) for target in part.target_modules)
        if touched and not name.startswith("pooler") and isinstance(module, nn.Linear):
            shapes[f"{_PREFIX}bert.{name}.lora_A.weight"] = (part.rank, module.in_features)
            shapes[f"{_PREFIX}bert.{name}.lora_B.weight"] = (module.out_features, part.rank)
    return shapes


def _merged(model: Any, tensors: Mapping[str, Tensor], scale: float) -> Any:
    """Return a copy of the model that shares every weight with it but those the adapter changes."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    copied = copy.deepcopy(model, shared)
    placed = {name: tensor.to(model.device) for name, tensor in tensors.items()}
    head = nn.Linear(model.config.hidden_size, len(placed[f"{_PREFIX}{HEAD}.bias"]), device="meta").eval()
    head.weight = _frozen(placed[f"{_PREFIX}{HEAD}.weight"])  # (K, H)
    head.bias = _frozen(placed[f"{_PREFIX}{HEAD}.bias"])  # (K,)
    copied.classifier = head
    for name, a in placed.items():
        if name.endswith(".lora_A.weight"):
            module = copied.get_submodule(name.removeprefix(_PREFIX).removesuffix(".lora_A.weight"))
            b = placed[name.replace(".lora_A.", ".lora_B.")]  # (out, R); a is (R, in)
            module.weight = _frozen(module.weight + scale * (b @ a))
    return copied


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
