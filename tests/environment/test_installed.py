"""What is installed and loaded: against what pip wrote, and distributions made up in folders."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from pytest_memperf.environment import collect, installed


def distribution(folder: Path, name: str, version: str, files: str = "", url: str | None = None) -> None:
    """Write what an installer notes of a distribution."""
    notes = folder / f"{name}-{version}.dist-info"
    notes.mkdir(parents=True)
    (notes / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (notes / "RECORD").write_text(files)
    if url is not None:
        (notes / "direct_url.json").write_text(json.dumps({"url": url}))


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ("a/__init__.py,,\na/b/c.py,,\na-1.0.dist-info/RECORD,,\n", {"a"}),
        ("_a.cpython-312-x86_64-linux-gnu.so,,\na.py,,\n__pycache__/a.cpython-312.pyc,,\n", {"_a", "a"}),
        ("../../../bin/tool,,\na.pth,,\n", set()),
        ("", set()),
    ],
)
def test_modules_of_a_distribution(files: str, names: set[str], tmp_path: Path) -> None:
    """Packages, single files and extension modules; not scripts, nor what lies beside them."""
    distribution(tmp_path, "some", "1.0", files)
    (found,) = metadata.distributions(path=[str(tmp_path)])

    assert installed.top_level(found) == names


def test_versions_are_of_what_comes_from_elsewhere(tmp_path: Path) -> None:
    """What was built from a folder or file of this machine is the project; of one name the first folder counts."""
    distribution(tmp_path / "first", "six", "1.16.0")
    distribution(tmp_path / "first", "project", "1.0", url="file:///home/project")
    distribution(tmp_path / "first", "fork", "2.0", url="https://example.com/fork-2.0.tar.gz")
    distribution(tmp_path / "second", "six", "1.17.0")

    found = installed.versions([str(tmp_path / "first"), str(tmp_path / "second")])
    assert found == {"six": "1.16.0", "fork": "2.0"}


def test_loaded_is_what_was_imported() -> None:
    """A process that imports psutil has loaded it, one that does not has not; neither has pytest."""
    program = "{}from pytest_memperf.environment.installed import loaded; import json; print(json.dumps(loaded()))"
    without, having = (
        json.loads(
            subprocess.run([sys.executable, "-c", program.format(first)], capture_output=True, check=True).stdout
        )
        for first in ("", "import psutil; ")
    )

    assert "psutil" not in without
    assert having["psutil"] == metadata.version("psutil")
    assert "pytest" not in having


def test_the_environment_names_each_once() -> None:
    """Plugins and NumPy have fields of their own; this process runs pytest."""
    libraries = collect({"psutil": "1"}).libraries

    assert libraries is not None
    assert libraries["pytest"] == metadata.version("pytest")
    assert not {"numpy", "psutil"} & libraries.keys()
