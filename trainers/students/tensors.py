"""Weights from safetensors bytes; nothing of them is believed before it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from schemas.errors import ContractError

_HEADER_BYTES: Final = 1 << 20


def read_tensors(name: str, data: bytes, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file in fp32: these and no other, in their shapes, all numbers finite.

    Raises:
        ContractError: it holds others, or is no such file: one whose header is cut off or unreasonably large never
            meets a parser.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(_HEADER_BYTES, len(data) - 8) or data[8:9] != b"{":
        raise ContractError(f"{name} is no safetensors file (or its header is above {_HEADER_BYTES} bytes)")
    try:
        found = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ContractError(f"the weights cannot be read: {error}") from error
    if found.keys() != shapes.keys():
        missing, stray = sorted(shapes.keys() - found.keys()), sorted(found.keys() - shapes.keys())
        raise ContractError(
            f"the weights lack {len(missing)} tensors ({', '.join(missing[:2])}) "
            f"and hold {len(stray)} unknown ({', '.join(stray[:2])})"
        )
    for key, shape in shapes.items():
        tensor = found[key]
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise ContractError(f"{key} is {tensor.dtype} {tuple(tensor.shape)}, not floating point {shape}")
        if not bool(torch.isfinite(tensor).all()):
            raise ContractError(f"{key} holds numbers that are not finite")
    return {key: tensor.float() for key, tensor in found.items()}
