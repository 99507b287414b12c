"""The file of --memperf-json is there whole or not at all, and never takes the place of something else."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mount_namespaces import needs_mounts

from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Run
from pytest_memperf.report.json_file import JsonFile, write
from pytest_memperf.report.json_reader import read

Validate = Callable[[Any], None]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_mode_is_the_umask(measured_suite: pytest.Pytester, mask: int) -> None:
    """The file is as readable as any that the user makes."""
    before = os.umask(mask)
    try:
        measured_suite.runpytest("--memperf-json=out.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE((measured_suite.path / "out.json").stat().st_mode) == 0o666 & ~mask


def test_a_link_stays_a_link(measured_suite: pytest.Pytester, validate: Validate) -> None:
    """The file that a link names is replaced, not the link."""
    (measured_suite.path / "folder").mkdir()
    (measured_suite.path / "out.json").symlink_to("folder/real.json")
    measured_suite.runpytest("--memperf-json=out.json")
    assert (measured_suite.path / "out.json").is_symlink()
    validate(json.loads((measured_suite.path / "folder" / "real.json").read_text()))


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
    def test_is_refused_at_once(self, measured_suite: pytest.Pytester, path: str, reason: str) -> None:
        """The line names the file, what the system said, and the mend."""
        (measured_suite.path / "folder").mkdir()
        (measured_suite.path / "file").write_text("")
        result = measured_suite.runpytest(f"--memperf-json={path}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        errors = [line for line in result.errlines if line]
        assert len(errors) == 1
        assert errors[0].startswith(f"ERROR: --memperf-json: {path} cannot be written (")
        assert errors[0].endswith(reason)
        assert "passed" not in result.stdout.str()

    @pytest.mark.parametrize("text", ["def test_it(): ...", '{"format": "other/1"}', "\x00"])
    def test_a_file_of_something_else_is_left_alone(self, measured_suite: pytest.Pytester, text: str) -> None:
        """``pytest --memperf-json test_it.py`` takes the test file for the target: it is not replaced by results."""
        (measured_suite.path / "mine").write_text(text)
        result = measured_suite.runpytest("--memperf-json", "mine")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert (measured_suite.path / "mine").read_text() == text
        result.stderr.fnmatch_lines(["ERROR: --memperf-json: mine is there and holds no results: name another file*"])

    def test_a_newer_file_is_left_alone(self, measured_suite: pytest.Pytester) -> None:
        """A reader refuses it too: it may hold what this version does not know."""
        text = '{"format": "pytest-memperf/2", "results": []}'
        (measured_suite.path / "out.json").write_text(text)
        result = measured_suite.runpytest("--memperf-json=out.json")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert (measured_suite.path / "out.json").read_text() == text
        assert [line for line in result.errlines if line] == [
            "ERROR: --memperf-json: out.json was written by a newer pytest-memperf (format 2, here it is 1): "
            "name another file, this one would be replaced"
        ]

    @pytest.mark.parametrize("text", ["", '{"format": "pytest-memperf/0"}', '{\n  "format": "pytest-memperf/1"\n}'])
    def test_results_and_empty_files_are_replaced(
        self, measured_suite: pytest.Pytester, text: str, validate: Validate
    ) -> None:
        """A file of results from before, as it was written or formatted since, makes room for the new one."""
        (measured_suite.path / "out.json").write_text(text)
        measured_suite.runpytest("--memperf-json=out.json")
        validate(json.loads((measured_suite.path / "out.json").read_text()))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_a_read_only_folder_is_refused(self, measured_suite: pytest.Pytester) -> None:
        """A user without the right to write there reads so."""
        folder = measured_suite.path / "closed"
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
        measured_suite.path.chmod(0o755)
        answer = measured_suite.runpython(measured_suite.makepyfile(check=code))
        assert answer.outlines == [
            f"{folder}/out.json cannot be written (Permission denied): name a file in a folder that can be written"
        ]


@needs_mounts
class TestFullDisk:
    """The disk fills up during the session, here a tmpfs of 64 KiB."""

    def run(self, measured_suite: pytest.Pytester, *options: str, before: str = "true") -> pytest.RunResult:
        """Run the suite in a mount namespace with a tiny file system at ``disk``."""
        (measured_suite.path / "disk").mkdir()
        measured_suite.makepyfile(
            test_many="""
            import pytest

            @pytest.mark.memperf
            @pytest.mark.parametrize("n", range(200))
            def test_it(n): pass
            """
        )
        command = f"{sys.executable} -m pytest test_many.py --memperf-json=disk/out.json {' '.join(options)}"
        script = f"mount -t tmpfs -o size=64k tmpfs disk && {before} && {command}; code=$?; ls -A disk; exit $code"
        return measured_suite.run("unshare", "-rm", "sh", "-c", script)

    @pytest.mark.parametrize("options", [["-q"], ["-pno:terminal"], ["--no-summary"], ["-pxdist", "-n1"]])
    def test_is_one_line_and_exit_code_4(self, measured_suite: pytest.Pytester, options: list[str]) -> None:
        """The tests passed, the results are lost: that is said last, and the session is no success."""
        result = self.run(measured_suite, *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert result.errlines == [
            "ERROR: --memperf-json: disk/out.json cannot be written (No space left on device): "
            "free some space, or name another file"
        ]
        assert "Traceback" not in result.stdout.str()
        if "-pno:terminal" not in options:
            result.stdout.fnmatch_lines(["*200 passed*"])

    def test_a_read_only_file_system_is_refused_at_once(self, measured_suite: pytest.Pytester) -> None:
        """Root may write everywhere but there."""
        result = self.run(measured_suite, before="mount -o remount,ro disk")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert [line for line in result.errlines if line] == [
            "ERROR: --memperf-json: disk/out.json cannot be written (Read-only file system): "
            "name a file in a folder that can be written"
        ]

    def test_keeps_the_older_file(self, measured_suite: pytest.Pytester) -> None:
        """Neither a broken file nor a temporary one is left."""
        result = self.run(measured_suite, "-pno:terminal", before="echo old > disk/out.json")
        assert result.outlines == ["out.json"]

    def test_a_failed_session_keeps_its_exit_code(self, measured_suite: pytest.Pytester) -> None:
        """Failed tests are the stronger news."""
        measured_suite.makeconftest(
            """
            import pytest
            @pytest.hookimpl(trylast=True)
            def pytest_runtest_teardown(item):
                if item.name == "test_it[7]":
                    raise ValueError
            """
        )
        assert self.run(measured_suite).ret == pytest.ExitCode.TESTS_FAILED


class TestJsonFile:
    """The file itself."""

    def test_nothing_is_there_before_the_end(self, tmp_path: Path) -> None:
        """The name appears with the whole text; abandoned, it never does."""
        file = JsonFile(str(tmp_path / "out.json"), {})
        file.add({"n": 1})
        assert not (tmp_path / "out.json").exists()
        assert len(list(tmp_path.glob(".memperf-*"))) == 1
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


def test_a_value_beyond_floats_is_one_line(pytester: pytest.Pytester) -> None:
    """JSON has no infinity, which two rounds may come to: the file is not written, and the line names the test."""
    pytester.makeconftest(
        """
        from pytest_memperf.metrics import Probe
        from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
        from pytest_memperf.model.units import COUNT

        class Odd(Probe):
            metrics = (Metric("odd", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source=""),)
            def read(self, observation):
                return {"odd": Reading(1.7e308)}

        def pytest_memperf_probes():
            return [Odd]
        """
    )
    pytester.makepyfile(test_it="import pytest\n@pytest.mark.memperf(rounds=2)\ndef test_odd(memperf): memperf(int)")
    result = pytester.runpytest_subprocess("--memperf-json=out.json", "--memperf-columns=odd")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["test_it.py::test_odd * inf"])
    assert result.errlines[-1].startswith(
        "ERROR: --memperf-json: out.json cannot be written (test_it.py::test_odd: Out of range float values"
    )
    assert not list(pytester.path.glob(".memperf-*"))
