"""The example of the hook does what it says."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from pytest_memperf import hookspec

DOCUMENTATION = inspect.getdoc(hookspec.pytest_memperf_probes) or ""
EXAMPLE = textwrap.dedent(DOCUMENTATION.partition(".. code-block:: python\n\n")[2])


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_the_example_is_a_metric_like_the_others(pytester: pytest.Pytester, isolation: str) -> None:
    """As a conftest, word for word: one test waits more often than it may, one does not."""
    pytester.makeconftest(EXAMPLE)
    pytester.makepyfile(
        test_it="""
        import time
        import pytest

        @pytest.mark.memperf(max_waits=2)
        def test_waits():
            for _ in range(5):
                time.sleep(0.001)

        @pytest.mark.memperf(max_waits=1_000)
        def test_hurries(): ...
        """
    )
    result = pytester.runpytest_subprocess(f"--memperf-isolation={isolation}", "--memperf-columns=waits")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.re_match_lines([r"test +.* waits$", r"MEMORY .*::test_waits - waits \d+ is over max_waits = 2"])


def test_the_documentation_has_the_same_example() -> None:
    """What docs/metrics.md shows is what is tested here."""
    page = Path(__file__).parents[1].joinpath("docs", "metrics.md").read_text(encoding="utf-8")

    assert re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL) == [f"{EXAMPLE}\n"]
