"""A repository with pull requests, and an environment in which pytest-memperf is installed as a job installs it."""

from __future__ import annotations

import base64
import platform
import sys
import sysconfig
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parent.parent / "baseline" / "ab"))

from actions import ROOT, Job, Run, read
from projects import PACKAGE, Project

TESTS = "import pytest, mypkg\n\n\n@pytest.mark.memperf\ndef test_work():\n    mypkg.work()\n"


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a repository with pull requests by number: one that does harm, an innocent one, one with a new test."""
    project = Project.new(tmp_path_factory.mktemp("origin") / "project")
    project.commit({"src/mypkg/__init__.py": PACKAGE.format(side="one", pages=64), "tests/test_it.py": TESTS})
    pulls = {
        "harmful": {"src/mypkg/__init__.py": PACKAGE.format(side="two", pages=80)},
        "innocent": {"README": "It works.\n"},
        "first": {"src/mypkg/later.py": "", "tests/test_it.py": TESTS.replace("import ", "import mypkg.later, ")},
        "broken": {"tests/test_it.py": TESTS + "    assert mypkg.SIDE == 'two', 'broken'\n"},
    }
    for name, files in pulls.items():
        project.git("checkout", "--quiet", "-b", name, "main")
        project.commit(files)
        project.git("checkout", "--quiet", "--detach", "main")
        project.git("merge", "--quiet", "--no-ff", "--no-edit", name)
        for reference in (f"refs/pull/{name}", f"refs/merge-requests/{name}"):
            project.git("update-ref", f"{reference}/merge", "HEAD")
            project.git("update-ref", f"{reference}/head", name)
    project.git("checkout", "--quiet", "-b", "release", "main")
    project.commit({"NEWS": "None.\n"})
    project.git("checkout", "--quiet", "main")
    return project


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that pip installs without an index: of what these tests run on, wherever that is installed."""
    path = tmp_path_factory.mktemp("wheel") / "this_memperf-1-py3-none-any.whl"
    here = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    files = {
        "this_memperf.pth": f"import site; list(map(site.addsitedir, {here}))\n",
        "this_memperf-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: this-memperf\nVersion: 1\n",
        "this_memperf-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "this_memperf-1.dist-info/entry_points.txt": "[console_scripts]\nmemperf = pytest_memperf.cli:main\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, "this_memperf-1.dist-info/RECORD": record}.items():
            archive.writestr(name, text)
    return path


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Job:
    """Return a job in which the first step has installed pytest-memperf."""
    job = Job(tmp_path_factory.mktemp("job"), wheel.parent)
    install = {"requirement": str(wheel)}
    described = read(ROOT / "action.yml")
    (step,) = [step for step in described["runs"]["steps"] if step.get("id") == "install"]
    run = Run()
    outputs = job.script(step, ROOT, {f"inputs.{name}": value for name, value in install.items()}, run, 0)
    assert (run.code, outputs) == (0, {"python": platform.python_version()}), run.output
    return job
