"""Environments: built once for each state, never half, and of the sides' own sources alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from projects import INSTALL, PACKAGE, Project, processes

from pytest_memperf.baseline.ab.environments import INSTALL as BY_DEFAULT
from pytest_memperf.baseline.ab.environments import Built, build, build_of_requirements, cache_folder
from pytest_memperf.baseline.ab.repository import Repository
from pytest_memperf.baseline.ab.unused import KEPT
from pytest_memperf.environment.locks import locked, taken
from pytest_memperf.model.errors import UsageMistake

SETUP = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "my-project"
version = "1"
[tool.setuptools.packages.find]
where = ["src"]
"""
BUILD = """
import sys
from pathlib import Path
from pytest_memperf.baseline.ab.environments import build
from pytest_memperf.baseline.ab.repository import Repository
repository = Repository(Path(sys.argv[1]))
build(repository, repository.state("HEAD"), "", sys.argv[2])
"""


@pytest.fixture
def project(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a repository with a package, whose environments are the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project.commit({"src/mypkg/__init__.py": PACKAGE.format(side="one", pages=1), "src/mypkg/data.txt": "1"})
    return project


def built(project: Project, install: str = INSTALL, state: str = "HEAD", folder: str = "") -> Built:
    """Build an environment of a commit."""
    repository = Repository(project.folder)
    return build(repository, repository.state(state), folder, install)


def side(made: Built) -> str:
    """Return which side the environment imports."""
    code = "import mypkg, sys; assert mypkg.__file__.startswith(sys.prefix), mypkg.__file__; print(mypkg.SIDE)"
    return subprocess.run(
        [made.python, "-c", code], cwd="/", check=True, capture_output=True, text=True
    ).stdout.strip()  # fmt: skip


def left(folder: Path) -> list[str]:
    """Return what is there."""
    return [path.name for path in folder.iterdir()]


class TestKept:
    """An environment is built once."""

    def test_each_state_has_its_own(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is kept for the next run, with the modules that the project installed; the paths are of one length.

        The flags that a compiler is told decide too what is built.
        """
        project.commit({"src/mypkg/__init__.py": PACKAGE.format(side="two", pages=1)})
        log = project.folder.parent / "log"
        install = f"{INSTALL} && echo built >> {log}"
        one, two = (built(project, install, state) for state in ("HEAD^", "HEAD"))
        again = [built(project, install, state) for state in ("HEAD^", "HEAD", "main")]
        assert log.read_text() == "built\n" * 2
        monkeypatch.setenv("CFLAGS", "-O0")
        other = built(project, install)

        assert again == [one, two, two]
        assert one.packages == two.packages == ("mypkg",)
        assert (side(one), side(two)) == ("one", "two")
        assert other.python not in (one.python, two.python)
        assert len({len(str(each.python)) for each in (one, two, other)}) == 1

    def test_killed_half_way(self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command of a killed run ends with it, and what that has built is made anew.

        Of two runs that want it then, one builds and the other waits.
        """
        log = tmp_path / "log"
        install = f"echo begin >> {log}; sleep $SECONDS_OF_IT; {INSTALL}; echo end >> {log}"
        monkeypatch.setenv("SECONDS_OF_IT", "60")
        process = subprocess.Popen([sys.executable, "-c", BUILD, project.folder, install], cwd=tmp_path)
        until = time.monotonic() + 60
        while not log.exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert log.read_text() == "begin\n"
        monkeypatch.setenv("SECONDS_OF_IT", "1")
        with ThreadPoolExecutor(2) as both:
            made, same = both.map(lambda _: built(project, install), range(2))

        assert log.read_text() == "begin\n" * 2 + "end\n"
        assert made == same
        assert side(made) == "one"

    def test_what_the_command_leaves(self, project: Project, tmp_path: Path) -> None:
        """A process that it has started and not waited for ends with it: it would hold the lock."""
        made = built(project, f"{INSTALL}; sleep 300 > /dev/null 2>&1 &")

        assert processes(f"XDG_CACHE_HOME={tmp_path}") == []
        with taken(made.python.parents[2].with_suffix(".lock"), os.O_RDWR):
            assert side(made) == "one"

    def test_unused(self, project: Project) -> None:
        """What no run has used for weeks goes with the next build, but for what is being made, or is not ours."""
        old, making = built(project), built(project, f"{INSTALL} && true")
        cache = cache_folder()
        (cache / "notes").mkdir()
        (cache / f"{0:016}").mkdir()  # of somebody who was killed
        (cache / f"{0:016}.lock").touch()
        long_ago = time.time() - KEPT - 60
        for folder in cache.iterdir():
            if folder.is_dir():
                os.utime(folder, (long_ago, long_ago))
        with locked(making.python.parents[2].with_suffix(".lock")):
            new = built(project, f"{INSTALL} && : new")

        folders = [each.python.parents[2].name for each in (making, new)]
        assert sorted(left(cache)) == sorted([*folders, *(f"{name}.lock" for name in folders), "notes"])
        assert built(project) == old
        assert side(old) == "one"


@pytest.mark.parametrize("requirements", ["first.txt", "numpy -r first.txt", "numpy --constraint=second.txt"])
def test_requirements_that_include_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requirements: str) -> None:
    """What that says is part of what the environment is kept under, as are the requirements themselves."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pytest_memperf.baseline.ab.environments._kept", lambda key, *more: key)  # builds nothing
    Path("first.txt").write_text("numpy\n-c second.txt\n")
    Path("second.txt").write_text("numpy==1\n")
    before = build_of_requirements(requirements)
    assert build_of_requirements(requirements) == before
    Path("second.txt").write_text("numpy==2\n")

    assert build_of_requirements(requirements) != before


class TestMistakes:
    """A command that does not install the project."""

    def test_a_failing_command(self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command, the commit and its last lines are told, and nothing is kept.

        Neither PYTHONPATH nor a hook's variables of git have reached it; the environment's programs come first.
        """
        monkeypatch.setenv("PYTHONPATH", str(project.folder / "src"))
        monkeypatch.setenv("GIT_DIR", str(project.folder / ".git"))
        out = tmp_path / "out"
        asked = f"(echo $PYTHONPATH; git rev-parse --git-dir; which python; echo $VIRTUAL_ENV) > {out}"
        with pytest.raises(UsageMistake) as mistake:
            built(project, f"{asked}; seq 100; echo 'no compiler' >&2; exit 3")
        first, *lines = str(mistake.value).splitlines()
        path, git, python, environment = out.read_text().splitlines()

        assert first.startswith('--install "(echo ')
        assert first.endswith(" failed (status 3); it said")
        assert lines == [*map(str, range(87, 101)), "no compiler"]
        assert left(cache_folder()) == []
        assert (path, git, python) == ("", ".git", f"{environment}/bin/python")

    def test_a_command_that_installs_nothing(self, project: Project) -> None:
        """It would compare two empty environments."""
        with pytest.raises(UsageMistake, match="'true' installed nothing: give the command that installs the project"):
            built(project, "true")
        assert left(cache_folder()) == []

    def test_an_editable_one(self, project: Project) -> None:
        """A path to the sources instead of the project is refused: they are gone after the build."""
        with pytest.raises(UsageMistake, match=r"installed mine in place.*not editable"):
            built(project, "echo $PWD/src > $(echo $VIRTUAL_ENV/lib/python3*/site-packages)/mine.pth")
        assert left(cache_folder()) == []

    def test_a_project_folder_that_is_not_there(self, project: Project) -> None:
        """The option is named."""
        with pytest.raises(UsageMistake, match=r"--project=libs/none: HEAD \(.*\) has no such folder"):
            built(project, folder="libs/none")
        assert left(cache_folder()) == []


def test_by_default_pip_installs(project: Project) -> None:
    """The command that is taken without --install; of what it installs, the project's modules are known."""
    project.commit({"pyproject.toml": SETUP})
    try:
        made = built(project, f"{BY_DEFAULT} && cp src/mypkg/data.txt $VIRTUAL_ENV/lib/python3*/site-packages/")
    except UsageMistake as mistake:
        if "setuptools" not in str(mistake):
            raise
        pytest.skip("the index cannot be reached, which setuptools comes from")

    assert BY_DEFAULT == "pip install ."
    assert made.packages == ("mypkg",)
    assert side(made) == "one"
