"""Each registered metric is described, documented and tested by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_memperf.metrics import BUILT_IN, Registry
from pytest_memperf.model.metric import Metric

ROOT = Path(__file__).parents[2]
METRICS = tuple(Registry(BUILT_IN))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
class TestEachMetric:
    """What every row of the registry has."""

    def test_it_is_described(self, metric: Metric) -> None:
        """The row has a help line and a source."""
        assert metric.help
        assert metric.source

    def test_it_is_documented(self, metric: Metric) -> None:
        """docs/metrics.md has a row for it, with its unit and its trust."""
        rows = re.findall(rf"^\| `{metric.name}` \|.*$", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
        assert len(rows) == 1
        assert f"| {metric.unit.name} |" in rows[0]
        assert f"| {metric.trust.value} |" in rows[0]

    def test_it_is_tested(self, metric: Metric) -> None:
        """Some test is named for it."""
        named = re.compile(rf"def test_(\w+_)?{metric.name}(_\w+)?\(")
        modules = [path for path in (ROOT / "tests").rglob("test_*.py") if named.search(path.read_text())]
        assert modules, f"no test is named for {metric.name}"


def test_the_docs_name_no_metric_that_is_not_there() -> None:
    """A row of docs/metrics.md is a registered metric."""
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(metric.name for metric in METRICS)
