"""What the tests of memperf ab share, and what lets them import what they share with those of its parts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent.parent / "baseline" / "ab")]

from projects import Project

from pytest_memperf.baseline.ab.repository import TARGETS
from pytest_memperf.environment.commit import SYSTEMS


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """Have git read no settings, environments be kept for all these tests, and temporary folders be the test's own."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in (*TARGETS, *(system.commit for system in SYSTEMS)):  # these tests may run for one
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)


@pytest.fixture
def project(made: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Stand in the repository that a module has made for its tests; a run leaves it as it is."""
    monkeypatch.chdir(made.folder)
    return made
