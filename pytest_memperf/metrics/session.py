"""The registry of a session: the built-in metrics, and those of other plugins."""

from __future__ import annotations

import pytest

from pytest_memperf.metrics import BUILT_IN, Registry

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
