"""The registry of a session: the built-in metrics, and those of other plugins."""

from __future__ import annotations

import pytest

from pytest_memperf.metrics import BUILT_IN, Registry
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import RECORDED
from pytest_memperf.options import spelling

REGISTRY = pytest.StashKey[Registry]()


def registry_of(config: pytest.Config) -> Registry:
    """Return the session's registry; made at the first call, when every plugin has been loaded."""
    if REGISTRY not in config.stash:
        registry = Registry(BUILT_IN)
        for probes in config.hook.pytest_memperf_probes():
            for probe in probes:
                registry.register(probe)
        config.stash[REGISTRY] = registry
    return config.stash[REGISTRY]


def metric_named(name: str, option: str, config: pytest.Config) -> str:
    """Return the name of the metric, or of the figure, that the option means. UsageMistake for what no test can have.

    Args:
        option: whose value has the name, for the message.
    """
    if name.startswith(RECORDED):
        return name.removeprefix(RECORDED)
    if config.pluginmanager.hasplugin("dsession"):
        return name  # a controller of xdist does not load every conftest, and with it not every probe: workers check
    try:
        return registry_of(config)[name].name
    except UsageMistake as mistake:
        hint = f"a figure that tests record is written {RECORDED}{name}"
        raise UsageMistake(f"{spelling(config, option)}: {mistake} ({hint})") from None
