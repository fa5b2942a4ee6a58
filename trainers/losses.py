"""The distillation loss in class space, so that teacher and student need not share a tokenizer. Nothing else."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

# B rows, K classes.


def distillation_loss(
    logits: Tensor, labels: Tensor, soft: Tensor, *, temperature: float, soft_weight: float
) -> Tensor:
    """Return the mean over rows of (1-a)*CE + a*T^2*KL(teacher || student), both softened by T.

    A row without a soft label (NaN) is learnt from its hard label alone, at full weight: it must not count less.

    Args:
        logits: (B, K) of the student.
        labels: (B,) the teacher's label.
        soft: (B, K) the teacher's class probabilities; zero means less than the teacher reported, floored at 1e-6.
        temperature: T, above 0.
        soft_weight: a, from 0 to 1.
    """
    hard = cross_entropy(logits, labels, reduction="none")  # (B,)
    known = ~soft.isnan().any(dim=1)  # (B,)
    teacher = log_softmax(soft.nan_to_num(1.0).clamp(min=1e-6).log() / temperature, dim=1)
    student = log_softmax(logits / temperature, dim=1)
    divergence = kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1) * temperature**2  # (B,)
    return torch.where(known, (1 - soft_weight) * hard + soft_weight * divergence, hard).mean()
