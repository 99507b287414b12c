"""--memperf-json: what the file holds, and that it is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_memperf.environment.commit import commit_of
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run
from pytest_memperf.report.json_file import JsonFile, write
from pytest_memperf.report.json_reader import read

SUITE = """
    import pytest

    @pytest.mark.memperf(max_minor_faults=100_000, max_throughput=1, bytes=1)
    def test_over(): pass

    @pytest.mark.memperf(rounds=3, metrics=["cpu_time"])
    def test_windows(memperf):
        memperf(int)
        with memperf.window("parse"):
            pass
        memperf.record("rows", 1000, unit="rows", better="higher", min=5)

    def test_plain(): pass
"""

OLD = '{"format": "pytest-memperf/0"}'
"""An older file of results, as much of it as is looked at."""


def validate(document: Any) -> None:
    """Fail where the document does not keep to the published schema."""
    schema = json.loads(resources.files("pytest_memperf.report").joinpath("pytest-memperf-1.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    validator.check_schema(schema)
    validator.validate(document)


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Two measured tests with four windows, and one that is not measured."""
    pytester.makepyfile(test_it=SUITE)
    return pytester


def leftovers(folder: Path) -> list[str]:
    """Return what a write that broke off would leave in a folder."""
    return [name for name in os.listdir(folder) if name.startswith(".memperf-")]


@pytest.mark.parametrize("options", [[], ["-pxdist", "-n2"], ["--memperf-all"], ["-pno:terminal"]])
def test_keeps_to_the_published_schema(suite: pytest.Pytester, options: list[str]) -> None:
    """Whoever runs the tests, every window of every measured test is in the file."""
    result = suite.runpytest_subprocess("--memperf-json=out.json", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    document = json.loads((suite.path / "out.json").read_text())
    validate(document)
    keys = sorted((row["test"], row["window"]) for row in document["results"])
    plain = [("test_it.py::test_plain", "call")] if "--memperf-all" in options else []
    assert keys == [
        ("test_it.py::test_over", "call"),
        *plain,
        ("test_it.py::test_windows", "memperf"),
        ("test_it.py::test_windows", "parse"),
    ]
    over = next(row for row in document["results"] if row["test"] == "test_it.py::test_over")
    assert over["checks"] == [
        {"metric": "minor_faults", "bound": "max", "limit": 100000, "status": "passed", "unit": "count"},
        {"metric": "throughput", "bound": "max", "limit": 1.0, "status": "failed", "unit": "B/s"},
    ]
    assert leftovers(suite.path) == []


def test_the_ini_twin_names_the_file(suite: pytest.Pytester) -> None:
    """memperf_json in the ini file does the same as the flag."""
    suite.makeini("[pytest]\nmemperf_json = from_ini.json\n")
    suite.runpytest()
    validate(json.loads((suite.path / "from_ini.json").read_text()))


def test_nothing_measured_is_a_file_without_results(pytester: pytest.Pytester) -> None:
    """An older file never passes for this session's."""
    (pytester.path / "out.json").write_text(OLD)
    pytester.makepyfile("def test_it(): pass")
    assert pytester.runpytest("--memperf-json=out.json").ret == pytest.ExitCode.OK
    document = json.loads((pytester.path / "out.json").read_text())
    validate(document)
    assert document["results"] == []


@pytest.mark.parametrize("option", ["--collect-only", "--memperf-disable", "--help"])
def test_nothing_run_leaves_the_file(suite: pytest.Pytester, option: str) -> None:
    """A session that measures nothing by request writes nothing."""
    (suite.path / "out.json").write_text(OLD)
    suite.runpytest("--memperf-json=out.json", option)
    assert (suite.path / "out.json").read_text() == OLD


def test_a_session_that_breaks_off_leaves_the_file(suite: pytest.Pytester) -> None:
    """A usage error is no result."""
    (suite.path / "out.json").write_text(OLD)
    suite.makepyfile(test_other="import pytest\n@pytest.mark.memperf(max_foo=1)\ndef test_it(): pass")
    assert suite.runpytest("--memperf-json=out.json").ret == pytest.ExitCode.USAGE_ERROR
    assert (suite.path / "out.json").read_text() == OLD
    assert leftovers(suite.path) == []


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("pytest.exit('enough')", pytest.ExitCode.INTERRUPTED),
        ("pytest.exit('enough', returncode=7)", 7),
        ("raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED),
        ("request.session.shouldstop = 'enough'", pytest.ExitCode.INTERRUPTED),
    ],
)
def test_a_session_that_ends_early_keeps_what_it_has(pytester: pytest.Pytester, ending: str, code: int) -> None:
    """The tests that ran are in the file."""
    pytester.makepyfile(
        test_it=f"""
        import pytest

        @pytest.mark.memperf
        def test_one(): pass

        def test_two(request):
            {ending}

        @pytest.mark.memperf
        def test_three(): pass
        """
    )
    result = pytester.runpytest_subprocess("--memperf-json=out.json")
    assert result.ret == code
    document = json.loads((pytester.path / "out.json").read_text())
    validate(document)
    assert [row["test"] for row in document["results"]] == ["test_it.py::test_one"]


def test_an_internal_error_leaves_the_file(suite: pytest.Pytester) -> None:
    """What a broken plugin leaves undone is no result."""
    (suite.path / "out.json").write_text(OLD)
    suite.makeconftest("def pytest_runtest_logfinish(): raise ValueError('broken plugin')")
    assert suite.runpytest_subprocess("--memperf-json=out.json").ret == pytest.ExitCode.INTERNAL_ERROR
    assert (suite.path / "out.json").read_text() == OLD
    assert leftovers(suite.path) == []


def test_the_schema_knows_every_fact_of_the_environment() -> None:
    """A field added to Environment is a member of the schema, or this fails by its name."""
    schema = json.loads(resources.files("pytest_memperf.report").joinpath("pytest-memperf-1.schema.json").read_text())
    assert list(schema["$defs"]["environment"]["properties"]) == list(Environment.__dataclass_fields__)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_mode_is_the_umask(suite: pytest.Pytester, mask: int) -> None:
    """The file is as readable as any that the user makes."""
    before = os.umask(mask)
    try:
        suite.runpytest("--memperf-json=out.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE((suite.path / "out.json").stat().st_mode) == 0o666 & ~mask


def test_a_link_stays_a_link(suite: pytest.Pytester) -> None:
    """The file that a link names is replaced, not the link."""
    (suite.path / "folder").mkdir()
    (suite.path / "out.json").symlink_to("folder/real.json")
    suite.runpytest("--memperf-json=out.json")
    assert (suite.path / "out.json").is_symlink()
    validate(json.loads((suite.path / "folder" / "real.json").read_text()))


class TestTargets:
    """Places where no file can be written: one line, exit code 4, before anything runs."""

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("missing/out.json", "No such file or directory): make the folder first"),
            ("folder", "Is a directory): name a file in it"),
            ("file/out.json", "Not a directory): name a file in a folder that can be written"),
            ("/dev/null", "not a regular file): name a file, it is replaced whole"),
        ],
    )
    def test_is_refused_at_once(self, suite: pytest.Pytester, path: str, reason: str) -> None:
        """The line names the file, what the system said, and the mend."""
        (suite.path / "folder").mkdir()
        (suite.path / "file").write_text("")
        result = suite.runpytest(f"--memperf-json={path}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        errors = [line for line in result.errlines if line]
        assert len(errors) == 1
        assert errors[0].startswith(f"ERROR: --memperf-json: {path} cannot be written (")
        assert errors[0].endswith(reason)
        assert "passed" not in result.stdout.str()

    @pytest.mark.parametrize("text", ["def test_it(): ...", '{"format": "other/1"}', "\x00"])
    def test_a_file_of_something_else_is_left_alone(self, suite: pytest.Pytester, text: str) -> None:
        """``pytest --memperf-json test_it.py`` takes the test file for the target: it is not replaced by results."""
        (suite.path / "mine").write_text(text)
        result = suite.runpytest("--memperf-json", "mine")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert (suite.path / "mine").read_text() == text
        result.stderr.fnmatch_lines(["ERROR: --memperf-json: mine is there and holds no results: name another file*"])

    @pytest.mark.parametrize("text", ["", OLD, '{\n  "format": "pytest-memperf/1"\n}'])
    def test_results_and_empty_files_are_replaced(self, suite: pytest.Pytester, text: str) -> None:
        """A file of results from before, as it was written or formatted since, makes room for the new one."""
        (suite.path / "out.json").write_text(text)
        suite.runpytest("--memperf-json=out.json")
        validate(json.loads((suite.path / "out.json").read_text()))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_a_read_only_folder_is_refused(self, suite: pytest.Pytester) -> None:
        """A user without the right to write there reads so."""
        folder = suite.path / "closed"
        folder.mkdir(mode=0o555)
        code = f"""
            import os, sys
            from pytest_memperf.report.json_file import check_target
            os.setgid(65534); os.setuid(65534)
            try:
                check_target({str(folder / "out.json")!r})
            except ValueError as mistake:
                print(mistake)
        """
        suite.path.chmod(0o755)
        answer = suite.runpython(suite.makepyfile(check=code))
        assert answer.outlines == [
            f"{folder}/out.json cannot be written (Permission denied): name a file in a folder that can be written"
        ]


def can_mount() -> bool:
    """Tell whether a private mount namespace can be had."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


class TestFullDisk:
    """The disk fills up during the session, here a tmpfs of 64 KiB."""

    pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces for this user")

    def run(self, suite: pytest.Pytester, *options: str, before: str = "true") -> pytest.RunResult:
        """Run the suite in a mount namespace with a tiny file system at ``disk``."""
        (suite.path / "disk").mkdir()
        suite.makepyfile(
            test_many="""
            import pytest

            @pytest.mark.memperf
            @pytest.mark.parametrize("n", range(200))
            def test_it(n): pass
            """
        )
        command = f"{sys.executable} -m pytest test_many.py --memperf-json=disk/out.json {' '.join(options)}"
        script = f"mount -t tmpfs -o size=64k tmpfs disk && {before} && {command}; code=$?; ls -A disk; exit $code"
        return suite.run("unshare", "-rm", "sh", "-c", script)

    @pytest.mark.parametrize("options", [["-q"], ["-pno:terminal"], ["--no-summary"], ["-pxdist", "-n1"]])
    def test_is_one_line_and_exit_code_4(self, suite: pytest.Pytester, options: list[str]) -> None:
        """The tests passed, the results are lost: that is said last, and the session is no success."""
        result = self.run(suite, *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert result.errlines == [
            "ERROR: --memperf-json: disk/out.json cannot be written (No space left on device): "
            "free some space, or name another file"
        ]
        assert "Traceback" not in result.stdout.str()
        if "-pno:terminal" not in options:
            result.stdout.fnmatch_lines(["*200 passed*"])

    def test_a_read_only_file_system_is_refused_at_once(self, suite: pytest.Pytester) -> None:
        """Root may write everywhere but there."""
        result = self.run(suite, before="mount -o remount,ro disk")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert [line for line in result.errlines if line] == [
            "ERROR: --memperf-json: disk/out.json cannot be written (Read-only file system): "
            "name a file in a folder that can be written"
        ]

    def test_keeps_the_older_file(self, suite: pytest.Pytester) -> None:
        """Neither a broken file nor a temporary one is left."""
        result = self.run(suite, "-pno:terminal", before="echo old > disk/out.json")
        assert result.outlines == ["out.json"]

    def test_a_failed_session_keeps_its_exit_code(self, suite: pytest.Pytester) -> None:
        """Failed tests are the stronger news."""
        suite.makeconftest(
            """
            import pytest
            @pytest.hookimpl(trylast=True)
            def pytest_runtest_teardown(item):
                if item.name == "test_it[7]":
                    raise ValueError
            """
        )
        assert self.run(suite).ret == pytest.ExitCode.TESTS_FAILED


class TestCommit:
    """The commit is read from git, and is absent where there is none."""

    GIT = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")

    @pytest.fixture(autouse=True)
    def no_settings(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Leave out the user's own git settings, and repositories above."""
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    def git(self, folder: Path, *arguments: str) -> str:
        """Run a git command there."""
        return subprocess.run(
            [*self.GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def test_follows_the_repository(self, tmp_path: Path) -> None:
        """No repository, no commit, a clean one, a changed file, a file git does not know, a detached head."""
        assert commit_of(tmp_path) is None
        self.git(tmp_path, "init")
        assert commit_of(tmp_path) is None
        (tmp_path / "a").write_text("1")
        self.git(tmp_path, "add", "a")
        self.git(tmp_path, "commit", "-m", "first")
        head = self.git(tmp_path, "rev-parse", "HEAD")
        assert commit_of(tmp_path) == Commit(head, "main", dirty=False)
        (tmp_path / "unknown").write_text("")
        assert commit_of(tmp_path) == Commit(head, "main", dirty=False)
        (tmp_path / "a").write_text("2")
        assert commit_of(tmp_path) == Commit(head, "main", dirty=True)
        self.git(tmp_path, "checkout", "--detach", "-f")
        assert commit_of(tmp_path) == Commit(head, None, dirty=False)

    def test_without_git_there_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine without git is no error."""
        monkeypatch.setenv("PATH", str(tmp_path))
        assert commit_of(tmp_path) is None

    def test_is_in_the_file(self, suite: pytest.Pytester) -> None:
        """The state at the session's start, before the file itself could change it."""
        self.git(suite.path, "init")
        self.git(suite.path, "add", "test_it.py")
        self.git(suite.path, "commit", "-m", "first")
        suite.runpytest("--memperf-json=out.json", "-pno:cacheprovider")
        document = json.loads((suite.path / "out.json").read_text())
        validate(document)
        assert document["commit"] == {
            "id": self.git(suite.path, "rev-parse", "HEAD"),
            "branch": "main",
            "dirty": False,
        }


class TestReader:
    """Reading a file again."""

    def test_reads_what_was_written(self, suite: pytest.Pytester) -> None:
        """Commit, environment and every result come back as they were."""
        suite.runpytest("--memperf-json=out.json")
        text = json.loads((suite.path / "out.json").read_text())
        run = read(str(suite.path / "out.json"))
        assert [result.as_json() for result in run.results] == text["results"]
        assert run.environment.as_json() == text["environment"]
        assert run.created == text["created"]

    def test_a_run_can_be_written_by_itself(self, tmp_path: Path) -> None:
        """Outside a session, the same format."""
        run = Run("2026-11-21T10:00:00+00:00", Commit("a" * 40), results=[Result("t", "call")])
        write(str(tmp_path / "out.json"), run)
        validate(json.loads((tmp_path / "out.json").read_text()))
        assert read(str(tmp_path / "out.json")) == run

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                '{"format": "pytest-memperf/2"}',
                "was written by a newer pytest-memperf (format 2, read here is up to 1)",
            ),
            ('{"format": "pytest-benchmark/1"}', "is no file of pytest-memperf's results"),
            ('{"format": "pytest-memperf/x"}', "is no file of pytest-memperf's results"),
            ("[]", "is no file of pytest-memperf's results"),
            ("", "is damaged or no JSON ("),
            ('{"format": "pytest-memperf/1", "created": "now", "results": [', "is damaged or no JSON ("),
            ("[" * 100_000, "is damaged or no JSON ("),
            ('{"format": "pytest-memperf/1", "created": "now"}', "is damaged (KeyError: 'results')"),
            ('{"format": "pytest-memperf/1", "created": "now", "results": [{}]}', "is damaged (KeyError: "),
            ('{"format": "pytest-memperf/1", "created": "now", "results": [1]}', "is damaged (TypeError: "),
            ('{"format": "pytest-memperf/1", "created": "now", "results": [], "commit": 1}', "is damaged (TypeError: "),
            (
                '{"format": "pytest-memperf/1", "created": "", "results": [], "environment": 1}',
                "is damaged (TypeError: ",
            ),
        ],
    )
    def test_refuses_what_it_cannot_read(self, tmp_path: Path, text: str, message: str) -> None:
        """One line with the file's name, what is wrong, and the mend."""
        file = tmp_path / "in.json"
        file.write_text(text)
        with pytest.raises(UsageMistake) as error:
            read(str(file))
        assert str(error.value).startswith(f"{file} {message}")
        assert "\n" not in str(error.value)

    def test_a_missing_file_and_other_bytes(self, tmp_path: Path) -> None:
        """A path that cannot be read, and a file that is no text."""
        with pytest.raises(UsageMistake, match=r"cannot be read \(No such file or directory\): name a file"):
            read(str(tmp_path / "none.json"))
        (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(UsageMistake, match="is damaged or no JSON"):
            read(str(tmp_path / "binary"))


class TestJsonFile:
    """The file itself."""

    def test_nothing_is_there_before_the_end(self, tmp_path: Path) -> None:
        """The name appears with the whole text; abandoned, it never does."""
        file = JsonFile(str(tmp_path / "out.json"), {})
        file.add({"n": 1})
        assert not (tmp_path / "out.json").exists()
        assert len(leftovers(tmp_path)) == 1
        file.abandon()
        assert os.listdir(tmp_path) == []

    def test_odd_names_survive(self, tmp_path: Path) -> None:
        """Ids hold any text, lone surrogates from file names included."""
        odd = 'test[\udc80 é ✓ "quoted" \n]'
        write(str(tmp_path / "out.json"), Run("now", results=[Result(odd, "call")]))
        assert json.loads((tmp_path / "out.json").read_text())["results"][0]["test"] == odd

    def test_values_of_other_number_types_become_numbers(self, tmp_path: Path) -> None:
        """A probe may return a scalar of NumPy or a Fraction."""
        from fractions import Fraction

        file = JsonFile(str(tmp_path / "out.json"), {})
        file.add({"value": Fraction(1, 4)})
        file.finish({})
        assert json.loads((tmp_path / "out.json").read_text())["results"] == [{"value": 0.25}]

    def test_a_long_name_is_no_obstacle(self, tmp_path: Path) -> None:
        """A name of the full 255 bytes can be written."""
        name = "x" * 250 + ".json"
        write(str(tmp_path / name), Run("now"))
        assert read(str(tmp_path / name)).results == []


def test_nan_from_a_probe_is_one_line(pytester: pytest.Pytester) -> None:
    """JSON has no NaN: the file is not written, and the line names the test."""
    pytester.makeconftest(
        """
        from pytest_memperf.metrics import Probe
        from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
        from pytest_memperf.model.units import COUNT

        class Odd(Probe):
            metrics = (Metric("odd", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source=""),)
            def read(self, observation):
                return {"odd": Reading(float("nan"))}

        def pytest_memperf_probes():
            return [Odd]
        """
    )
    pytester.makepyfile(test_it="import pytest\n@pytest.mark.memperf\ndef test_nan(): pass")
    result = pytester.runpytest_subprocess("--memperf-json=out.json", "--memperf-columns=odd")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["test_it.py::test_nan  nan"])
    assert result.errlines[-1].startswith(
        "ERROR: --memperf-json: out.json cannot be written (test_it.py::test_nan: Out of range float values"
    )
    assert leftovers(pytester.path) == []
