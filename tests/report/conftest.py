"""What the tests of reports share: a metric whose values are known."""

from __future__ import annotations

import pytest

TOKENS = '''
"""Metrics whose values the tests say, so that every line of the output is known."""

from pytest_memperf.metrics import Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import COUNT

spent = 0

def spend(count):
    global spent
    spent += count

class Tokens(Probe):
    metrics = (
        Metric("tokens", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="", headline=True),
        Metric("coins", COUNT, Better.LOWER, Trust.BOUNDED, Cost.ALWAYS, help="", source=""),
    )

    def start(self):
        self.before = spent

    def read(self, observation):
        return {"tokens": Reading(spent - self.before), "coins": Reading(5, 2)}
'''


@pytest.fixture
def tokens(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder in which ``from tokens import spend`` moves the metric ``tokens``; ``coins`` is always 5 ± 2."""
    pytester.makepyfile(tokens=TOKENS)
    pytester.makeconftest("from tokens import Tokens\ndef pytest_memperf_probes(): return [Tokens]")
    return pytester
