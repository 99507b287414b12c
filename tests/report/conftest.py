"""Sessions inside the tests load this plugin and what a test names: ten times as fast as all that is installed."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def only_this_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no other plugin by itself, and write wide lines."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_memperf.plugin")
    monkeypatch.setenv("COLUMNS", "200")
