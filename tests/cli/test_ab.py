"""memperf ab from end to end, on a small repository: verdicts, exit codes, and that nothing is left of a run."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from gate_runs import TESTS, in_the_last_test, start
from projects import INSTALL, PACKAGE, Project, interpreter, processes

from pytest_memperf.cli import main
from pytest_memperf.environment.locks import taken

MARKED = "import os, time, pytest, mypkg\npytestmark = pytest.mark.memperf\n"
INNOCENT = {
    "src/mypkg/__init__.py": PACKAGE.format(side="one", pages=64).replace("A project.", "A project, told at length.")
    + "\n\ndef unused():  # and a comment\n    return [None] * 3\n",
}
PLANTED = {
    "src/mypkg/__init__.py": PACKAGE.format(side="two", pages=80),
    "src/mypkg/later.py": "VALUE = 1\n",
    "tests/test_it.py": TESTS + "def test_broken(): assert mypkg.SIDE == 'one', 'broken'\ndef test_new(): pass\n",
    "tests/test_later.py": MARKED + "from mypkg.later import VALUE\ndef test_later(): assert VALUE\n",
    "tests/test_worse.py": "import nothing_of_this_name\n",
}


pytestmark = pytest.mark.usefixtures("own_settings")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a repository: a first commit, an innocent one on a branch of its own, and one that does harm."""
    project = Project.new(tmp_path_factory.mktemp("made") / "project")
    ini = "[pytest]\naddopts = --strict-markers\n"
    first = {"src/mypkg/__init__.py": PACKAGE.format(side="one", pages=64), "tests/test_it.py": TESTS}
    project.commit({**first, "pytest.ini": ini, "tests/test_old.py": MARKED + "def test_old(): pass\n"})
    project.git("checkout", "--quiet", "-b", "innocent")
    project.commit(INNOCENT)
    project.git("checkout", "--quiet", "-b", "planted", "main")
    project.git("rm", "--quiet", "tests/test_old.py")
    project.commit(PLANTED)
    project.git("checkout", "--quiet", "innocent")
    return project


def run(capsys: pytest.CaptureFixture[str], *words: object, install: str = INSTALL) -> tuple[int, str, str]:
    """Return the exit code of a call, and what it printed on either way out."""
    code = main(["ab", f"--install={install}", *map(str, words)])
    captured = capsys.readouterr()
    assert not list(Path(os.environ["TMPDIR"]).iterdir())
    return code, captured.out, captured.err


class TestCommits:
    """Two commits, by name or chosen."""

    def test_a_regression(self, project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """It fails, with test, metric, direction and size; each other test is what it is, and why.

        The repository is as before.
        """
        before = project.seen()
        code, output, errors = run(capsys, "main", "planted", "--format=json", f"--output={tmp_path / 'out.json'}")
        (outcome,) = json.loads((tmp_path / "out.json").read_text())["comparisons"]
        found = {(row["test"].partition("tests/")[2], row["metric"]): row for row in outcome["metrics"]}
        worse = found["test_it.py::test_work", "minor_faults"]
        others = {test: row["verdict"] for (test, metric), row in found.items() if metric is None}

        assert (code, output) == (1, "")
        assert (worse["verdict"], worse["fails"], worse["difference"]) == ("worse", True, 16)
        assert {test for (test, _), row in found.items() if row["verdict"] == "worse"} == {"test_it.py::test_work"}
        for test in ("test_same", "test_new"):  # head's tests run on both sides
            assert found[f"test_it.py::{test}", "minor_faults"]["verdict"] == "same"
        assert others == {
            "test_later.py::test_later": "new",
            "test_old.py::test_old": "gone",
        }
        assert errors.splitlines() == [
            "memperf: tests/test_it.py::test_broken fails on head: AssertionError: broken",
            "memperf: tests/test_later.py cannot be imported on base: "
            "ModuleNotFoundError: No module named 'mypkg.later'",
            "memperf: tests/test_worse.py cannot be imported on base: "
            "ModuleNotFoundError: No module named 'nothing_of_this_name'",
            "memperf: tests/test_worse.py cannot be imported on head: "
            "ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ]
        assert project.seen() == before

    def test_an_innocent_commit(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """On a branch, without names: the commit where it left the default branch, and nothing to complain of."""
        code, output, errors = run(capsys, "--max-retakes=0")  # of which a line would tell
        base, head, *verdicts = output.splitlines()

        assert (code, errors) == (0, "")
        assert base == f"base: where it left main ({project.git('rev-parse', 'main')[:12]})"
        assert head == f"head: HEAD ({project.git('rev-parse', 'HEAD')[:12]})"
        assert len(verdicts) == 1
        assert verdicts[0].endswith(" same")

    def test_a_commit_with_itself(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """All is the same, each metric in a row where asked for; arguments reach pytest."""
        code, output, errors = run(capsys, "main", "main", "--all", "--", "-k", "same", "--memperf-all")
        rows = [line for line in output.splitlines() if line.startswith("tests/")]

        assert (code, errors) == (0, "")
        assert {line.split()[0] for line in rows} == {"tests/test_it.py::test_same"}
        assert len(rows) > 3
        assert all(" same" in line for line in rows)

    @pytest.mark.parametrize(
        ("whose", "there"),
        [
            (
                "base",
                {"test_it.py::test_same": "same", "test_it.py::test_work": "worse", "test_old.py::test_old": "same"},
            ),
            ("own", {"test_it.py::test_same": "same", "test_it.py::test_new": "new", "test_old.py::test_old": "gone"}),
        ],
    )
    def test_whose_tests(
        self, project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path, whose: str, there: dict[str, str]
    ) -> None:
        """Those of base on both sides, of which head has changed some; or of each side its own."""
        selected = ["-k", "same or work or old or new", "--deselect=tests/test_worse.py"]
        run(
            capsys,
            "main",
            "planted",
            f"--tests={whose}",
            "--format=json",
            f"--output={tmp_path / 'out'}",
            "--",
            *selected,
        )
        (outcome,) = json.loads((tmp_path / "out").read_text())["comparisons"]
        found = {
            row["test"].partition("tests/")[2]: row["verdict"]
            for row in outcome["metrics"]
            if row["metric"] in (None, "minor_faults")
        }

        assert {test: found.get(test) for test in there} == there
        assert ("test_it.py::test_new" in found) == (whose == "own")

    def test_a_limit_on_nothing(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """A metric that no test has would never fail: the nearest right name is told."""
        code, _, errors = run(capsys, "main", "main", "--fail=minor_fault:0", "--", "-k", "same")

        assert code == 2
        assert (
            errors
            == "memperf: --fail=minor_fault: no result has a metric 'minor_fault'; did you mean 'minor_faults'?\n"
        )

    def test_a_limit_on_a_time(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """It is no mistake where nothing was told of the time: the test is too short for it."""
        code, _, errors = run(capsys, "main", "main", "--fail=wall_time:10%", "--", "-k", "same")
        assert (code, errors) == (0, "")

    def test_a_limit_in_another_unit(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """It is refused before anything runs."""
        code, output, errors = run(capsys, "main", "main", "--fail=minor_faults:5MiB", install="false")
        assert (code, output) == (2, "")
        assert errors.startswith("memperf: --fail=minor_faults:5MiB: ")
        assert errors.endswith(", or a share such as '5%'\n")

    def test_a_failing_test_is_no_success(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a regression too, the exit code is 1."""
        code, _, errors = run(capsys, "main", "planted", "--fail=none", "--", "tests/test_it.py", "-k", "broken")

        assert code == 1
        assert errors == "memperf: tests/test_it.py::test_broken fails on head: AssertionError: broken\n"

    def test_a_module_that_cannot_be_imported(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        """Nor is a module of head that cannot be imported: its tests would be gone without a word."""
        code, _, errors = run(capsys, "main", "planted", "--", "-k", "same or worse")

        assert code == 1
        assert "memperf: tests/test_worse.py cannot be imported on head: " in errors

    def test_unmarked_tests(self, project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """They are measured with --memperf-all, and otherwise there is nothing to measure, which is one line.

        The project lies in a folder of its repository.
        """
        several = Project.new(tmp_path / "several")
        package = PACKAGE.format(side="a", pages=1)
        files = {"src/mypkg/__init__.py": package, "tests/test_it.py": "import mypkg\ndef test_a(): pass"}
        several.commit({f"libs/a/{name}": text for name, text in files.items()} | {"test_b.py": "def test_b(): pass"})
        os.chdir(several.folder)
        words = ("HEAD", "HEAD", "--project=libs/a/")
        line = "memperf: head has no test to measure: mark some with pytest.mark.memperf, or add -- --memperf-all\n"
        assert run(capsys, *words) == (2, "", line)
        code, output, errors = run(capsys, *words, "--all", "--", "--memperf-all")

        assert (code, errors) == (0, "")
        assert {line.split()[0] for line in output.splitlines() if "::" in line} == {"tests/test_it.py::test_a"}

    def test_annotations_begin_at_the_checkout(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Of a project in a folder of it too."""
        several = Project.new(tmp_path / "several")
        tests = MARKED + "def test_a():\n    assert False, 'broken'\n"
        several.commit({"libs/a/src/mypkg/__init__.py": "", "libs/a/tests/test_it.py": tests})
        os.chdir(several.folder)
        code, output, _ = run(capsys, "HEAD", "HEAD", "--project=libs/a", "--format=github")
        annotation, *_ = output.splitlines()

        assert code == 1
        place = f"file=libs/a/tests/test_it.py,line={MARKED.count(chr(10)) + 1}"
        assert annotation.startswith(f"::error {place},title=failure of test_a::")
        assert annotation.endswith("broken")


@pytest.fixture(scope="session")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return one for each side, and one with the project in place."""
    folder = tmp_path_factory.mktemp("pythons")
    sources = folder / "sources"
    Project(sources).write({"mypkg/__init__.py": PACKAGE.format(side="in place", pages=64)})
    noted = json.dumps({"url": sources.as_uri(), "dir_info": {"editable": True}})
    metadata = "Metadata-Version: 2.1\nName: mypkg\nVersion: 1\n"
    in_place = {
        "mypkg.pth": f"{sources}\n",
        "mypkg-1.dist-info/METADATA": metadata,
        "mypkg-1.dist-info/direct_url.json": noted,
    }
    return {
        "base": interpreter(folder / "base", {"mypkg/__init__.py": PACKAGE.format(side="one", pages=64)}),
        "head": interpreter(folder / "head", {"mypkg/__init__.py": PACKAGE.format(side="two", pages=80)}),
        "in place": interpreter(folder / "in_place", in_place),
    }


def wheel(folder: Path, side: str, pages: int, named: str = "mypkg-1") -> Path:
    """Write a wheel of the package by hand (PEP 427)."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{named}-py3-none-any.whl", f"{named}.dist-info"
    name, _, version = named.partition("-")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}/__init__.py", PACKAGE.format(side=side, pages=pages))
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", f"{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


class TestSides:
    """Two interpreters, or wheels."""

    @pytest.fixture(autouse=True)
    def tests(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand in a folder of tests that is in no repository."""
        Project(tmp_path / "tests").write({"pytest.ini": "[pytest]\n", "test_it.py": TESTS})
        monkeypatch.chdir(tmp_path / "tests")

    def test_two_interpreters(self, pythons: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
        """They are compared as commits are, in the order of their names, and called by their paths."""
        words = (f"--side=head={pythons['head']}", f"--side=base={pythons['base']}", "--all", "--", "-k", "same")
        code, output, errors = run(capsys, *words)
        base, head, *rows = output.splitlines()

        assert (code, errors) == (0, "")
        assert (base, head) == (f"base: {pythons['base']}", f"head: {pythons['head']}")
        assert any(row.startswith("test_it.py::test_same") and "minor_faults" in row for row in rows)

    def test_nothing_is_kept_of_its_sessions(
        self, pythons: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """Whatever the project's own sessions keep and compare: a storage that is no side's is not even opened."""
        ini = (
            "[pytest]\nmemperf_storage = sqlite:////nowhere/runs.db\nmemperf_autosave = true\n"
            "addopts = --memperf-compare=main --memperf-json=out.json\n"
        )
        Path("pytest.ini").write_text(ini)
        words = (f"--side={side}={pythons[side]}" for side in ("base", "head"))
        code, _, errors = run(capsys, *words, "--", "-k", "same")

        assert (code, errors) == (0, "")
        assert {path.name for path in Path().iterdir()} - {"__pycache__"} == {"pytest.ini", "test_it.py"}

    def test_what_else_differs(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Other versions of what is installed beside the project are named; the project's own, from here, are not."""
        sides = []
        for side, version in (("base", "1.0"), ("head", "2.0")):
            files = {"mypkg/__init__.py": PACKAGE.format(side=side, pages=64)}
            for name, address in (("dependency", ""), ("mypkg", '{"url": "file:///src"}')):
                info = f"{name}-{version}.dist-info"
                files |= {f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
                files |= {f"{info}/direct_url.json": address} if address else {}
            sides.append(f"--side={side}={interpreter(tmp_path / side, files)}")
        code, output, _ = run(capsys, *sides, "--", "-k", "same")

        assert code == 0
        assert "\nbeside the project, the sides differ in dependency 1.0 and 2.0\n" in output

    def test_two_wheels(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """They are installed into environments of their own, made by the interpreter that was asked for."""
        sides = [f"--side={side}={wheel(tmp_path / side, side, pages)}" for side, pages in (("base", 64), ("head", 80))]
        code, output, _ = run(capsys, *sides, f"--python={sys.executable}", "--", "-k", "work")

        assert code == 1
        assert next(line.split()[1] for line in output.splitlines() if " worse" in line) == "minor_faults"
        assert output.splitlines()[0] == f"base: {tmp_path}/base/mypkg-1-py3-none-any.whl"

    def test_several_requirements_of_a_side(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In one option: all of them are installed there."""
        for named, pages in (("mypkg-1", 64), ("mypkg-2", 80), ("beside-1", 1)):
            wheel(tmp_path / "wheels", "any", pages, named)
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        Path("test_it.py").write_text(f"import beside\n{TESTS}")
        words = ("--requirement=mypkg==1 beside", "--requirement=mypkg==2 beside", "--", "-k", "work")
        code, output, errors = run(capsys, *words)

        assert (code, errors) == (1, "")
        assert next(line.split()[1] for line in output.splitlines() if " worse" in line) == "minor_faults"
        assert output.splitlines()[:2] == ["base: mypkg==1 beside", "head: mypkg==2 beside"]

    def test_installed_in_place(self, pythons: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
        """Such a side has no state of its own: it is refused, and the mend named."""
        code, output, errors = run(capsys, f"--side=base={pythons['base']}", f"--side=head={pythons['in place']}")

        assert (code, output) == (2, "")
        assert errors.startswith("memperf: head has mypkg from ")
        assert errors.endswith("install it there, not editable\n")
        assert errors.count("\n") == 1

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["--side=base=python3"], "--side: give two, base=PYTHON and head=PYTHON, or wheels"),
            (["--side=base=python3"] * 2, "--side: give two, base=PYTHON and head=PYTHON, or wheels"),
            (["--side=base=python3", "--side=hd=python3"], "--side: give two, base=PYTHON and head=PYTHON, or wheels"),
            (["--side=base=/no/python", "--side=head=python3"], "--side base=/no/python: there is no such program"),
            (
                ["a", "b", "--side=base=python3", "--side=head=python3"],
                "give BASE and HEAD, or --side twice, or --requirement twice: not both",
            ),
            (["--side=base=no.whl", "--side=head=python3"], "--side base=no.whl: there is no such wheel"),
            (
                ["--python=3.99", "--requirement=a", "--requirement=b"],
                "--python=3.99: there is no python3.99 on PATH: install it, or give a path",
            ),
            (
                ["--python=/bin/false", "--requirement=a", "--requirement=b"],
                "--python=/bin/false: /bin/false is no Python that runs",
            ),
            (["--tests=mine"], "--tests=mine: choose from head, base, own"),
            (["--tests=own", "--requirement=a", "--requirement=b"], "--tests=own is for commits"),
            (["--max-retakes=-1"], "argument --max-retakes: "),
            (["--max-retakes=x"], "argument --max-retakes: 'x' is no number of times: give 0 or more"),
            (["--requirement=.", "--requirement=b"], "--requirement=.: what lies in . may change: name a wheel"),
            (
                ["--requirement=a=='1", "--requirement=b"],
                "--requirement=a=='1: No closing quotation: give",
            ),
            (["--requirement=a"], "--requirement: give it twice, for base and for head"),
            (["--max-time=soon"], "argument --max-time: "),
            (["--format=html"], "--format=html: choose from terminal"),
            (["--fail=:5"], "':5' is no limit"),
        ],
        ids=[
            "one",
            "same",
            "name",
            "program",
            "commits too",
            "wheel",
            "version",
            "python",
            "whose",
            "whose tests",
            "retakes",
            "no number",
            "path",
            "quotes",
            "requirement",
            "time",
            "format",
            "limit",
        ],
    )
    def test_a_mistake_is_one_line(
        self, words: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """It names the option; the exit code is 2."""
        code, output, errors = run(capsys, *words)

        assert (code, output) == (2, "")
        assert errors.startswith(f"memperf: {line}")
        assert errors.count("\n") == 1

    def test_no_repository(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Without sides there must be one."""
        code, _, errors = run(capsys)

        assert code == 2
        assert errors.startswith(f"memperf: {tmp_path / 'tests'} is in no repository (")


class TestInterrupted:
    """A run that comes to no end of its own."""

    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
    def test_in_a_test(self, project: Project, tmp_path: Path, sent: signal.Signals) -> None:
        """What it has so far is told; no process, no worktree and no temporary folder is left."""
        before = project.seen()
        process = in_the_last_test(tmp_path)
        os.killpg(process.pid, sent)
        output, errors = process.communicate(timeout=30)
        rows = {line.split()[0] for line in output.splitlines() if "::" in line}

        assert process.returncode == 130
        assert rows == {"tests/test_it.py::test_same"}
        assert errors == ""
        assert "\ninterrupted, with 1 of 2 tests left\n" in output
        assert processes(f"STARTED={tmp_path}") == []
        assert [*(tmp_path / "temporary").iterdir()] == []
        assert project.seen() == before

    def test_killed(self, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Its processes end at once, and its folder goes with the next run."""
        before = project.seen()
        process = in_the_last_test(tmp_path)
        process.kill()
        process.communicate()
        assert eventually(lambda: processes(f"STARTED={tmp_path}") == [], seconds=5)
        assert len([*(tmp_path / "temporary").glob("memperf-ab-*")]) == 1
        code, _, errors = run(capsys, "main", "main", "--", "-k", "nothing_of_this_name")

        assert (code, errors.count("\n")) == (2, 1)
        assert project.seen() == before

    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_in_a_build(
        self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals
    ) -> None:
        """What the command has started ends with it, whether it writes to us or not, and so nobody holds the lock.

        No worktree and, unless killed at once, no half-built environment and no temporary folder is left.
        """
        cache, pids = tmp_path / "cache", tmp_path / "pids"
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        before = project.seen()
        silent = f"(sleep 300 & echo $! >> {pids}; sleep 300) > /dev/null 2>&1"
        command = f"{silent} & sleep 300 & echo $! >> {pids}; wait; {INSTALL}"
        process = start(f"--install={command}", "main", "innocent")
        assert eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        started = pids.read_text().split()
        assert all(Path("/proc", pid).exists() for pid in started)
        (lock,) = cache.rglob("*.lock")
        process.send_signal(sent)  # to this process alone, not to its group
        told = process.communicate(timeout=30)

        assert eventually(lambda: processes(f"XDG_CACHE_HOME={cache}") == [], seconds=5)
        assert project.seen() == before
        assert told == ("", "")
        if sent is signal.SIGKILL:
            with taken(lock, os.O_RDWR):  # by nobody
                return
        assert process.returncode == 130
        assert [*lock.parent.iterdir()] == []
        assert [*(tmp_path / "temporary").iterdir()] == []


def eventually(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Tell whether something comes to hold in so many seconds."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
