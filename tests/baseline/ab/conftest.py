"""Lets these tests import what they share, and keeps them away from the user's settings and environments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from gates import MARKED, Both
from projects import PACKAGE, Project, interpreter

from pytest_memperf.baseline.ab.repository import TARGETS
from pytest_memperf.baseline.ab.side import Side
from pytest_memperf.baseline.ab.tools import link_tools
from pytest_memperf.environment.commit import SYSTEMS


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have git read no settings, and environments be kept for this run of pytest alone; return where."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in (*TARGETS, *(system.commit for system in SYSTEMS)):  # these tests may run for one
        monkeypatch.delenv(name, raising=False)
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a repository without a commit."""
    return Project.new(tmp_path / "project")


@pytest.fixture(scope="session")
def interpreters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return an interpreter for each side, with a project installed that touches 16 pages more on head."""
    folder = tmp_path_factory.mktemp("interpreters")
    return {
        side: interpreter(folder / side, {"mypkg/__init__.py": PACKAGE.format(side=side, pages=pages)})
        for side, pages in (("base", 64), ("head", 80))
    }


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what a side needs."""
    folder = tmp_path_factory.mktemp("tools") / "links"
    link_tools(folder)
    return folder


@pytest.fixture
def start(
    interpreters: dict[str, Path], tools: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[..., Side]:
    """Return a function that starts a side with these tests, and has it collect them."""

    def start(name: str, *arguments: str, files: dict[str, str] | None = None, python: Path | None = None) -> Side:
        folder = tmp_path / "tests"
        Project(folder).write({"pytest.ini": "[pytest]\n", **(files or {})})
        side = Side(name, python or interpreters[name], folder, tools, arguments)
        request.addfinalizer(side.close)
        side.collect()
        return side

    return start


@pytest.fixture
def both(start: Callable[..., Side]) -> Both:
    """Return a function that starts both sides with a module of tests."""

    def make(text: str) -> tuple[Side, Side]:
        files = {"test_it.py": MARKED + text}
        return start("base", files=files), start("head", files=files)

    return make
