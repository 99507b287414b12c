"""Results that were measured under a tool which traces the program say so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_memperf.measure.perturbation import tracers


def test_nothing_traces() -> None:
    """A plain interpreter has nothing to say."""
    script = "from pytest_memperf.measure.perturbation import notes_on_tracers; print(notes_on_tracers())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_trace_and_profile_functions_are_named() -> None:
    """Each by the package that it is of, once."""

    def trace(*_: object) -> None:
        return None

    former, former_profile = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(trace)
    try:
        names = tracers()
    finally:
        sys.settrace(former)
        sys.setprofile(former_profile)
    assert names[0] == __name__.partition(".")[0]
    assert len(names) == 1 + len(_monitoring_tools())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_tools_of_sys_monitoring_are_named() -> None:
    """By the name that they gave themselves."""
    sys.monitoring.use_tool_id(4, "a tool")
    try:
        assert "a tool" in tracers()
    finally:
        sys.monitoring.free_tool_id(4)


@pytest.mark.parametrize("isolation", ["inline", "process"])
@pytest.mark.usefixtures("every_plugin")
def test_coverage_perturbs(pytester: pytest.Pytester, isolation: str) -> None:
    """Under pytest-cov each result has the note, and none without; in children as in pytest's own process."""
    pytest.importorskip("pytest_cov")
    pytester.makepyfile(
        f"import pytest\n@pytest.mark.memperf(isolation={isolation!r})\n@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_it(n): pass"
    )
    pytester.runpytest_subprocess("--memperf-json=with.json", "--cov").assert_outcomes(passed=2)
    pytester.runpytest_subprocess("--memperf-json=without.json", "--no-cov").assert_outcomes(passed=2)
    assert [any("perturbed: measured under coverage" in note for note in notes) for notes in _notes("with.json")] == [
        True,
        True,
    ]
    assert not any("perturbed" in note for notes in _notes("without.json") for note in notes)


def test_debugger_perturbs(pytester: pytest.Pytester) -> None:
    """Under --trace each test runs in pdb."""
    pytester.makepyfile("import pytest\n@pytest.mark.memperf\ndef test_it(): pass")
    command = (sys.executable, "-m", "pytest", "--trace", "--memperf-json=out.json")
    pytester.run(*command, stdin=b"continue\n").assert_outcomes(passed=1)
    assert _notes("out.json") == [["perturbed: measured under pdb, which changes the values"]]


def _notes(file: str) -> list[list[str]]:
    return [result.get("notes", []) for result in json.loads(Path(file).read_text())["results"]]


def _monitoring_tools() -> list[str]:
    monitoring = getattr(sys, "monitoring", None)
    return [] if monitoring is None else [name for number in range(6) if (name := monitoring.get_tool(number))]
