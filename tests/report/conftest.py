"""What the tests of reports share: a metric whose values are known, a measured suite, the published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema
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

    def stop(self):
        self.after = spent

    def read(self, observation):
        return {"tokens": Reading(self.after - self.before), "coins": Reading(5, 2)}
'''


@pytest.fixture
def tokens(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder in which ``from tokens import spend`` moves the metric ``tokens``; ``coins`` is always 5 ± 2."""
    pytester.makepyfile(tokens=TOKENS)
    pytester.makeconftest("from tokens import Tokens\ndef pytest_memperf_probes(): return [Tokens]")
    return pytester


SUITE = """
    import pytest

    @pytest.mark.memperf(max_minor_faults=100_000, max_throughput=1, bytes=1)
    def test_over(): pass

    @pytest.mark.memperf(rounds=3, metrics=["cpu_time"])
    def test_windows(memperf):
        memperf(int)
        with memperf.window("parse"):
            pass
        memperf.record("rows", 1000, unit="rows", better="higher", min=5)

    def test_plain(): pass
"""


@pytest.fixture
def measured_suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Two measured tests with four windows, and one that is not measured."""
    pytester.makepyfile(test_it=SUITE)
    return pytester


@pytest.fixture
def validate() -> Callable[[Any], None]:
    """Return a function that fails where a document does not keep to the published schema."""
    schema = json.loads(resources.files("pytest_memperf.report").joinpath("pytest-memperf-1.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    validator.check_schema(schema)
    return validator.validate
