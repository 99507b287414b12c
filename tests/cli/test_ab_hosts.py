"""memperf ab --tx: on other machines, which are further processes of this one, and one behind a real server of ssh."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate_runs import TESTS, in_the_last_test, start
from projects import INSTALL, PACKAGE, Project, interpreter, processes
from sshd import LACKING, program, server, specification

from pytest_memperf import __version__
from pytest_memperf.cli import main

BLAME = "mypkg/__init__.py:14 16 faults more: memory[page * mmap.PAGESIZE] = 1"


pytestmark = pytest.mark.usefixtures("own_settings")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a repository of two commits, of which the second one does harm."""
    project = Project.new(tmp_path_factory.mktemp("hosts") / "project")
    package = PACKAGE.format(side="one", pages=64)
    project.commit({"src/mypkg/__init__.py": package, "tests/test_it.py": TESTS, "pytest.ini": "[pytest]\n"})
    project.git("checkout", "--quiet", "-b", "planted")
    project.commit({"src/mypkg/__init__.py": PACKAGE.format(side="one", pages=80)})
    return project


def run(capsys: pytest.CaptureFixture[str], *words: object, install: str = INSTALL) -> tuple[int, str, list[str]]:
    """Return the exit code of a call, its output, and the lines on standard error."""
    code = main(["ab", f"--install={install}", "--max-time=1", *map(str, words)])
    captured = capsys.readouterr()
    assert not list(Path(os.environ["TMPDIR"]).iterdir())
    return code, captured.out, captured.err.splitlines()


def faults(outcome: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Return verdict and difference of the faults of each test."""
    return {
        row["test"].partition("::")[2]: (row["verdict"], row["difference"])
        for row in outcome["metrics"]
        if row["metric"] == "minor_faults"
    }


@pytest.fixture
def configuration(tmp_path: Path) -> Iterator[Path]:
    """Return what leads to a server of ssh by the name of box."""
    (tmp_path / "sshd").mkdir()
    with server(tmp_path / "sshd") as written:
        yield written


class TestVerdicts:
    """What machines find."""

    def test_two_machines(self, project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Each has its own verdicts and reasons, by its name in every format; the repository is as before."""
        before = project.seen()
        written = tmp_path / "out.json"
        hosts = ("--tx=popen//id=one", f"--tx=popen//python={sys.executable}//env:SECRET=x//id=two")
        code, output, errors = run(capsys, *hosts, f"--report=json:{written}", "main", "planted")
        outcomes = json.loads(written.read_text())["comparisons"]

        assert (code, errors) == (1, [])
        assert [outcome["host"] for outcome in outcomes] == ["one", "two"]
        for outcome in outcomes:
            assert faults(outcome) == {"test_same": ("same", 0), "test_work": ("worse", 16)}
            assert BLAME in outcome["explanations"]["tests/test_it.py::test_work"]
            assert outcome["head"] == f"planted ({project.git('rev-parse', 'planted')[:12]})"
        assert [line for line in output.splitlines() if line.startswith("host: ")] == ["host: one", "host: two"]
        assert project.seen() == before

    def test_the_working_tree(self, project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """With what is not committed; told in the same words, and with the same verdicts, as here."""
        changed = Project(tmp_path / "copy")
        project.git("clone", "--quiet", str(project.folder), str(changed.folder))
        changed.git("checkout", "--quiet", "-B", "work", "origin/main")
        changed.write({"src/mypkg/__init__.py": PACKAGE.format(side="one", pages=70), "tests/test_new.py": TESTS})
        os.chdir(changed.folder)
        before = changed.seen()
        words = ("--format=json", "--", "-k", "work")
        here, there = run(capsys, *words), run(capsys, "--tx=popen", *words)
        (first,), (second,) = (json.loads(output)["comparisons"] for _, output, _ in (here, there))

        assert (here[0], there[0]) == (1, 1)
        assert second.pop("host") == "popen"
        assert faults(second) == faults(first) == {"test_work": ("worse", 6)}
        assert (second["base"], second["head"]) == (first["base"], first["head"])
        for found in (first, second):
            assert BLAME.replace("16", "6") in found["explanations"]["tests/test_new.py::test_work"]
        assert second["head"].endswith(" and changes)")
        assert changed.seen() == before

    @pytest.mark.skipif(program() is None, reason=LACKING)
    def test_by_ssh(self, project: Project, capsys: pytest.CaptureFixture[str], configuration: Path) -> None:
        """Through a real server, in a session that has nothing of this one but what the specification says."""
        names = ("XDG_CACHE_HOME", "TMPDIR", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")
        there = specification(configuration, *names)
        code, output, errors = run(capsys, f"--tx={there}", "main", "planted", "--format=markdown")

        assert (code, errors) == (1, [])
        headline = f"### 1 memory regression in 1 test on ssh=box//python={sys.executable}"
        assert output.splitlines()[0].replace("\\", "") == headline
        assert f"- `tests/test_it.py::test_work: {BLAME}`" in output.splitlines()

    def test_requirements(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> None:
        """The tests of the current folder go along as they are, and files of requirements by their paths."""
        tests = Project.new(tmp_path / "tests")
        for side, pages in (("1", 64), ("2", 80)):
            tests.write({f"sources/{side}/mypkg.py": PACKAGE.format(side=side, pages=pages)})
        tests.commit({"in/side/pytest.ini": "[pytest]\n", "in/side/test_it.py": "def test_old(): pass\n"})
        setup = "from setuptools import setup; setup(name='mypkg', version='{}', py_modules=['mypkg'])\n"
        for side in "12":
            wheel = tmp_path / "sources" / side
            Project(wheel).write({"mypkg.py": PACKAGE.format(side=side, pages=48 + 16 * int(side))})
            Project(wheel).write({"setup.py": setup.format(side)})
            build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "."]
            subprocess.run([*build, "-w", str(tmp_path / "wheels")], cwd=wheel, check=True)
        tests.write({"in/side/test_it.py": TESTS, "in/side/old.txt": "mypkg==1\n"})
        monkeypatch.chdir(tests.folder / "in" / "side")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
        sides = (f"--requirement={tests.folder}/in/side/old.txt", "--requirement=mypkg==2")
        code, output, errors = run(capsys, *sides, "--tx=popen", "--format=json", "--", "-k", "work")
        (outcome,) = json.loads(output)["comparisons"]

        assert (code, errors) == (1, [])
        assert (outcome["base"], outcome["head"]) == ("old.txt", "mypkg==2")
        assert faults(outcome) == {"test_work": ("worse", 16)}


class TestFailures:
    """Machines that come to no verdict."""

    def test_others_are_told(self, project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Each is one line that names it and the mend, and exit code 2; the verdicts of the others are there."""
        without = interpreter(tmp_path / "without", {})
        other = interpreter(tmp_path / "other", {"pytest_memperf/__init__.py": "__version__ = '0.0.1'\n"})
        words = ("main", "main", "--", "-k", "same")
        hosts = [f"--tx=popen//id={name}//python={path}" for name, path in (("without", without), ("other", other))]
        hosts += [
            "--tx=popen//id=bare//env:PATH=/none",
            "--tx=popen//id=good",
            "--tx=popen//id=none//python=/no/python",
        ]
        code, output, errors = run(capsys, *hosts, *words)
        here = f"here it is {__version__}: pip install pytest-memperf=={__version__} there"

        assert code == 2
        assert output.splitlines()[0] == "host: good"
        assert output.splitlines()[-1].endswith(" same")
        assert errors == [
            f"memperf: without: its Python has no pytest-memperf, {here}",
            f"memperf: other: its Python has pytest-memperf 0.0.1, {here}",
            "memperf: bare: git is not installed there: install it",
            "memperf: none: /no/python cannot be started (No such file or directory): install it, or name another",
        ]

    @pytest.mark.skipif(program() is None, reason=LACKING)
    def test_no_such_machine(self, project: Project, capsys: pytest.CaptureFixture[str], configuration: Path) -> None:
        """What ssh says of it; and of one that has no such Python what its shell says."""
        configuration.write_text(f"Host nowhere\nHostName 127.0.0.1\nPort 1\n{configuration.read_text()}")
        own = f"ssh_config={configuration}"
        hosts = (f"--tx=ssh=nowhere//{own}", f"--tx=ssh=box//{own}//python=python-of-none")
        code, output, errors = run(capsys, *hosts, "main", "main")

        assert (code, output) == (2, "")
        assert len(errors) == 2
        assert errors[0].startswith(
            "memperf: ssh=nowhere: it cannot be reached (ssh: connect to host 127.0.0.1 port 1: "
        )
        assert errors[1].startswith("memperf: ssh=box//python=python-of-none: no Python can be started there (")
        assert "not found" in errors[1]

    def test_what_cannot_be_built(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """It says what the command said there, and nothing is written."""
        code, output, errors = run(capsys, "--tx=popen", "main", "main", install="echo no such thing; false")

        assert (code, output) == (2, "")
        assert errors[0].startswith("memperf: popen: --install 'echo no such thing; false' for main (")
        assert errors[1:] == ["no such thing"]

    def test_a_limit_on_nothing(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """It is a mistake as it is here."""
        code, _, errors = run(capsys, "--tx=popen", "main", "main", "--fail=minor_fault:0", "--", "-k", "same")

        assert (code, len(errors)) == (2, 1)
        assert errors[0].endswith("did you mean 'minor_faults'?")

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["--tx=3*ssh=a"], "--tx=3*ssh=a: one gate runs on a machine: write ssh=a"),
            (["--tx=a"], "--tx=a: there is no 'a': write such as ssh=user@host//python=python3"),
            (["--tx=ssh=a//pyton=b"], "--tx=ssh=a//pyton=b: there is no 'pyton'; did you mean 'python'?: "),
            (["--tx=python=b"], "--tx=python=b: say how to get there, such as ssh=user@host"),
            (["--tx=ssh=a//popen"], "--tx=ssh=a//popen: say how to get there"),
            (["--tx=ssh=a//ssh=b"], "--tx=ssh=a//ssh=b: say how to get there"),
            (
                ["--tx=popen", "--tx=popen"],
                "--tx=popen: popen twice: one gate runs on a machine; tell two apart by //id=",
            ),
            (["--tx=popen", "--python=/usr/bin/python3"], "--python=/usr/bin/python3 is a path of this machine"),
            (["--tx=popen", "--side=base=a", "--side=head=b"], "--side names what is on this machine: with --tx name"),
            (
                ["--tx=popen", "--requirement=/etc/hostname", "--requirement=b"],
                "--requirement=/etc/hostname: git knows no such file",
            ),
        ],
    )
    def test_a_mistake_is_one_line(
        self, project: Project, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It names the option, before any machine is asked."""
        code, output, errors = run(capsys, *words)

        assert (code, output, len(errors)) == (2, "", 1)
        assert errors[0].startswith(f"memperf: {line}")

    def test_without_execnet(
        self, project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One line names what to install."""
        monkeypatch.setitem(sys.modules, "execnet", None)
        monkeypatch.delitem(sys.modules, "pytest_memperf.baseline.ab.hosts", raising=False)
        code, _, errors = run(capsys, "--tx=popen")

        assert (code, len(errors)) == (2, 1)
        assert errors[0].endswith(": pip install pytest-memperf[remote]")


class TestInterrupted:
    """A run that comes to no end of its own."""

    @pytest.fixture(params=["popen", pytest.param("ssh", marks=pytest.mark.skipif(program() is None, reason=LACKING))])
    def running(
        self, request: pytest.FixtureRequest, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a run in a process group of its own, and wait until its machine is in the midst of its last test."""
        monkeypatch.setenv("STARTED", str(tmp_path / "started"))  # which ssh hands on
        there = "popen//id=there"
        if request.param == "ssh":
            names = ("XDG_CACHE_HOME", "TMPDIR", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "STARTED")
            there = f"{specification(request.getfixturevalue('configuration'), *names)}//id=there"
        process = in_the_last_test(tmp_path, f"--tx={there}")
        yield process
        process.kill()
        process.communicate()

    def test_ctrl_c(self, running: subprocess.Popen[str], project: Project, tmp_path: Path) -> None:
        """What the machine has so far is told; no process and no temporary folder is left, here or there."""
        before = project.seen()
        os.killpg(running.pid, signal.SIGINT)
        output, errors = running.communicate(timeout=30)
        rows = {line.split()[0] for line in output.splitlines() if "::" in line}

        assert running.returncode == 130
        assert rows == {"tests/test_it.py::test_same"}
        assert errors == ""
        assert "\ninterrupted, with 1 of 2 tests left\n" in output
        assert processes(f"STARTED={tmp_path}") == []
        assert [*(tmp_path / "temporary").iterdir()] == []
        assert project.seen() == before

    def test_killed(self, running: subprocess.Popen[str], project: Project, tmp_path: Path) -> None:
        """The machine notices, ends its gate and tidies up; what is left here goes with the next run."""
        before = project.seen()
        temporary = tmp_path / "temporary"
        assert len([*temporary.glob("memperf-ab-*")]) == 3  # ours, the repository there, and the gate's
        running.kill()
        running.communicate()
        until = time.monotonic() + 20
        # The process that tidies up after all others has its variables, by ssh, from execnet alone.
        while (processes(f"STARTED={tmp_path}") or len([*temporary.iterdir()]) > 1) and time.monotonic() < until:
            time.sleep(0.02)
        assert processes(f"STARTED={tmp_path}") == []
        (left,) = temporary.iterdir()
        assert sorted(path.name for path in left.iterdir()) == ["parcel"]
        assert project.seen() == before

    @pytest.mark.skipif(program() is None, reason=LACKING)
    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
    def test_while_it_connects(self, project: Project, tmp_path: Path, sent: signal.Signals) -> None:
        """To a machine that does not answer: ssh ends as well."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            process = start(f"--tx=ssh=-p {port} 127.0.0.1", "main", "main")
            connection, _ = silent.accept()
            assert len(processes(f"TMPDIR={tmp_path}")) == 2
            os.killpg(process.pid, sent) if sent is signal.SIGINT else process.kill()
            output = process.communicate(timeout=20)
            until = time.monotonic() + 10
            while processes(f"TMPDIR={tmp_path}") and time.monotonic() < until:
                time.sleep(0.02)
            assert processes(f"TMPDIR={tmp_path}") == []
            connection.close()

        assert output == ("", "")
        assert process.returncode == (130 if sent is signal.SIGINT else -9)
