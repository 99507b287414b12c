"""The interpreter that environments are made with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_memperf.baseline.ab.environments import build_of_requirements
from pytest_memperf.baseline.ab.interpreter import OWN, Interpreter, find_interpreter
from pytest_memperf.model.errors import UsageMistake


def test_this_one() -> None:
    """By its path, and by its version where it stands on PATH."""
    assert find_interpreter(sys.executable) == OWN
    assert not OWN.is_foreign


def test_a_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is looked up on PATH."""
    name = f"{sys.version_info.major}.{sys.version_info.minor}"
    (tmp_path / f"python{name}").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_interpreter(name).path == str(tmp_path / f"python{name}")
    assert find_interpreter(name).version == sys.version


def test_a_relative_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It begins where it was typed, and is good in other folders."""
    (tmp_path / "mine").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)

    assert find_interpreter("./mine").path == str(tmp_path / "mine")


def test_another_version_gets_a_plugin_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is installed here cannot be imported there; pip says where there is none for it."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    foreign = Interpreter(sys.executable, "another", "cpython-399")

    with pytest.raises(UsageMistake, match=r"pip install pytest-memperf==\S+ failed \(status 1\)"):
        build_of_requirements("anything", foreign)
