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

    .. code-block:: python

        from pytest_memperf.metrics import Probe

        class Sockets(Probe):
            metrics = (
                Metric("sockets", COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, "open sockets", "/proc/net"),
            )

            def read(self, observation):
                return {"sockets": Reading(count_sockets())}

        def pytest_memperf_probes():
            return [Sockets]
    """
    raise NotImplementedError
