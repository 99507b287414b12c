"""What a test has imported, and from where it may not have."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project

CODE = """
import json, os, sys
from pathlib import Path
tests, tools, *names = sys.argv[1:]
os.environ["MEMPERF_AB_TOOLS"] = tools
sys.path[:] = [f"{tests}/src", tests, *filter(None, sys.path), tools]
from pytest_memperf.baseline.ab.serving import imported_from_elsewhere
for name in names:
    sys.path.insert(0, os.path.dirname(name)) if "/" in name else None
    __import__(os.path.basename(name))
print(json.dumps(imported_from_elsewhere(Path(tests), sys.modules)))
"""


@pytest.fixture
def elsewhere(interpreters: dict[str, Path], tools: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that imports modules in an interpreter with a project, and tells which are from elsewhere."""

    def ask(*names: str, **files: str) -> list[str]:
        Project(tmp_path / "tests").write({name.replace("__", "/") + ".py": text for name, text in files.items()})
        command = [interpreters["base"], "-c", CODE, str(tmp_path / "tests"), str(tools), *names]
        found: list[str] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return found

    return ask


def test_what_may_be_imported(elsewhere: Callable[..., list[str]]) -> None:
    """The standard library, what is installed, the tests' own modules, and the tools."""
    names = ("json", "ctypes", "mypkg", "helper", "pytest", "numpy", "hypothetical")

    assert elsewhere(*names, helper="", src__hypothetical="") == []


def test_the_project_beside_its_tests(elsewhere: Callable[..., list[str]], tmp_path: Path) -> None:
    """A module of the tests' folder is none of the side's where one of that name is installed."""
    assert elsewhere("mypkg", src__mypkg="") == [f"mypkg from {tmp_path}/tests/src/mypkg.py"]


def test_another_folder(elsewhere: Callable[..., list[str]], tmp_path: Path) -> None:
    """Whatever lies outside of the tests and is not installed."""
    Project(tmp_path).write({"checkout/somewhere.py": ""})

    assert elsewhere(f"{tmp_path}/checkout/somewhere") == [f"somewhere from {tmp_path}/checkout/somewhere.py"]


def test_a_folder_below_the_interpreter(
    elsewhere: Callable[..., list[str]], interpreters: dict[str, Path], tmp_path: Path
) -> None:
    """Not all that lies in the environment's folder is installed there: it may be /usr, the project in /usr/src."""
    checkout = interpreters["base"].parent.parent / "src"
    Project(checkout).write({"somewhere.py": ""})

    assert elsewhere(f"{checkout}/somewhere") == [f"somewhere from {checkout}/somewhere.py"]


def test_tests_that_are_a_package(
    elsewhere: Callable[..., list[str]], interpreters: dict[str, Path], tmp_path: Path
) -> None:
    """They may have the name of something that is installed by accident."""
    (site,) = interpreters["base"].parent.parent.glob("lib/python3*/site-packages")
    Project(site).write({"tests/__init__.py": ""})

    assert elsewhere("tests", tests____init__="") == []
