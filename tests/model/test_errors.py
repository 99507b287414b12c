"""The hint in a mistake's text."""

from __future__ import annotations

import pytest

from pytest_memperf.model.errors import nearest


@pytest.mark.parametrize(
    ("name", "hint"),
    [("peak_rs", "; did you mean 'peak_rss'?"), ("minor_fault", "; did you mean 'minor_faults'?"), ("rate", "")],
)
def test_nearest_names_a_near_name_or_nothing(name: str, hint: str) -> None:
    """A far name is worse than none."""
    assert nearest(name, ["minor_faults", "peak_rss"]) == hint


def test_nearest_spells_the_name_as_it_is_to_be_written() -> None:
    """A metric is met as the budget on it."""
    assert nearest("peak_rs", ["peak_rss"], lambda name: f"max_{name}") == "; did you mean 'max_peak_rss'?"
