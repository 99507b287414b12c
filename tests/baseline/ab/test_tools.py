"""The folder of links: this plugin and what it needs, and nothing else of this interpreter's."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import distributions
from pathlib import Path

from pytest_memperf.baseline.ab.tools import link_tools

CODE = """
import importlib.util, json, sys
sys.path[:] = [*filter(None, sys.path), sys.argv[1]]
import pytest, pytest_memperf, numpy, cyx.process
print(json.dumps({
    "pytest": pytest.__file__, "plugin": pytest_memperf.__file__, "numpy": numpy.__file__,
    "others": [name for name in sys.argv[2:] if importlib.util.find_spec(name)],
}))
"""


def test_another_interpreter_has_the_plugin(tools: Path, interpreters: dict[str, Path]) -> None:
    """It imports the plugin and what that requires through the links, and no tool that is installed here beside."""
    answer = subprocess.run(
        [interpreters["base"], "-c", CODE, tools, "hypothesis", "mypy", "coverage", "xdist", "mypkg"],
        check=True, capture_output=True, text=True, cwd="/",
    )  # fmt: skip
    found = json.loads(answer.stdout)

    assert {Path(found[name]).parent.parent for name in ("pytest", "plugin", "numpy")} == {tools}
    assert found["others"] == ["mypkg"]


def test_the_plugins_are_found_by_their_entry_points(tools: Path) -> None:
    """Their metadata lie beside them."""
    names = {each.metadata["Name"] for each in distributions(path=[str(tools)])}

    assert {"pytest", "pytest-memperf", "pytest-benchmark", "numpy", "psutil"} <= names


def test_no_search_path_is_added(tmp_path: Path) -> None:
    """Files that add to the search path stay away, as those of an editable installation."""
    links = tmp_path / "links"
    link_tools(links)
    assert [path.name for path in links.iterdir() if path.suffix == ".pth" or path.name == "__pycache__"] == []
