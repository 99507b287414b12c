"""What an installation brings: entry points, types, the marker, and a light start."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata, resources

import pytest

import cyx
import pytest_memperf


def test_the_plugin_is_an_entry_point_of_pytest() -> None:
    """pytest finds the plugin under the name memperf, so that ``-p no:memperf`` switches it off."""
    (entry,) = metadata.entry_points(group="pytest11", name="memperf")
    assert entry.value == "pytest_memperf.plugin"


def test_the_command_is_a_console_script() -> None:
    """The memperf command is installed beside pytest."""
    (entry,) = metadata.entry_points(group="console_scripts", name="memperf")
    assert callable(entry.load())


def test_the_version_is_the_distributions() -> None:
    """What the package says of itself is what was installed."""
    assert pytest_memperf.__version__ == metadata.version("pytest-memperf")


@pytest.mark.parametrize("package", [pytest_memperf, cyx])
def test_packages_are_typed(package: object) -> None:
    """Both packages carry py.typed, so that a type checker reads them."""
    assert resources.files(package).joinpath("py.typed").is_file()


def test_the_plugin_does_not_import_numpy(tmp_path) -> None:
    """A session without a measured test imports neither NumPy nor psutil, whoever installed them."""
    tmp_path.joinpath("test_plain.py").write_text("def test(): pass")
    code = (
        "import sys, pytest; code = pytest.main(['-q', '-p', 'no:cacheprovider']); "
        "found = {'numpy', 'psutil', 'jsonschema'} & set(sys.modules); assert not found, found; sys.exit(code)"
    )
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_memperf.plugin"}
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
