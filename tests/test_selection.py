"""Which tests are measured, run, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

MIXED = """
@pytest.mark.memperf(max_minor_faults=0)
def test_marked(): touch(3)
def test_fixture(memperf): memperf(touch, 2)
def test_plain(): touch(1)
"""


def measured(pytester: pytest.Pytester, *arguments: str) -> dict[str, int]:
    """Run and return minor faults by test name."""
    pytester.runpytest("--memperf-json=out.json", *arguments)
    path = Path(pytester.path, "out.json")
    results = json.loads(path.read_text())["results"] if path.exists() else []
    return {row["test"].rpartition("::")[2]: row["metrics"]["minor_faults"]["value"] for row in results}


class TestSelection:
    """``--memperf-all``, ``-only``, ``-skip``, ``-disable``."""

    def test_marked_and_fixture(self, pytester: pytest.Pytester, suite: Callable[[str], None]) -> None:
        """The marker or the fixture has a test measured."""
        suite(MIXED)

        assert set(measured(pytester)) == {"test_marked", "test_fixture"}

    def test_all(self, pytester: pytest.Pytester, suite: Callable[[str], None]) -> None:
        """``--memperf-all`` has every test measured."""
        suite(MIXED)

        assert set(measured(pytester, "--memperf-all")) == {"test_marked", "test_fixture", "test_plain"}

    def test_only(self, pytester: pytest.Pytester, suite: Callable[[str], None]) -> None:
        """``--memperf-only`` deselects the tests that are not measured."""
        suite(MIXED)

        pytester.runpytest("--memperf-only").assert_outcomes(passed=1, failed=1, deselected=1)

    def test_skip(self, pytester: pytest.Pytester, suite: Callable[[str], None]) -> None:
        """``--memperf-skip`` deselects the tests that are measured."""
        suite(MIXED)

        pytester.runpytest("--memperf-skip").assert_outcomes(passed=1, deselected=2)

    def test_only_and_skip(self, pytester: pytest.Pytester, suite: Callable[[str], None]) -> None:
        """Both together are refused."""
        suite(MIXED)
        result = pytester.runpytest("--memperf-only", "--memperf-skip")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *choose one"])

    def test_disable(self, pytester: pytest.Pytester, suite: Callable[[str], None]) -> None:
        """``--memperf-disable`` judges and reports nothing; the fixture still calls the function."""
        suite(MIXED + "\ndef test_value(memperf):\n    assert memperf(len, 'abc') == 3\n")
        result = pytester.runpytest("--memperf-disable")

        result.assert_outcomes(passed=4)
        result.stdout.no_fnmatch_line("*= memperf =*")

    def test_nothing_measured_nothing_registered(self, pytester: pytest.Pytester) -> None:
        """A session without a measured test has none of the hooks round a test."""
        pytester.makepyfile(
            "def test_it(pytestconfig):\n    assert not pytestconfig.pluginmanager.hasplugin('memperf-measuring')"
        )

        pytester.runpytest().assert_outcomes(passed=1)


WRONG = [
    ("max_peak_rs='1 MiB'", "max_peak_rs: there is no metric 'peak_rs'; did you mean 'max_peak_rss'?"),
    ("'1 MiB'", "*has an argument without a name: write max_peak_rss='70 MiB'*"),
    ("max_peak_rss='1 Mix'", "max_peak_rss: '1 Mix' is not a size: write '24 MiB' or a whole number of bytes"),
    ("max_peak_rss=-1", "max_peak_rss=-1 is negative: a limit is 0 or more"),
    ("min_throughput='1 GiB/s'", "min_throughput needs bytes=..., the bytes that one call moves"),
    ("min_throughput='1 GiB', bytes=1", "min_throughput: '1 GiB' is not a rate: write '1.5 GiB/s'*"),
    (
        "rounds=3",
        "rounds, warmup and setup are for a call that is measured: take the memperf fixture and write memperf(*",
    ),
    ("rounds=0", "rounds=0: give a whole number from 1 up"),
    ("bytes=0", "bytes=0: give the bytes that one call moves, above 0"),
    ("gc='never'", "gc='never': choose from 'as-is', 'collect', 'off'"),
    ("isolation='fork'", "isolation='fork': choose from 'inline', 'process'"),
    ("metrics='peak_rss'", "metrics='peak_rss': give a list of metrics*"),
    ("metrics=['peak_rs']", "metrics=['peak_rs']: there is no metric 'peak_rs'; did you mean 'peak_rss'?"),
    ("metrics=['peak_rss', 3]", "metrics=['peak_rss', 3]: give a list of metrics*"),
    ("limit=3", "limit: no such argument: choose from metrics, bytes, rounds, *, max_METRIC and min_METRIC"),
    ("round=3", "round: no such argument; did you mean 'rounds'?"),
    ("peak_rss='1 MiB'", "peak_rss: no such argument; did you mean 'max_peak_rss'?"),
    ("throughput='1 MiB/s'", "throughput: no such argument; did you mean 'min_throughput'?"),
    ("min_peak_rs='1 MiB'", "min_peak_rs: there is no metric 'peak_rs'; did you mean 'min_peak_rss'?"),
    ("max_rounds=3", "max_rounds: there is no metric 'rounds'; did you mean 'rounds'?"),
    ("max_zzz=3", "max_zzz: there is no metric 'zzz': memperf doctor lists them"),
    ("max_peak_rss='10'", "max_peak_rss: '10' is not a size: write '24 MiB' or a whole number of bytes"),
    ("bytes='10'", "bytes='10': '10' is not a size: write '24 MiB' or a whole number of bytes"),
    ("max_minor_faults=1.5", "max_minor_faults: 1.5 is not a count: write a whole number such as 600"),
    ("timeout=0", "timeout=0: give a time above 0, such as 30 (seconds) or '2 min'"),
    ("soft=1", "soft=1: give True or False"),
]


@pytest.mark.parametrize(("arguments", "line"), WRONG)
def test_wrong_marker(pytester: pytest.Pytester, arguments: str, line: str) -> None:
    """A wrong marker ends the session at collection with one line for the test, exit code 4, no traceback."""
    pytester.makepyfile(f"import pytest\n@pytest.mark.memperf({arguments})\ndef test_it(): ...")
    result = pytester.runpytest()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *::test_it: {line}".replace("[", "[[]")])
    result.stderr.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_every_wrong_marker_is_named(pytester: pytest.Pytester) -> None:
    """All mistakes are listed at once, a line each."""
    pytester.makepyfile(
        "import pytest\n@pytest.mark.memperf(a=1)\ndef test_a(): ...\n@pytest.mark.memperf(b=1)\ndef test_b(): ..."
    )
    result = pytester.runpytest()

    result.stderr.fnmatch_lines(["*::test_a: a: no such argument*", "*::test_b: b: no such argument*"])


@pytest.mark.usefixtures("every_plugin")
def test_wrong_marker_in_a_worker(pytester: pytest.Pytester) -> None:
    """Under xdist the tests concerned fail with the same line."""
    pytest.importorskip("xdist")
    pytester.makepyfile("import pytest\n@pytest.mark.memperf(a=1)\ndef test_a(): ...\ndef test_b(): ...")
    result = pytester.runpytest("-n1")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*a: no such argument*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.usefixtures("every_plugin")
@pytest.mark.parametrize(
    ("conftest", "line"),
    [
        (
            "memperf_defaults = {'max_peek_rss': 1}",
            "memperf_defaults (*conftest.py): max_peek_rss: there is no metric*",
        ),
        ("memperf_defaults = 3", "memperf_defaults in *conftest.py: make it a dict such as *"),
    ],
)
def test_wrong_defaults_in_a_worker(pytester: pytest.Pytester, conftest: str, line: str) -> None:
    """What is wrong for every test, each of those that are measured fails with; the others run."""
    pytest.importorskip("xdist")
    pytester.makeconftest(conftest)
    pytester.makepyfile("import pytest\n@pytest.mark.memperf\ndef test_a(): ...\ndef test_b(): ...")
    result = pytester.runpytest("-n1")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"test_*.py:2: pytest-memperf: {line}"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.usefixtures("every_plugin")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--memperf-only", "--memperf-skip"), "--memperf-only and --memperf-skip leave no test: choose one"),
        (("-omemperf_defaults=max_peak_rss",), "memperf_defaults: 'max_peak_rss' is not of the form *"),
    ],
)
def test_what_a_controller_of_workers_refuses(pytester: pytest.Pytester, arguments: tuple[str, ...], line: str) -> None:
    """What the command line and the ini file say wrong ends the session before a worker starts."""
    pytest.importorskip("xdist")
    pytester.makepyfile("import pytest\n@pytest.mark.memperf\ndef test_a(): ...")
    result = pytester.runpytest("-n1", *arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {line}"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_probe_of_another_plugin(pytester: pytest.Pytester, suite: Callable[[str], None]) -> None:
    """A conftest adds a metric by the hook, which then has budgets like any other."""
    pytester.makeconftest(
        """
        from pytest_memperf.metrics import Probe
        from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
        from pytest_memperf.model.units import COUNT

        class Answer(Probe):
            metrics = (Metric("answer", COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, "the answer", "a book"),)

            def read(self, observation):
                return {"answer": Reading(42)}

        def pytest_memperf_probes():
            return [Answer]
        """
    )
    suite("@pytest.mark.memperf(max_answer=41)\ndef test_it(): ...")
    result = pytester.runpytest()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["MEMORY *answer 42 is over max_answer = 41*"])
