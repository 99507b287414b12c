"""HEAD's tests without HEAD's project."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project

from pytest_memperf.baseline.ab.neutral import leave_out


def remaining(folder: Path) -> list[str]:
    """Return the files that are there."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("place", ["", "src/", "lib/", "python/"], ids=["beside", "src", "lib", "python"])
def test_packages_and_modules_go(tmp_path: Path, place: str) -> None:
    """Those that the project installs, compiled ones too; tests, their data and other folders stay."""
    stays = ["conftest.py", "tests/test_it.py", "tests/mypkg/data.py", "docs/mypkg.py", f"{place}other.py"]
    goes = ["mypkg/__init__.py", "mypkg/deep/one.py", "single.py", "_fast.cpython-312-x86_64-linux-gnu.so", "_fast.pyi"]
    Project(tmp_path).write(dict.fromkeys([*stays, *(place + name for name in goes), ".git/config"], ""))
    leave_out(tmp_path, "", ("mypkg", "single", "_fast"))

    assert remaining(tmp_path) == sorted([*stays, f"{place}_fast.pyi"])


def test_a_project_within_the_repository(tmp_path: Path) -> None:
    """In a folder that holds several projects, the one's package goes and the others' stay."""
    files = ["libs/a/src/mypkg/x.py", "libs/a/tests/test_it.py", "libs/b/src/mypkg/x.py"]
    Project(tmp_path).write(dict.fromkeys(files, ""))
    leave_out(tmp_path, "libs/a", ("mypkg",))

    assert remaining(tmp_path) == ["libs/a/tests/test_it.py", "libs/b/src/mypkg/x.py"]


@pytest.mark.parametrize("name", ["tests/test_it.py", "test/test_it.py", "conftest.py"])
def test_tests_that_are_installed_by_accident(tmp_path: Path, name: str) -> None:
    """They stay, whatever the distribution brings along."""
    Project(tmp_path).write({name: ""})
    leave_out(tmp_path, "", ("tests", "test", "conftest"))

    assert remaining(tmp_path) == [name]


def test_a_link_goes_and_not_what_it_leads_to(tmp_path: Path) -> None:
    """A package may be a link to a folder elsewhere."""
    Project(tmp_path).write({"outside/mypkg.py": "", "copy/tests/test_it.py": ""})
    (tmp_path / "copy" / "mypkg").symlink_to(tmp_path / "outside")
    leave_out(tmp_path / "copy", "", ("mypkg",))

    assert remaining(tmp_path) == ["copy/tests/test_it.py", "outside/mypkg.py"]
    assert not (tmp_path / "copy" / "mypkg").is_symlink()
