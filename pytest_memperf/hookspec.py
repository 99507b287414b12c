"""The hooks by which other plugins and conftests take part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_memperf.metrics import Probe


@pytest.hookspec
def pytest_memperf_probes() -> Sequence[type[Probe]]:
    """Return probes, each with the metrics it reads, to be measured, budgeted and reported like the built-in ones.

    In a ``conftest.py``, after which tests may say ``@pytest.mark.memperf(max_waits=10)``:

    .. code-block:: python

        import resource

        from pytest_memperf.metrics import Probe
        from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
        from pytest_memperf.model.units import COUNT


        def waits():
            return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


        class Waits(Probe):
            metrics = (
                Metric(
                    "waits",
                    COUNT,
                    Better.LOWER,
                    Trust.NOISY,
                    Cost.ON_REQUEST,
                    help="times that the test waited for something",
                    source="getrusage ru_nvcsw",
                ),
            )

            def start(self):
                self.before = waits()

            def stop(self):
                self.after = waits()

            def read(self, observation):
                return {"waits": Reading(self.after - self.before)}


        def pytest_memperf_probes():
            return [Waits]
    """
    raise NotImplementedError
