"""The registry refuses what could not be told apart or never be read."""

from __future__ import annotations

import pytest

from pytest_memperf.measure.settings import Settings
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import BUILT_IN, Probe, Registry
from pytest_memperf.metrics.registry import OF_A_WINDOW
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Better, Cost, Metric, Trust
from pytest_memperf.model.units import COUNT


def probe(*names: str) -> type[Probe]:
    """Return a probe with metrics of these names."""
    rows = tuple(Metric(name, COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, "", "") for name in names)
    return type("Mine", (Probe,), {"metrics": rows})


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["fine", "not one"], "Mine names a metric 'not one': use an identifier that begins with a letter"),
        (["_hidden"], "Mine names a metric '_hidden': use an identifier that begins with a letter"),
        (["rounds"], "Mine names a metric 'rounds', which a window has besides: rename it"),
        (["fine", "twice", "twice"], "Mine names two metrics 'twice': rename one"),
        (["fine", "minor_faults"], "Mine and Faults both name a metric 'minor_faults': rename one"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value[-1],
)
def test_name_that_cannot_be(names: list[str], complaint: str) -> None:
    """The line names the probe and the mend; the registry stays as it was."""
    registry = Registry(BUILT_IN)
    before = list(registry)
    with pytest.raises(UsageMistake) as mistake:
        registry.register(probe(*names))
    assert str(mistake.value) == complaint
    assert list(registry) == before


def test_names_of_a_window_are_known() -> None:
    """Whatever a window has besides its metrics is no name for one."""
    own = {name for name in dir(Window("w", Settings(), Registry())) if not name.startswith("_")}
    assert own <= OF_A_WINDOW
