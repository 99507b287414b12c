"""memperf compare: runs that real sessions saved, told apart; what it prints, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from projects import Project

from pytest_memperf.baseline.file_store import FOLDER, FileStore, platform
from pytest_memperf.cli import main
from pytest_memperf.cli.outcomes import FORMATS
from pytest_memperf.model.run import Run
from pytest_memperf.report.comparison import github
from pytest_memperf.report.json_file import write
from pytest_memperf.report.json_reader import read

SUITE = """
    import pytest
    from known_work import touch

    @pytest.mark.memperf(isolation="process")
    @pytest.mark.parametrize("times", [1, 10])
    def test_touch(times):
        touch({pages} * times)

    @pytest.mark.memperf(isolation="process")
    def test_{name}():
        touch(50)
"""
RUNS = ("before", "as-before", "after")


@pytest.fixture(scope="module")
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which three sessions have saved runs: twice the same, then with more pages and a new name."""
    return tmp_path_factory.mktemp("saved") / "project"


@pytest.fixture
def project(saved: Path, suite: Callable[[str], None], pytester: pytest.Pytester) -> Path:
    """Return a copy of it to work in; the first test that wants one has the sessions run."""
    if not saved.exists():
        for name, pages, other in (("before", 20, "write"), ("as-before", 20, "write"), ("after", 400, "store")):
            suite(SUITE.format(pages=pages, name=other).replace("\n    ", "\n"))
            result = pytester.runpytest_subprocess(f"--memperf-save={name}")
            result.assert_outcomes(passed=3)
        shutil.copytree(pytester.path, saved)
    shutil.copytree(saved, pytester.path, dirs_exist_ok=True)
    return pytester.path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder in which no run was ever saved."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Call:
    """What a call came to."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: object) -> None:
        self.code = main(["compare", *map(str, words)])
        captured = capsys.readouterr()
        self.out, self.err = captured.out, captured.err


def stored(project: Path) -> list[Path]:
    """Return the saved runs, the oldest first."""
    return sorted((project / FOLDER / platform()).glob("*.json"))


def changed(path: Path, target: Path, **environment: object) -> None:
    """Write a copy of a run in another environment."""
    run = read(str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    write(str(target), replace(run, environment=replace(run.environment, **environment)))  # type: ignore[arg-type]


class TestExitCodes:
    """0, 1, 2 and 3."""

    def test_without_a_regression_it_is_0(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Two sessions of the same tests: nothing is worse; what has no difference is counted, not shown."""
        call = Call(capsys, "before", "as-before")
        assert (call.code, call.err) == (0, "")
        assert "worse" not in call.out
        assert " same" in call.out.splitlines()[-1]
        assert "minor_faults of" not in call.out

    def test_a_run_with_itself_is_said_so(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """By two names: a run with a regression is not kept, so the latest one may be the base."""
        last = str(len(stored(project)))
        call = Call(capsys, last, "latest")
        assert call.code == 0
        assert call.err.startswith("memperf: run 00")
        assert call.err.endswith(" is compared with itself\n")

    def test_with_one_it_is_1(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Twenty times as many pages; the renamed test is told and not compared."""
        call = Call(capsys, "before", "after")
        assert call.code == 1
        rows = [line.split() for line in call.out.splitlines() if line.startswith("test_it.py::test_touch[10]")]
        faults = next(row for row in rows if row[1] == "minor_faults")
        assert faults[2:4] == ["200", "4,000"]
        assert "worse, fails" in call.out
        assert "new: test_it.py::test_store: perhaps test_write renamed\n" in call.out
        assert "gone: test_it.py::test_write: perhaps test_store now\n" in call.out

    def test_the_other_way_round_it_is_better(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Which is no regression."""
        call = Call(capsys, "after", "before")
        assert call.code == 0
        assert "better" in call.out

    def test_strict_where_something_could_not_be_judged(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Times are unsure after one run: 3, and 0 without --strict; a regression is 1 all the same."""
        assert Call(capsys, "before", "as-before").code == 0
        assert Call(capsys, "before", "as-before", "--strict").code == 3
        assert Call(capsys, "before", "after", "--strict").code == 1

    @pytest.mark.parametrize("strict", [[], ["--strict"]])
    def test_where_nothing_could_be_judged_it_is_3(
        self, project: Path, capsys: pytest.CaptureFixture[str], strict: list[str]
    ) -> None:
        """Another kernel; or nothing but new tests, under --strict too."""
        changed(stored(project)[0], project / "other.json", kernel="2.6.32")
        call = Call(capsys, "other.json", "before", *strict)
        assert call.code == 3
        assert "kernel 2.6.32 and " in call.out
        write(str(project / "empty.json"), Run("2026-11-22T10:00:00+00:00"))
        assert Call(capsys, "empty.json", "before", *strict).code == 3

    @pytest.mark.parametrize(
        ("words", "mistake"),
        [
            (["before"], "the following arguments are required: HEAD (see memperf compare --help)"),
            (["before", "nothing"], "is called 'nothing': save one with pytest --memperf-save"),
            (["before", "after", "--format=markdwon"], "did you mean 'markdown'?"),
            (["before", "after", "--format=xml"], "--format=xml: choose from terminal, markdown, github, json, "),
            (["before", "after", "--fail=peak_rs:5%"], "no result has a metric 'peak_rs'; did you mean 'peak_rss'?"),
            (["before", "after", "--fail=peak_rss:"], "'peak_rss:' is no limit: write METRIC:LIMIT, such as "),
            (["before", "as-before", "--fail=minor_faults:1 s"], "minor_faults:1 s: '1 s' is not a count: write "),
            (["before", "after", "--storage=nowhere"], "--storage=nowhere: there is no such folder: name one of "),
            (["before", "after", "--sort=size"], "--sort=size: choose from verdict, change, name"),
            (["before", "after", "--group=tests"], "--group=tests: choose from none, test, metric; did you mean "),
            (["before", "after", "--sort=name", "--format=csv"], "--sort is for --format=terminal, markdown, github: "),
            (["before", "after", "--output=no/such"], "no/such cannot be written (No such file or directory): make "),
            (["before", "after", "--output=."], ". cannot be written ("),
            (["before", "after", "--report=xml:out"], "--report=xml: choose from terminal, markdown, github, json, "),
            (["before", "after", "--report=junit:"], "--report=junit: names no file: write --report=junit:FILE"),
            (["before", "after", "--report=junit:no/such"], "no/such cannot be written (No such file or directory): "),
            (["before", "after", "--report=junit:folder"], "folder cannot be written (Is a directory): name "),
            (["before", "after", "--report=junit:/dev/null"], "/dev/null cannot be written (not a regular file): "),
            (["before", "after", "--report=junit:out", "--report=json:./out"], "./out twice: name each file once, "),
            (["before", "after", "--report=terminal"], "terminal is written to standard output twice: "),
            (["before", "after", "--sort=name", "--format=csv", "--report=json:out"], "--sort is for "),
            (["before", "test_it.py"], "test_it.py is damaged or no JSON ("),
            (["folder", "after"], "folder: no file in this folder has results: name one with files of --memperf-json"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_2(
        self, project: Path, capsys: pytest.CaptureFixture[str], words: list[str], mistake: str
    ) -> None:
        """One line on standard error that names the mend, and nothing else."""
        (project / "folder").mkdir()
        (project / "folder" / "package.json").write_text("{}")
        call = Call(capsys, *words)
        assert (call.code, call.out) == (2, "")
        assert call.err.startswith("memperf: ")
        assert mistake in call.err
        assert call.err.count("\n") == 1


class TestNoBaseline:
    """A run that could be there and is not saved yet: a warning, not a mistake."""

    @pytest.fixture
    def repository(self, project: Path, own_settings: None) -> Path:
        """Make a repository of the folder, with a branch that no run was saved on."""
        made = Project.new(project)
        made.commit({})
        made.git("branch", "unsaved")
        made.git("update-ref", "refs/remotes/origin/fetched", "HEAD")
        return project

    @pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 3)])
    @pytest.mark.parametrize("head", ["latest", "after"])
    @pytest.mark.parametrize("base", ["main", "latest", "1"])
    def test_without_any_run(
        self, empty: Path, capsys: pytest.CaptureFixture[str], base: str, head: str, strict: list[str], code: int
    ) -> None:
        """Whatever is asked for could be saved; one line says how, whatever is compared with it."""
        call = Call(capsys, base, head, *strict)
        assert (call.code, call.out) == (code, "")
        assert call.err == (
            f"memperf: there is no baseline yet: no run is kept yet that '{base}' names in {FOLDER}/{platform()}: "
            "save one with pytest --memperf-save\n"
        )

    def test_runs_of_another_platform(self, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """After an update of Python, say: none of this one is there yet, and a reader should know of the others."""
        file = FileStore(empty / FOLDER, "Linux-other").save(Run("2026-11-22T10:00:00+00:00"))
        file.finish({})
        assert Call(capsys, "main", "latest").code == 0
        call = Call(capsys, "main", "latest", "--strict")
        assert (call.code, call.out) == (3, "")
        assert f"in {FOLDER}/{platform()} (there are runs of Linux-other): save one" in call.err

    @pytest.mark.parametrize("base", ["base.json", "results"])
    def test_a_path_is_none_that_could_be_saved(
        self, empty: Path, capsys: pytest.CaptureFixture[str], base: str
    ) -> None:
        """A file that is not there and a folder without files are mistakes without any run too."""
        (empty / "results").mkdir()
        call = Call(capsys, base, "latest")
        assert (call.code, call.out) == (2, "")
        assert f"is called '{base}': save one" in call.err

    def test_a_head_is_no_baseline(self, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What is to be judged is not there: a mistake."""
        write("base.json", Run("2026-11-22T10:00:00+00:00"))
        assert Call(capsys, "base.json", "latest").code == 2

    @pytest.mark.parametrize("base", ["unsaved", "HEAD", "fetched"])
    def test_what_git_knows(self, repository: Path, capsys: pytest.CaptureFixture[str], base: str) -> None:
        """A branch, here or only at origin, or a commit of which there is no run, beside runs of others."""
        call = Call(capsys, base, "after")
        assert (call.code, call.out) == (0, "")
        assert call.err.startswith(f"memperf: there is no baseline yet: no run is kept yet that '{base}' names in ")
        assert call.err.count("\n") == 1
        assert Call(capsys, base, "after", "--strict").code == 3

    @pytest.mark.parametrize(
        ("words", "mend"),
        [
            (("zzz", "after"), "is called 'zzz': save one with pytest --memperf-save\n"),
            (("unsaved", "aftr"), "is called 'aftr'; did you mean 'after'?\n"),
            (("unsaved", "after", "aftr"), "is called 'aftr'; did you mean 'after'?\n"),
        ],
    )
    def test_what_nothing_knows_is_a_mistake(
        self, repository: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], mend: str
    ) -> None:
        """As a base, and as a head of a base that is not saved yet."""
        call = Call(capsys, *words)
        assert (call.code, call.out) == (2, "")
        assert call.err.endswith(mend)
        assert call.err.count("\n") == 1

    def test_no_older_report_stays(self, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """One of an earlier run would be taken for this one's; a limit on any metric is no mistake."""
        (empty / "out.json").write_text("older")
        assert Call(capsys, "main", "latest", "--fail=peak_rss:5%", "--report=json:out.json").code == 0
        assert json.loads((empty / "out.json").read_text())["comparisons"] == []


class TestSides:
    """What may be compared."""

    def test_numbers_files_and_patterns(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Each names the same run; the output says which one it was."""
        first, _, last = stored(project)
        shutil.copy(first, project / "artefact.json")
        for base in ("1", "0001", "before", first.name, "0001_*", first, "artefact.json"):
            call = Call(capsys, base, "latest")
            assert call.code == 1
            described = f"the file {base}" if os.path.exists(base) else "run 0001, "
            assert call.out.startswith(f"base: {described}")
        assert f"head: run {int(last.name[:4]):04}, " in call.out

    def test_each_of_several_heads(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """One regression among them is enough for 1; each is a part of the output."""
        call = Call(capsys, "before", "as-before", "after")
        assert call.code == 1
        assert [line for line in call.out.splitlines() if line.startswith("head: ")] == [
            next(line for line in Call(capsys, "before", head).out.splitlines() if line.startswith("head: "))
            for head in ("as-before", "after")
        ]
        found = json.loads(Call(capsys, "before", "as-before", "after", "--format=json").out)
        assert [bool(each["regressions"]) for each in found["comparisons"]] == [False, True]

    def test_storage(self, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The next folder of runs upwards, or the one that is given."""
        below = project / "a" / "b"
        below.mkdir(parents=True)
        monkeypatch.chdir(below)
        assert Call(capsys, "before", "after").code == 1
        (project / FOLDER).rename(project / "runs")
        assert "there is no baseline yet: " in Call(capsys, "before", "after").err
        assert Call(capsys, "before", "after", "--storage=../../runs").code == 1

    def test_a_damaged_run_is_told(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The others still compare."""
        stored(project)[1].write_text("{")
        call = Call(capsys, "before", "after")
        assert call.code == 1
        assert call.err.startswith("memperf: ")
        assert stored(project)[1].name in call.err


class TestFolders:
    """The artefacts of a CI matrix."""

    @pytest.fixture
    def matrix(self, project: Path) -> Path:
        """Return a folder with two sides of jobs: two kernels on both, and a third one on either."""
        first, _, last = stored(project)
        for side, run, third in (("base", first, "6.3"), ("head", last, "6.4")):
            for kernel in ("6.1", "6.2", third):
                changed(run, project / side / f"job-{kernel}" / "run.json", kernel=kernel)
        return project

    def test_are_joined_by_environment(self, matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """One comparison for each that both sides have; the others are told."""
        call = Call(capsys, "base", "head", "--format=json")
        assert call.code == 1
        found = json.loads(call.out)["comparisons"]
        assert [(each["base"], each["head"]) for each in found] == [
            (f"base/job-{kernel}/run.json", f"head/job-{kernel}/run.json") for kernel in ("6.1", "6.2")
        ]
        assert all(each["regressions"] and "not comparable" not in each["counts"] for each in found)
        assert call.err.splitlines() == [
            f"memperf: {name}/run.json: nothing of its environment is on the other side, so it is not compared"
            for name in ("base/job-6.3", "head/job-6.4")
        ]

    def test_an_environment_alone_is_undecided(self, matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """So --strict ends in 3, though nothing is worse; with nothing else it is 3 anyway."""
        assert Call(capsys, "head", "head/job-6.1", "--fail=none").code == 0
        assert Call(capsys, "head", "head/job-6.1", "--fail=none", "--strict").code == 3
        assert Call(capsys, "base", "head/job-6.4").code == 3

    def test_a_folder_and_a_run(self, matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """One environment on each side is compared, and what differs is named."""
        assert Call(capsys, "base/job-6.1", "head/job-6.1/run.json").code == 1
        assert "not comparable: " in Call(capsys, "base/job-6.1", "after").out

    def test_jobs_that_share_a_suite_make_one_run(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Each test is compared with its own; times of several machines are not."""
        run = read(str(stored(project)[0]))
        for number, result in enumerate(run.results):
            part = replace(run, results=[result], environment=replace(run.environment, machine=f"m{number}"))
            (project / "parts").mkdir(exist_ok=True)
            write(str(project / "parts" / f"{number}.json"), part)
        found = json.loads(Call(capsys, "parts", "as-before", "--format=json").out)["comparisons"][0]
        assert not {"new", "gone", "worse"} & found["counts"].keys()
        reasons = {each["reason"] for each in found["metrics"] if each["metric"] == "wall_time"}
        assert reasons
        assert all(reason.startswith("machine several in parts and ") for reason in reasons)
        assert found["base"].endswith("and 2 more")

    def test_repeated_runs_make_a_band(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The newest is compared with, whatever the files are called."""
        run = read(str(stored(project)[0]))
        (project / "many").mkdir()
        for number in range(20):
            created = f"2026-11-{22 - number:02}T10:00:00+00:00"
            write(str(project / "many" / f"{number:02}.json"), replace(run, created=created))
        found = json.loads(Call(capsys, "many", "as-before", "--format=json").out)["comparisons"][0]
        assert found["base"] == "many/00.json and 19 more"
        assert "unsure" not in found["counts"]

    def test_what_is_no_run_is_left_out(self, matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """And told."""
        (matrix / "base" / "job-6.1" / "other.json").write_text("[]")
        call = Call(capsys, "base/job-6.1", "head/job-6.1")
        assert call.code == 1
        assert call.err.startswith("memperf: left out: base/job-6.1/other.json is no file of pytest-memperf's results")


class TestOutput:
    """What is written where."""

    def test_fail(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Limits decide what is a regression; the option can be repeated."""
        assert Call(capsys, "before", "after", "--fail=none").code == 0
        assert Call(capsys, "before", "after", "--fail=minor_faults:10_000").code == 0
        assert Call(capsys, "before", "after", "--fail=minor_faults:100").code == 1
        assert Call(capsys, "before", "after", "--fail=minor_faults:10_000", "--fail=peak_rss:1 KiB").code == 1

    def test_all_shows_what_is_the_same(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With the smallest change that would have been seen."""
        assert "would show" not in Call(capsys, "before", "as-before").out
        assert "would show" in Call(capsys, "before", "as-before", "--all").out

    def test_sort_and_group(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Of the rows for readers."""
        lines = Call(capsys, "before", "after", "--sort=name", "--group=metric").out.splitlines()
        metrics = [line.split()[1] for line in lines if line.startswith("test_it.py::test_touch")]
        assert len(metrics) > 2
        assert [
            name for number, name in enumerate(metrics) if name in metrics[:number] and name != metrics[number - 1]
        ] == []

    @pytest.mark.parametrize("name", FORMATS)
    def test_a_file_has_what_would_be_printed(
        self, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """In any format; an older file is replaced."""
        monkeypatch.delenv(github.SUMMARY, raising=False)
        (project / "out").write_text("older\n" * 100_000)
        written = Call(capsys, "before", "after", f"--format={name}", "--output=out")
        assert (written.code, written.out, written.err) == (1, "", "")
        printed = Call(capsys, "before", "after", f"--format={name}")
        assert (project / "out").read_bytes() == printed.out.encode()
        assert [path.name for path in project.iterdir() if path.name.startswith(".memperf-")] == []

    def test_several_at_once(
        self, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each is what it would be alone: readers see no metric without a difference, programs all of them."""
        monkeypatch.delenv(github.SUMMARY, raising=False)
        alone = {name: Call(capsys, "before", "after", f"--format={name}").out for name in FORMATS}
        files = [f"--report={name}:{name}.out" for name in FORMATS if name not in ("terminal", "github")]
        call = Call(capsys, "before", "after", "--report=github", *files)
        assert (call.code, call.err) == (1, "")
        assert call.out == alone["terminal"] + alone["github"]
        for name in ("markdown", "json", "junit", "csv"):
            assert (project / f"{name}.out").read_bytes() == alone[name].encode()

    def test_the_order_is_for_readers(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Where one of the formats is for them."""
        call = Call(capsys, "before", "after", "--sort=name", "--format=json", "--report=markdown:out.md")
        tests = [line.split("`")[1] for line in (project / "out.md").read_text().splitlines() if line.startswith("| `")]
        assert call.code == 1
        assert len(set(tests)) > 1
        assert tests == sorted(tests, key=lambda test: (len(test), test))

    def test_files_are_written_though_nobody_reads_the_output(self, project: Path) -> None:
        """They come first, so that a reader who leaves, as head does, takes none away; nor the exit code."""
        reader, writer = os.pipe()
        os.close(reader)
        program = "import sys; from pytest_memperf.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", program, "compare", "before", "after", "--report=junit:out.xml"]
        assert subprocess.run(command, stdout=writer).returncode == 1
        os.close(writer)
        assert ElementTree.parse(project / "out.xml").getroot().tag == "testsuites"

    def test_one_that_cannot_be_written_takes_no_other_with_it(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A file too large, which is found out at the end: the others are written, and the exit code is 2."""
        size = len(Call(capsys, "before", "after", "--format=csv").out)
        former, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
            call = Call(capsys, "before", "after", "--report=json:out.json", "--report=csv:out.csv")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, former)
            signal.signal(signal.SIGXFSZ, ignored)
        assert call.code == 2
        assert (
            call.err
            == "memperf: out.json cannot be written (File too large): name a file in a folder that can be written\n"
        )
        assert call.out.startswith("base: ")
        assert len((project / "out.csv").read_bytes()) == size
        assert not (project / "out.json").exists()

    def test_a_file_that_cannot_be_written_stays(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Whole or not at all."""
        (project / "out").mkdir()
        (project / "out" / "kept").write_text("")
        assert Call(capsys, "before", "after", "--output=out").code == 2
        assert sorted(path.name for path in (project / "out").iterdir()) == ["kept"]
        assert [path.name for path in project.iterdir() if path.name.startswith(".memperf-")] == []

    def test_programs_get_everything(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What is the same too, without being asked."""
        rows = list(csv.DictReader(io.StringIO(Call(capsys, "before", "as-before", "--format=csv").out, newline="")))
        assert "same" in {row["verdict"] for row in rows}

    @pytest.mark.parametrize("name", FORMATS)
    def test_any_name_in_any_encoding(self, project: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """What the terminal's encoding lacks is written out, not a traceback."""
        run = read(str(stored(project)[0]))
        write(
            str(project / "named.json"), replace(run, results=[replace(run.results[0], test="test_é.py::test_it[→]")])
        )
        monkeypatch.setenv("PYTHONIOENCODING", "ascii")
        command = [sys.executable, "-c", "from pytest_memperf.cli import main; raise SystemExit(main())", "compare"]
        ended = subprocess.run([*command, "named.json", "named.json", "--all", f"--format={name}"], capture_output=True)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert ended.stdout.isascii()
        if name == "junit":
            assert ElementTree.fromstring(ended.stdout).findall("testsuite/testcase[@name='test_it[→]']")

    def test_github_finds_the_tests(
        self, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The line of the function; and the summary of the step, which must be writable."""
        monkeypatch.setenv(github.SUMMARY, str(tmp_path / "summary.md"))
        call = Call(capsys, "before", "after", "--format=github")
        text = (project / "test_it.py").read_text().splitlines()
        line = text.index("def test_touch(times):") + 1
        assert call.out.startswith(f"::error file=test_it.py,line={line},title=")
        assert (tmp_path / "summary.md").read_text().startswith("### ")
        monkeypatch.setenv(github.SUMMARY, str(tmp_path / "missing" / "summary.md"))
        call = Call(capsys, "before", "after", "--format=github")
        assert call.code == 2
        assert "summary.md cannot be written (No such file or directory)" in call.err
