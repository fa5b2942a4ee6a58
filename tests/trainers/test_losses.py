"""The distillation loss against a reference computed another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax

from trainers.losses import distillation_loss

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
LABELS = np.array([0, 2])
SOFT = np.array([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]])


def loss_of(soft: np.ndarray, temperature: float, weight: float) -> float:
    """Return our loss of the two rows."""
    arguments = (torch.from_numpy(LOGITS), torch.from_numpy(LABELS), torch.from_numpy(soft))
    return float(distillation_loss(*arguments, temperature=temperature, soft_weight=weight))


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 0.3), (2.0, 0.5), (4.0, 1.0)])
def test_loss__equals_cross_entropy_and_scaled_divergence(temperature: float, weight: float) -> None:
    """(1-a)*CE + a*T^2*KL(teacher || student), both softened by T, averaged over rows."""
    hard = -log_softmax(LOGITS, axis=1)[np.arange(2), LABELS]
    teacher = SOFT ** (1 / temperature) / (SOFT ** (1 / temperature)).sum(axis=1, keepdims=True)
    divergence = rel_entr(teacher, softmax(LOGITS / temperature, axis=1)).sum(axis=1)
    expected = ((1 - weight) * hard + weight * temperature**2 * divergence).mean()

    assert loss_of(SOFT, temperature, weight) == pytest.approx(expected, abs=1e-6)


def test_loss__row_without_soft_label_learns_from_its_label_alone() -> None:
    """A missing soft label leaves plain cross-entropy, and no NaN."""
    expected = -log_softmax(LOGITS, axis=1)[np.arange(2), LABELS].mean()

    assert loss_of(np.full_like(SOFT, np.nan), 2.0, 0.5) == pytest.approx(expected, abs=1e-6)
