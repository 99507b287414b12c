"""git bisect with memperf ab, by the command that docs/ab.md gives."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from projects import INSTALL, PACKAGE, Project

PAGE = Path(__file__).parents[2] / "docs" / "ab.md"
TESTS = (
    "import pytest, mypkg\n"
    "@pytest.mark.memperf\ndef test_work(): mypkg.work()\n"
    "@pytest.mark.memperf\ndef test_small(): mypkg.work(8)\n"
)


def package(pages: int, comment: str) -> dict[str, str]:
    """Return the project in a state that touches so many pages."""
    return {"src/mypkg/__init__.py": PACKAGE.format(side=comment, pages=pages)}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Stand in a repository of seven commits; the first one is v1.2, the fourth cannot be installed."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Project.new(tmp_path / "project")
    made.commit({**package(64, "first"), "tests/perf/test_it.py": TESTS})
    made.git("tag", "v1.2")
    made.commit(package(64, "second"))
    made.commit({"notes.txt": "third"})
    made.git("mv", "src/mypkg", "src/elsewhere")
    made.commit({"notes.txt": "fourth: nothing to install"})
    made.git("mv", "src/elsewhere", "src/mypkg")
    made.commit(package(64, "fifth"))
    made.commit(package(90, "sixth: worse"))
    made.commit(package(90, "seventh"))
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a memperf on the search path that installs projects without an index."""
    program = "import sys; from pytest_memperf.cli import main; sys.exit(main())"
    words = shlex.join([sys.executable, "-c", program, "ab", f"--install={INSTALL}"])
    file = tmp_path / "bin" / "memperf"
    file.parent.mkdir()
    file.write_text(f'#!/bin/sh\ntest "$1" = ab || exit 2\nshift\nexec {words} "$@"\n')
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("on_path")
def test_the_first_bad_commit(project: Project) -> None:
    """It is found by the two lines of the page, past the one that cannot be installed; the checkout is clean after."""
    commands = re.findall(r"^\$ (git bisect .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 3
    commits = project.git("log", "--format=%H", "--reverse").splitlines()

    told = [subprocess.run(["sh", "-c", each], capture_output=True, text=True, check=True) for each in commands[:2]]
    (bad,) = re.findall(r"^([0-9a-f]{40}) is the first bad commit$", told[1].stdout, re.MULTILINE)
    log = project.git("bisect", "log")
    assert commits.index(bad) == 5
    assert f"git bisect skip {commits[3]}" in log
    assert re.search(r"test_work +minor_faults +\S+ +\S+ +\+26 ", told[1].stdout)
    subprocess.run(["sh", "-c", commands[2]], capture_output=True, check=True)
    assert project.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert not project.git("status", "--porcelain")
