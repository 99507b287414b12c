"""Each registered metric is described and tested by its name, and the documentation has no other."""

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

    def test_it_is_tested(self, metric: Metric) -> None:
        """Some test here measures it: it says its name, which is not part of a longer one."""
        modules = [path for path in Path(__file__).parent.glob("test_*.py") if f'"{metric.name}"' in path.read_text()]
        assert modules, f"no test measures {metric.name!r}"


def test_the_docs_name_no_metric_that_is_not_there() -> None:
    """A row of docs/metrics.md is a registered metric."""
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(metric.name for metric in METRICS)
