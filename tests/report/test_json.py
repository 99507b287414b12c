"""--memperf-json: what the file holds, and when it is written."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from pytest_memperf.environment.commit import commit_of
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.run import Commit

Validate = Callable[[Any], None]

OLD = '{"format": "pytest-memperf/0"}'
"""An older file of results, as much of it as is looked at."""


@pytest.mark.parametrize("options", [[], ["-pxdist", "-n2"], ["--memperf-all"], ["-pno:terminal"]])
def test_keeps_to_the_published_schema(measured_suite: pytest.Pytester, options: list[str], validate: Validate) -> None:
    """Whoever runs the tests, every window of every measured test is in the file."""
    result = measured_suite.runpytest_subprocess("--memperf-json=out.json", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    document = json.loads((measured_suite.path / "out.json").read_text())
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
    assert not list(measured_suite.path.glob(".memperf-*"))


def test_the_ini_twin_names_the_file(measured_suite: pytest.Pytester, validate: Validate) -> None:
    """memperf_json in the ini file does the same as the flag."""
    measured_suite.makeini("[pytest]\nmemperf_json = from_ini.json\n")
    measured_suite.runpytest()
    validate(json.loads((measured_suite.path / "from_ini.json").read_text()))


def test_nothing_measured_is_a_file_without_results(pytester: pytest.Pytester, validate: Validate) -> None:
    """An older file never passes for this session's."""
    (pytester.path / "out.json").write_text(OLD)
    pytester.makepyfile("def test_it(): pass")
    assert pytester.runpytest("--memperf-json=out.json").ret == pytest.ExitCode.OK
    document = json.loads((pytester.path / "out.json").read_text())
    validate(document)
    assert document["results"] == []


@pytest.mark.parametrize("option", ["--collect-only", "--memperf-disable", "--help"])
def test_nothing_run_leaves_the_file(measured_suite: pytest.Pytester, option: str) -> None:
    """A session that measures nothing by request writes nothing."""
    (measured_suite.path / "out.json").write_text(OLD)
    measured_suite.runpytest("--memperf-json=out.json", option)
    assert (measured_suite.path / "out.json").read_text() == OLD


def test_a_session_that_breaks_off_leaves_the_file(measured_suite: pytest.Pytester) -> None:
    """A usage error is no result."""
    (measured_suite.path / "out.json").write_text(OLD)
    measured_suite.makepyfile(test_other="import pytest\n@pytest.mark.memperf(max_foo=1)\ndef test_it(): pass")
    assert measured_suite.runpytest("--memperf-json=out.json").ret == pytest.ExitCode.USAGE_ERROR
    assert (measured_suite.path / "out.json").read_text() == OLD
    assert not list(measured_suite.path.glob(".memperf-*"))


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("pytest.exit('enough')", pytest.ExitCode.INTERRUPTED),
        ("pytest.exit('enough', returncode=7)", 7),
        ("raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED),
        ("request.session.shouldstop = 'enough'", pytest.ExitCode.INTERRUPTED),
    ],
)
def test_a_session_that_ends_early_keeps_what_it_has(
    pytester: pytest.Pytester, ending: str, code: int, validate: Validate
) -> None:
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


def test_an_internal_error_leaves_the_file(measured_suite: pytest.Pytester) -> None:
    """What a broken plugin leaves undone is no result."""
    (measured_suite.path / "out.json").write_text(OLD)
    measured_suite.makeconftest("def pytest_runtest_logfinish(): raise ValueError('broken plugin')")
    assert measured_suite.runpytest_subprocess("--memperf-json=out.json").ret == pytest.ExitCode.INTERNAL_ERROR
    assert (measured_suite.path / "out.json").read_text() == OLD
    assert not list(measured_suite.path.glob(".memperf-*"))


def test_the_schema_knows_every_fact_of_the_environment() -> None:
    """A field added to Environment is a member of the schema, or this fails by its name."""
    schema = json.loads(resources.files("pytest_memperf.report").joinpath("pytest-memperf-1.schema.json").read_text())
    assert list(schema["$defs"]["environment"]["properties"]) == list(Environment.__dataclass_fields__)


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

    def test_is_in_the_file(self, measured_suite: pytest.Pytester, validate: Validate) -> None:
        """The state at the session's start, before the file itself could change it."""
        self.git(measured_suite.path, "init")
        self.git(measured_suite.path, "add", "test_it.py")
        self.git(measured_suite.path, "commit", "-m", "first")
        measured_suite.runpytest("--memperf-json=out.json", "-pno:cacheprovider")
        document = json.loads((measured_suite.path / "out.json").read_text())
        validate(document)
        assert document["commit"] == {
            "id": self.git(measured_suite.path, "rev-parse", "HEAD"),
            "branch": "main",
            "dirty": False,
        }
