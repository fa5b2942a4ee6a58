"""What is promised of a run that takes one form of each test."""

from __future__ import annotations

from tests.sampling import one_form

NAMES = ["a.py::test_one[x]", "a.py::test_one[y]", "a.py::test_one[z]", "a.py::test_two", "b.py::test_one[x]"]


def test_one_form__of_every_test() -> None:
    """Each test runs in one of its forms, whatever the seed, and each form comes up in time."""
    chosen = [one_form(NAMES, seed) for seed in range(50)]

    assert all(len(names) == 3 for names in chosen)
    assert all({"a.py::test_two", "b.py::test_one[x]"} <= names for names in chosen)
    assert set().union(*chosen) == set(NAMES)


def test_one_form__same_seed_same_choice() -> None:
    """A run can be made again by its seed, in whatever order its tests were found."""
    assert one_form(NAMES, 7) == one_form(reversed(NAMES), 7)
