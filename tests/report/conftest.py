"""Sessions inside the tests load this plugin and what a test names: ten times as fast as all that is installed."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def only_this_plugin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no other plugin by itself, and write wide lines."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # first: it removes PYTEST_ADDOPTS
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_memperf.plugin")
    # Older versions of pytest warn of a plugin named here that the outer session has imported.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-Wignore::pytest.PytestAssertRewriteWarning")
    monkeypatch.setenv("COLUMNS", "200")


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
