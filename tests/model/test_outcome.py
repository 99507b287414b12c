"""What a comparison came to as a whole."""

from __future__ import annotations

import pytest

from pytest_memperf.model.comparison import Change, Comparison
from pytest_memperf.model.metric import Better, Cost, Metric, Trust
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Key
from pytest_memperf.model.units import COUNT

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "")
KEY = Key("test_it.py::test_it", "call", "glibc", "process")


@pytest.mark.parametrize(
    ("metric", "change", "judged", "undecided"),
    [
        (FAULTS, Change.SAME, 1, 0),
        (FAULTS, Change.WORSE, 1, 0),
        (FAULTS, Change.UNSURE, 0, 1),
        (None, Change.NOT_COMPARABLE, 0, 1),
        (FAULTS, Change.NEW, 0, 0),
        (FAULTS, Change.GONE, 0, 1),
        (None, Change.GONE, 0, 0),
    ],
    ids=str,
)
@pytest.mark.parametrize("keep_same", [True, False])
def test_what_is_judged(metric: Metric | None, change: Change, judged: int, undecided: int, keep_same: bool) -> None:
    """A test that is gone was removed; a metric that its test has lost was not seen to hold."""
    outcome = Outcome()
    outcome.add(Comparison(KEY, metric, change), keep_same)

    assert (outcome.judged, outcome.undecided) == (judged, undecided)
    assert (outcome.different().judged, outcome.different().undecided) == (judged, undecided)
