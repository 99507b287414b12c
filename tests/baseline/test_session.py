"""--memperf-save and --memperf-compare: sessions keep their run, and tell what became of an earlier one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_memperf.baseline.file_store import FileStore, platform
from pytest_memperf.model.run import Run

INLINE = """
    import pytest

    @pytest.mark.memperf
    def test_one(): pass

    @pytest.mark.memperf
    def test_two(): pass

    def test_plain(): pass
"""
IN_A_CHILD = """
    from pathlib import Path

    import pytest

    @pytest.mark.memperf(isolation="process")
    def test_one(memperf):
        size = int(Path("size").read_text())
        memperf(bytearray, size)
        memperf.record("rows", size, unit="rows", better="lower")
"""
LIMIT_HINT = "(a figure that tests record is written record:"


def typed(value: object) -> str:
    """Return options as they are typed, for the name of a test."""
    return " ".join(value) if isinstance(value, list) else ""


def saved(folder: Path) -> list[Run]:
    """Return the runs in a folder of --memperf-storage."""
    return [run.read() for run in FileStore(folder, platform()).runs()]


def errors(result: pytest.RunResult) -> list[str]:
    """Return the lines of mistakes."""
    return [line for line in result.errlines if line]


@pytest.fixture
def inline(pytester: pytest.Pytester) -> pytest.Pytester:
    """Two tests that are measured in a moment, and one that is not measured."""
    pytester.makepyfile(test_it=INLINE)
    return pytester


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """The files of the first run that ``sized`` saved: one serves all tests."""
    return {}


@pytest.fixture
def sized(pytester: pytest.Pytester, kept: dict[str, bytes]) -> pytest.Pytester:
    """A test that takes as much memory as the file ``size`` says, of which 10 MB were saved as ``base``."""
    pytester.makepyfile(test_it=IN_A_CHILD)
    (pytester.path / "size").write_text("10_000_000")
    folder = pytester.path / ".memperf" / platform()
    if not kept:
        pytester.runpytest("--memperf-save=base", "-q").assert_outcomes(passed=1)
        kept |= {path.name: path.read_bytes() for path in folder.iterdir()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    return pytester


@pytest.fixture
def larger(sized: pytest.Pytester) -> pytest.Pytester:
    """The same test with 20 MB now."""
    (sized.path / "size").write_text("20_000_000")
    return sized


class TestSaving:
    """What is kept, where, and what is said of it."""

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            (["--memperf-save"], None),
            (["--memperf-save=base"], "base"),
            (["--memperf-save", "base"], "base"),
            (["--memperf-autosave"], None),
            (["--memperf-autosave", "--memperf-save=base"], "base"),
            (["-o", "memperf_autosave=true"], None),
            (["-o", "memperf_save=base"], "base"),
            (["-o", "memperf_save=base", "--memperf-save=mine"], "mine"),
        ],
        ids=typed,
    )
    def test_each_option(self, inline: pytest.Pytester, options: list[str], name: str | None) -> None:
        """One run with both results, under the name, and a line that says which file it is."""
        result = inline.runpytest(*options)
        result.assert_outcomes(passed=3)
        (run,) = saved(inline.path / ".memperf")
        assert run.name == name
        assert [each.test for each in run.results] == ["test_it.py::test_one", "test_it.py::test_two"]
        assert run.environment.kernel is not None
        (path,) = (inline.path / ".memperf" / platform()).glob("*.json")
        result.stdout.fnmatch_lines([f"memperf: saved as {path}"])

    def test_nothing_without_an_option(self, inline: pytest.Pytester) -> None:
        """Nor with one that is lifted."""
        inline.runpytest("-o", "memperf_save=").assert_outcomes(passed=3)
        assert not (inline.path / ".memperf").exists()

    def test_runs_are_numbered(self, inline: pytest.Pytester, validate_head: list[str]) -> None:
        """Each session has a file of its own, with the same keys that --memperf-json writes."""
        for _ in range(2):
            inline.runpytest("--memperf-autosave", "-q")
        names = sorted(path.name for path in (inline.path / ".memperf" / platform()).glob("*.json"))
        assert [name.partition("_")[0] for name in names] == ["0001", "0002"]
        data = json.loads((inline.path / ".memperf" / platform() / names[0]).read_text())
        assert list(data) == validate_head

    @pytest.fixture
    def validate_head(self) -> list[str]:
        """The keys of a file outside of a repository."""
        return ["format", "created", "results", "environment", "crc32"]

    def test_both_files_have_the_same_results(self, inline: pytest.Pytester) -> None:
        """--memperf-json beside it changes nothing in either."""
        inline.runpytest("--memperf-json=out.json", "--memperf-save=base").assert_outcomes(passed=3)
        data = json.loads((inline.path / "out.json").read_text())
        (run,) = saved(inline.path / ".memperf")
        assert [each.as_json() for each in run.results] == data["results"]
        assert run.environment.as_json() == data["environment"]
        assert (run.name, data.get("name")) == ("base", None)

    @pytest.mark.parametrize("options", [["-pxdist", "-n2"], ["-pxdist", "-n2", "--memperf-json=out.json"]])
    def test_workers_results_are_one_run(self, inline: pytest.Pytester, options: list[str]) -> None:
        """With the environment of a worker."""
        result = inline.runpytest_subprocess("--memperf-save=base", *options)
        result.assert_outcomes(passed=3)
        result.stdout.fnmatch_lines(["memperf: saved as *0001_*"])
        (run,) = saved(inline.path / ".memperf")
        assert sorted(each.test for each in run.results) == ["test_it.py::test_one", "test_it.py::test_two"]
        assert run.environment.python is not None
        assert len(list((inline.path / ".memperf" / platform()).iterdir())) == 2  # and the lock

    def test_the_commit_is_told(self, inline: pytest.Pytester) -> None:
        """The name of the file has it, and that files under version control were changed."""
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@b"]
        for command in (["init", "-q", "-b", "main"], ["add", "test_it.py"], ["commit", "-q", "-m", "one"]):
            subprocess.run([*git, *command], cwd=inline.path, check=True)
        inline.runpytest("--memperf-save", "-q")
        with (inline.path / "test_it.py").open("a") as file:
            file.write("# changed\n")
        inline.runpytest("--memperf-save", "-q")
        runs = saved(inline.path / ".memperf")
        assert [(run.commit.branch, run.commit.dirty) for run in runs if run.commit] == [
            ("main", False),
            ("main", True),
        ]
        names = sorted(path.name for path in (inline.path / ".memperf" / platform()).glob("*.json"))
        assert [name.endswith("_dirty.json") for name in names] == [False, True]


class TestStorage:
    """Where the runs are."""

    def test_flag_begins_where_it_was_typed(self, inline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        """As every path of a command line."""
        (inline.path / "below").mkdir()
        monkeypatch.chdir(inline.path / "below")
        inline.runpytest("--memperf-save", "--memperf-storage=runs", f"--rootdir={inline.path}", "..", "-q")
        assert len(saved(inline.path / "below" / "runs")) == 1
        assert not (inline.path / "runs").exists()

    @pytest.mark.parametrize("line", ["memperf_storage = runs", ""])
    def test_ini_begins_beside_its_file(
        self, inline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, line: str
    ) -> None:
        """Wherever pytest is called, and so does the folder that is used without any option."""
        inline.makeini(f"[pytest]\n{line}\n")
        (inline.path / "below").mkdir()
        monkeypatch.chdir(inline.path / "below")
        inline.runpytest("--memperf-autosave", "..", "-q")
        assert len(saved(inline.path / ("runs" if line else ".memperf"))) == 1
        assert list((inline.path / "below").iterdir()) == []

    def test_an_absolute_path(self, inline: pytest.Pytester, tmp_path: Path) -> None:
        """It is what it says, and what compares finds it there."""
        storage = f"--memperf-storage={tmp_path / 'far' / 'away'}"
        inline.runpytest("--memperf-save", storage, "-q")
        assert len(saved(tmp_path / "far" / "away")) == 1
        inline.runpytest("--memperf-compare", storage).stdout.fnmatch_lines(["base: run 0001, *"])

    @pytest.mark.parametrize("option", ["--memperf-save", "--memperf-compare"])
    def test_a_file_is_none(self, inline: pytest.Pytester, option: str) -> None:
        """One line that names it, before anything runs."""
        result = inline.runpytest(option, "--memperf-storage=test_it.py")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        (line,) = errors(result)
        assert re.fullmatch(
            r"ERROR: (--memperf-compare=latest: )?\S+/test_it.py/\S+ cannot be (read|written) \(Not a directory\): "
            "name another folder with --memperf-storage",
            line,
        )


KEPT_ALL_THE_SAME = "(--memperf-json=FILE keeps results in any case)"


class TestNotSaved:
    """Sessions whose run is no baseline say so, and leave nothing."""

    def check(self, result: pytest.RunResult, reason: str) -> None:
        """Assert that this was said, and that no file is there."""
        result.stdout.fnmatch_lines([f"memperf: not saved: {reason} {KEPT_ALL_THE_SAME}"])
        assert "saved as" not in result.stdout.str()
        folder = Path(".memperf") / platform()
        assert [path.name for path in folder.glob("*") if path.name != ".lock"] == []

    @pytest.mark.parametrize("options", [[], ["-pxdist", "-n2"], ["-q", "-x", "--no-summary"]], ids=typed)
    def test_a_test_failed(self, inline: pytest.Pytester, options: list[str]) -> None:
        """Whichever, measured or not."""
        inline.makepyfile(test_more="def test_fails(): assert 0")
        result = inline.runpytest_subprocess("--memperf-save", *options)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        self.check(result, "a test failed, or a metric became worse")

    def test_a_budget_failed(self, pytester: pytest.Pytester) -> None:
        """That is a failed test as well."""
        pytester.makepyfile("import pytest\n@pytest.mark.memperf(max_wall_time=1e-12)\ndef test_it(): pass")
        self.check(pytester.runpytest("--memperf-save"), "a test failed, or a metric became worse")

    @pytest.mark.parametrize("ending", ["raise KeyboardInterrupt", "pytest.exit('enough')", "pytest.exit('enough', 0)"])
    def test_interrupted(self, inline: pytest.Pytester, ending: str) -> None:
        """By hand, or by a test that ends the session with whatever exit code."""
        inline.makepyfile(test_more=f"import pytest\ndef test_ends(): {ending}")
        self.check(inline.runpytest_subprocess("--memperf-save"), "the session was interrupted")

    def test_ended_with_a_code_of_its_own(self, inline: pytest.Pytester) -> None:
        """pytest has no summary to say it in, but nothing is kept either."""
        inline.makepyfile(test_more="import pytest\ndef test_ends(): pytest.exit('enough', 7)")
        assert inline.runpytest_subprocess("--memperf-save").ret == 7
        assert saved(inline.path / ".memperf") == []

    def test_interrupted_in_a_worker(self, inline: pytest.Pytester) -> None:
        """The run is not whole, whatever xdist calls it."""
        inline.makepyfile(test_more="def test_ends(): raise KeyboardInterrupt")
        result = inline.runpytest_subprocess("--memperf-save", "-pxdist", "-n1")
        self.check(result, "*")
        assert result.ret != pytest.ExitCode.OK

    def test_a_module_cannot_be_imported(self, inline: pytest.Pytester) -> None:
        """pytest interrupts the session then."""
        inline.makepyfile(test_more="import nothing_of_the_name")
        self.check(inline.runpytest("--memperf-save"), "the session was interrupted")

    @pytest.mark.parametrize("options", [["-k", "plain"], ["-k", "nothing"], ["--memperf-skip"]])
    def test_nothing_was_measured(self, inline: pytest.Pytester, options: list[str]) -> None:
        """No test, or none that is measured."""
        self.check(inline.runpytest("--memperf-save", *options), "nothing was measured")
        assert not (inline.path / ".memperf").exists()

    def test_under_a_debugger(self, inline: pytest.Pytester) -> None:
        """Its results are left out, and nothing remains; those of --memperf-json have them with the note."""
        command = [sys.executable, "-m", "pytest", "--trace", "--memperf-save", "--memperf-json=out.json", "-k", "one"]
        result = inline.run(*command, stdin=b"continue\n")
        result.assert_outcomes(passed=1, deselected=2)
        self.check(result, "perturbed: measured under pdb, which changes the values")
        assert len(json.loads((inline.path / "out.json").read_text())["results"]) == 1

    @pytest.mark.usefixtures("every_plugin")
    def test_under_coverage(self, inline: pytest.Pytester) -> None:
        """The same."""
        result = inline.runpytest_subprocess("--memperf-save", "--cov")
        result.assert_outcomes(passed=3)
        self.check(result, "perturbed: measured under coverage, which changes the values")

    def test_only_what_was_traced_is_left_out(self, inline: pytest.Pytester) -> None:
        """The others of the session are kept."""
        inline.makeconftest(
            """
            import pytest
            from pytest_memperf.measure.conditions import CONDITIONS

            @pytest.fixture(autouse=True)
            def traced(request):
                before = CONDITIONS.notes
                if request.node.name == "test_one":
                    CONDITIONS.notes = ["perturbed: by hand"]
                yield
                CONDITIONS.notes = before
            """
        )
        inline.runpytest("--memperf-save").assert_outcomes(passed=3)
        (run,) = saved(inline.path / ".memperf")
        assert [each.test for each in run.results] == ["test_it.py::test_two"]

    @pytest.mark.parametrize("option", ["--collect-only", "--memperf-disable", "--help", "--markers", "--fixtures"])
    def test_sessions_that_measure_nothing_write_nothing(self, inline: pytest.Pytester, option: str) -> None:
        """Not even the folder, and they do not speak of it."""
        result = inline.runpytest("-o", "memperf_autosave=true", "-o", "memperf_compare=latest", option)
        assert result.ret == pytest.ExitCode.OK
        assert not (inline.path / ".memperf").exists()
        result.stdout.no_fnmatch_line("memperf: *")

    def test_an_older_run_stays(self, inline: pytest.Pytester) -> None:
        """A failed session changes nothing in the store."""
        inline.runpytest("--memperf-save", "-q")
        before = {path: path.read_bytes() for path in (inline.path / ".memperf" / platform()).iterdir()}
        inline.makepyfile(test_more="def test_fails(): assert 0")
        inline.runpytest("--memperf-save", "-q")
        assert {path: path.read_bytes() for path in (inline.path / ".memperf" / platform()).iterdir()} == before


class TestComparing:
    """The verdicts over two sessions, and the exit code."""

    def test_a_regression_is_exit_code_1(self, larger: pytest.Pytester) -> None:
        """Though every test passed."""
        result = larger.runpytest("--memperf-compare")
        result.assert_outcomes(passed=1)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "*= memperf: comparison =*",
                "base: run 0001, saved as base *",
                "head: this session",
                "test_it.py::test_one *peak_rss * worse, fails *",
            ]
        )

    def test_the_same_is_exit_code_0(self, sized: pytest.Pytester) -> None:
        """What was not told apart is counted; a row each has -v alone."""
        result = sized.runpytest("--memperf-compare")
        assert result.ret == pytest.ExitCode.OK
        assert re.search(r"^.* same$", result.stdout.str(), re.MULTILINE)
        assert "more than" not in result.stdout.str()
        result = sized.runpytest("--memperf-compare", "-v")
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["test_it.py::test_one *peak_rss * same *more than * would show"])

    def test_less_is_exit_code_0(self, sized: pytest.Pytester) -> None:
        """An improvement is shown."""
        (sized.path / "size").write_text("1_000_000")
        result = sized.runpytest("--memperf-compare=base")
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["test_it.py::test_one *peak_rss * better *"])

    @pytest.mark.parametrize(
        ("limits", "code"),
        [
            (["none"], 0),
            (["peak_rss:150%"], 0),
            (["peak_rss:20MiB", "minor_faults:10000"], 0),
            (["peak_rss:20MiB", "minor_faults:0"], 1),
            (["peak_rss"], 1),
            (["record:rows:200%"], 0),
            ([" record:rows : 10 % "], 1),
        ],
        ids=typed,
    )
    def test_limits(self, larger: pytest.Pytester, limits: list[str], code: int) -> None:
        """Of the base's value or an amount; a metric without one does not fail."""
        options = [f"--memperf-compare-fail={limit}" for limit in limits]
        result = larger.runpytest("--memperf-compare=base", *options)
        result.assert_outcomes(passed=1)
        assert result.ret == code
        result.stdout.fnmatch_lines(["test_it.py::test_one *peak_rss * worse*"])

    @pytest.mark.parametrize(("share", "code"), [("50%", 1), ("150%", 0)])
    def test_limits_in_the_ini_file(self, larger: pytest.Pytester, share: str, code: int) -> None:
        """One a line, and what to compare with."""
        limits = f"memperf_compare_fail =\n    minor_faults:10000\n    peak_rss:{share}"
        larger.makeini(f"[pytest]\nmemperf_compare = base\n{limits}\n")
        result = larger.runpytest()
        assert result.ret == code
        result.stdout.fnmatch_lines(["test_it.py::test_one *peak_rss * worse*"])

    def test_workers(self, larger: pytest.Pytester) -> None:
        """The same with xdist."""
        workers = ["-pxdist", "-n2"]  # which is a plugin that the base has to have as well
        (larger.path / "size").write_text("10_000_000")
        larger.runpytest_subprocess("--memperf-save", *workers)
        (larger.path / "size").write_text("20_000_000")
        result = larger.runpytest_subprocess("--memperf-compare", *workers)
        result.assert_outcomes(passed=1)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["test_it.py::test_one *peak_rss * worse, fails *"])

    def test_saved_and_compared(self, larger: pytest.Pytester) -> None:
        """The base is the run from before; what became worse is no base for others, unless that was allowed."""
        result = larger.runpytest("--memperf-compare", "--memperf-save=next")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*not saved: a test failed, or a metric became worse *", "base: run 0001, *"])
        assert [run.name for run in saved(larger.path / ".memperf")] == ["base"]

        larger.runpytest("--memperf-compare", "--memperf-compare-fail=none", "--memperf-save=next")
        assert [run.name for run in saved(larger.path / ".memperf")] == ["base", "next"]

    def test_a_regression_is_stronger_than_a_lost_file(self, larger: pytest.Pytester) -> None:
        """Both are told, and the exit code is that of the regression."""
        larger.mkdir("gone")
        larger.makeconftest(
            """
            import pytest, shutil
            @pytest.hookimpl(tryfirst=True)
            def pytest_sessionfinish(): shutil.rmtree("gone")
            """
        )
        result = larger.runpytest("--memperf-compare", "--memperf-json=gone/out.json")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert errors(result) == [
            "ERROR: --memperf-json: gone/out.json cannot be written (No such file or directory): make the folder first"
        ]

    def test_failed_tests_keep_their_exit_code(self, larger: pytest.Pytester) -> None:
        """Failed tests, interruptions and the like are the stronger news."""
        larger.makepyfile(test_more="import pytest\ndef test_ends(): pytest.exit('enough', 7)")
        assert larger.runpytest_subprocess("--memperf-compare").ret == 7

    @pytest.mark.parametrize("option", ["--memperf-compare", "--memperf-compare=main", "--memperf-compare=7"])
    def test_no_baseline_yet(self, inline: pytest.Pytester, option: str) -> None:
        """The first session has nothing to compare with: one line, no failure."""
        result = inline.runpytest(option)
        assert result.ret == pytest.ExitCode.OK
        reference = option.partition("=")[2] or "latest"
        result.stdout.fnmatch_lines([f"memperf: no run is kept yet that '{reference}' names: nothing to compare with"])
        result.stdout.no_fnmatch_line("*comparison*")

    def test_a_file_is_a_base(self, sized: pytest.Pytester) -> None:
        """What --memperf-json wrote."""
        sized.runpytest("--memperf-json=out.json", "-q")
        (sized.path / "size").write_text("20_000_000")
        result = sized.runpytest("--memperf-compare=out.json")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["base: the file out.json"])

    def test_damaged_files_are_told(self, sized: pytest.Pytester) -> None:
        """Whether or not another run is found."""
        folder = sized.path / ".memperf" / platform()
        (folder / "0002_unversioned_20261122T042947.json").write_text("{")
        line = f"memperf: {folder}/0002_unversioned_20261122T042947.json is damaged or no JSON (*"
        result = sized.runpytest("--memperf-compare")
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines([line])
        result.stdout.fnmatch_lines(["base: run 0001, *"])
        result = sized.runpytest("--memperf-compare=other")
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines([line, "memperf: no run is kept yet that 'other' names: *"])


class TestVerbosity:
    """How much is said."""

    def test_quiet_is_a_line(self, larger: pytest.Pytester) -> None:
        """-q has the counts, how many fail, and why nothing was saved."""
        result = larger.runpytest("--memperf-compare", "--memperf-save", "-q")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        lines = [line for line in result.outlines if line.startswith("memperf: ")]
        assert sorted(line.split()[1] for line in lines) == ["1", "compared", "not"]
        told = r"memperf: compared with run 0001, .*: \d+ worse, .*\. \d memory regressions? in 1 test"
        assert any(re.fullmatch(told, line) for line in lines)
        assert "comparison" not in result.stdout.str()

    def test_quiet_without_a_regression(self, sized: pytest.Pytester) -> None:
        """The counts alone."""
        result = sized.runpytest("--memperf-compare", "-q")
        assert result.ret == pytest.ExitCode.OK
        (line,) = (line for line in result.outlines if line.startswith("memperf: compared"))
        assert re.fullmatch(r"memperf: compared with run 0001, [^.]*: [^.]* same", line)

    def test_quieter_is_nothing(self, larger: pytest.Pytester) -> None:
        """-qq: the exit code alone tells."""
        result = larger.runpytest("--memperf-compare", "--memperf-save", "-qq")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.no_fnmatch_line("memperf:*")
        assert len(saved(larger.path / ".memperf")) == 1

    def test_without_a_terminal(self, larger: pytest.Pytester) -> None:
        """-p no:terminal has the same exit code."""
        result = larger.runpytest_subprocess("--memperf-compare", "--memperf-save", "-pno:terminal")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert result.outlines == []
        assert errors(result) == []
        assert len(saved(larger.path / ".memperf")) == 1

    def test_no_summary(self, larger: pytest.Pytester) -> None:
        """No comparison either."""
        result = larger.runpytest("--memperf-compare", "--no-summary")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert "comparison" not in result.stdout.str()


class TestMistakes:
    """One line that names the mend, exit code 4, before anything runs."""

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (
                ["--memperf-save", "tests"],
                "--memperf-save=tests: tests is there as a file or folder: "
                "give another name, or put tests before the option",
            ),
            (
                ["--memperf-compare", "tests"],
                "--memperf-compare=tests: this is a folder: name a run or a file, or put tests before the option",
            ),
            (
                ["-o", "memperf_save=latest"],
                "memperf_save=latest: give a name of letters, digits and . _ - + /, "
                "which is no number and not 'latest'",
            ),
            (["--memperf-save="], "--memperf-save= is empty: give NAME, or leave the option out"),
            (["--memperf-compare="], "--memperf-compare= is empty: give RUN, or leave the option out"),
            (
                ["--memperf-compare-fail=peak_rss:5%"],
                "--memperf-compare-fail needs a run to compare with: add --memperf-compare",
            ),
            (
                ["--memperf-compare", "test_it.py"],
                "--memperf-compare=test_it.py: test_it.py is damaged or no JSON "
                "(Expecting value: line 1 column 1 (char 0)): write it again, or remove it",
            ),
            (
                ["--memperf-compare", "--memperf-compare-fail=5%"],
                f"--memperf-compare-fail: there is no metric '5%' {LIMIT_HINT}5%)",
            ),
            (
                ["--memperf-compare", "--memperf-compare-fail=peak_rss:"],
                "--memperf-compare-fail=peak_rss:: 'peak_rss:' is no limit: "
                "write METRIC:LIMIT, such as peak_rss:5% or minor_faults:0",
            ),
            (
                ["--memperf-compare", "--memperf-compare-fail=record:"],
                "--memperf-compare-fail=record:: 'record:' is no limit: "
                "write METRIC:LIMIT, such as peak_rss:5% or minor_faults:0",
            ),
            (
                ["--memperf-compare", "--memperf-compare-fail=peak_rs:5%"],
                f"--memperf-compare-fail: there is no metric 'peak_rs'; did you mean 'peak_rss'? {LIMIT_HINT}peak_rs)",
            ),
            (
                ["--memperf-compare", "-o", "memperf_compare_fail=peak_rs"],
                f"memperf_compare_fail: there is no metric 'peak_rs'; did you mean 'peak_rss'? {LIMIT_HINT}peak_rs)",
            ),
            (
                ["--memperf-compare", "--memperf-compare-fail=minor_faults:5MiB"],
                "--memperf-compare-fail=minor_faults:5MiB: '5MiB' is not a count: write a whole number such as 600, "
                "or a share such as '5%'",
            ),
            (
                ["--memperf-compare", "--memperf-compare-fail=none", "--memperf-compare-fail=peak_rss"],
                "--memperf-compare-fail=none, peak_rss: 'none' leaves no limit: give it alone, or leave it out",
            ),
        ],
        ids=typed,
    )
    def test_is_one_line(self, inline: pytest.Pytester, options: list[str], line: str) -> None:
        """And nothing is measured, compared or written."""
        (inline.path / "tests").mkdir()
        result = inline.runpytest(*options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert errors(result) == [f"ERROR: {line}"]
        assert "passed" not in result.stdout.str()
        result.stdout.no_fnmatch_line("memperf: *")
        assert not (inline.path / ".memperf").exists()

    def test_a_damaged_run(self, inline: pytest.Pytester) -> None:
        """The one that is meant, by its number."""
        folder = inline.path / ".memperf" / platform()
        folder.mkdir(parents=True)
        path = folder / "0001_unversioned_20261122T042947.json"
        path.write_text('{"format": "pytest-memperf/1"')
        result = inline.runpytest("--memperf-compare=1")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        (line,) = errors(result)
        assert line.startswith(f"ERROR: --memperf-compare=1: {path} is damaged or no JSON (")

    def test_workers_refuse_an_unknown_metric(self, inline: pytest.Pytester) -> None:
        """A controller of xdist does not know every probe: the tests of its workers fail with the line."""
        options = ["--memperf-compare", "--memperf-compare-fail=peak_rs:5%", "-pxdist", "-n2"]
        result = inline.runpytest_subprocess(*options)
        result.assert_outcomes(passed=1, errors=2)
        result.stdout.fnmatch_lines(["*there is no metric 'peak_rs'; did you mean 'peak_rss'?*"])

    def test_a_probe_of_a_conftest_below_is_known(self, inline: pytest.Pytester) -> None:
        """Its metric can have a limit, with and without xdist, and where children do not know it."""
        inline.mkdir("below")
        (inline.path / "below" / "conftest.py").write_text(
            "from pytest_memperf.metrics import Probe\n"
            "from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust\n"
            "from pytest_memperf.model.units import COUNT\n"
            "class Coins(Probe):\n"
            "    metrics = (Metric('coins', COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help='', source=''),)\n"
            "    def read(self, observation): return {'coins': Reading(5)}\n"
            "def pytest_memperf_probes(): return [Coins]\n"
        )
        (inline.path / "below" / "test_below.py").write_text(
            "import pytest\n@pytest.mark.memperf\ndef test_coins(): pass\n"
        )
        inline.makepyfile(
            test_child="import pytest\n@pytest.mark.memperf(isolation='process')\ndef test_in_a_child(): pass"
        )
        inline.makeini("[pytest]\nmemperf_compare = latest\nmemperf_compare_fail = coins:0\n")
        inline.runpytest().assert_outcomes(passed=5)
        inline.runpytest_subprocess("-pxdist", "-n2").assert_outcomes(passed=5)

    def test_a_figure_that_no_test_records_is_told(self, sized: pytest.Pytester) -> None:
        """It could not be known before; a limit that can never fail is a typing error, most often."""
        options = ["--memperf-compare-fail=record:rows:0", "--memperf-compare-fail=record:rosw:5%"]
        result = sized.runpytest("--memperf-compare", *options)
        assert result.ret == pytest.ExitCode.OK
        lines = [line for line in result.outlines if "record:" in line]
        assert lines == ["memperf: --memperf-compare-fail=record:rosw:5%: no test that was compared recorded this"]

    def test_another_unit_of_a_recorded_figure(self, larger: pytest.Pytester) -> None:
        """It is known at the end: one line, and exit code 4."""
        result = larger.runpytest_subprocess("--memperf-compare", "--memperf-compare-fail=record:rows:5MiB")
        result.assert_outcomes(passed=1)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        (line,) = errors(result)
        assert line.startswith("ERROR: --memperf-compare-fail=record:rows:5MiB: '5MiB' is not a ")
        assert line.endswith(", or a share such as '5%'")
