"""Which labels are suspect."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from trainers.label_errors import out_of_fold, suspects


def _topics(rows: int, seed: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return bags of six words, each of its topic's ten with probability 0.8, of all thirty else; and the topics."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(3, size=rows)
    words = np.where(
        generator.random((rows, 6)) < 0.8, truth[:, None] * 10 + generator.integers(10, size=(rows, 6)),
        generator.integers(30, size=(rows, 6)),
    )  # fmt: skip
    bags = np.zeros((rows, 30))
    np.add.at(bags, (np.arange(rows)[:, None], words), 1.0)
    return sparse.csr_matrix(bags), truth


def test_suspects__are_mostly_the_planted_errors():
    """Of labels of which a tenth is wrong most suspects are wrong, and most wrong ones are suspect."""
    features, truth = _topics(900, seed=3)
    wrong = np.arange(900) % 10 == 0
    labels = np.where(wrong, (truth + 1) % 3, truth)
    found = suspects(out_of_fold(features, labels, 3, seed=0), labels)

    assert wrong[found].mean() > 0.8
    assert len(set(found) & set(np.flatnonzero(wrong))) > 0.8 * wrong.sum()


def test_suspects__are_judged_by_models_that_saw_none_of_their_cluster():
    """A wrong label is found though its paraphrases carry it too: they are all in one fold."""
    features, truth = _topics(300, seed=3)
    wrong = np.arange(300) % 10 == 0
    labels = np.where(wrong, (truth + 1) % 3, truth)
    clusters = [str(row) for row in range(300)]
    alone = out_of_fold(features, labels, 3, 0)
    thrice = sparse.vstack([features] * 3, format="csr")
    found = out_of_fold(thrice, np.tile(labels, 3), 3, 0, clusters * 3)

    assert np.array_equal(alone, out_of_fold(features, labels, 3, 0, clusters))
    assert wrong[suspects(found[:300], labels)].mean() > 0.7
    assert len(set(suspects(found[:300], labels)) & set(np.flatnonzero(wrong))) > 0.7 * wrong.sum()


def test_suspects__the_least_probable_label_comes_first():
    """Suspects are in the order in which a person should look at them."""
    probabilities = np.array([[0.3, 0.7], [0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])

    assert suspects(probabilities, np.array([0, 0, 0, 1, 1])).tolist() == [2, 0, 4]


def test_suspects__not_where_the_label_is_the_most_probable():
    """A label is not suspect for being less sure than its class mostly is."""
    probabilities = np.array([[0.55, 0.45], [0.99, 0.01], [0.6, 0.4], [0.9, 0.1]])

    assert suspects(probabilities, np.array([0, 0, 1, 1])).tolist() == [3]


def test_suspects__none_where_there_is_nothing_to_learn_from():
    """Rows that no model could judge are not suspect, however few there are."""
    labels = np.array([0, 1])

    assert suspects(out_of_fold(sparse.csr_matrix(np.eye(2)), labels, 2, seed=0), labels).tolist() == []
