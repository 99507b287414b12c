"""The hint in a mistake's text."""

from __future__ import annotations

import pytest

from pytest_memperf.model.errors import nearest


@pytest.mark.parametrize(
    ("name", "hint"),
    [("peak_rs", "; did you mean 'peak_rss'?"), ("minor_fault", "; did you mean 'minor_faults'?"), ("zzz", "")],
)
def test_nearest_names_a_near_name_or_nothing(name: str, hint: str) -> None:
    """A far name is worse than none."""
    assert nearest(name, ["minor_faults", "peak_rss"]) == hint
