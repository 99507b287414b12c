"""The window round a test, and its verdict, in every kind of test and beside other plugins."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Suite = Callable[[str], None]


def results_of(pytester: pytest.Pytester) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the results of the JSON file by test name and window."""
    document = json.loads(Path(pytester.path, "out.json").read_text())
    return {(row["test"].rpartition("::")[2], row["window"]): row for row in document["results"]}


def value(row: dict[str, Any], metric: str = "minor_faults") -> Any:
    """Return the value of a metric of a result."""
    return row["metrics"][metric]["value"]


class TestVerdict:
    """A budget that is exceeded is the test's failure, in its own words."""

    def test_failure(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """It has the letter M, the word MEMORY, one line in the summary and a table, but no traceback."""
        suite("@pytest.mark.memperf(max_minor_faults=99)\ndef test_it(): touch(100)")
        result = pytester.runpytest()

        result.assert_outcomes(failed=1)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "test_it.py M *",
                "*max_minor_faults*100*99*1.01*exact*failed*",
                "MEMORY test_it.py::test_it - minor_faults 100 is over max_minor_faults = 99",
            ]
        )
        result.stdout.no_fnmatch_line("*Error*")

    @pytest.mark.parametrize(("limit", "outcome"), [(99, "failed"), (100, "passed"), (101, "passed")])
    def test_limit_itself_is_allowed(self, pytester: pytest.Pytester, suite: Suite, limit: int, outcome: str) -> None:
        """N faults break a limit of N - 1, not one of N."""
        suite(f"@pytest.mark.memperf(max_minor_faults={limit})\ndef test_it(): touch(100)")

        pytester.runpytest().assert_outcomes(**{outcome: 1})

    def test_minimum(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """``min_`` is a limit from below."""
        suite("@pytest.mark.memperf(min_minor_faults=101)\ndef test_it(): touch(100)")
        result = pytester.runpytest()

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*minor_faults 100 is under min_minor_faults = 101"])

    def test_soft(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """``soft=True`` warns instead."""
        suite("@pytest.mark.memperf(max_minor_faults=0, soft=True)\ndef test_it(): touch(1)")
        result = pytester.runpytest("-W", "default")

        result.assert_outcomes(passed=1, warnings=1)
        result.stdout.fnmatch_lines(["*MemoryBudgetWarning: minor_faults 1 is over max_minor_faults = 0"])

    @pytest.mark.parametrize("isolation", ["inline", "process"])
    def test_soft_is_told_as_a_warning(self, pytester: pytest.Pytester, suite: Suite, isolation: str) -> None:
        """The table says warned where the others say failed; the status of the check is what was measured."""
        suite(
            "@pytest.mark.memperf(max_minor_faults=0, soft=True)\ndef test_soft(): touch(1)\n"
            "@pytest.mark.memperf(max_minor_faults=0)\ndef test_hard(): touch(1)\n"
        )
        options = ("--memperf-columns=minor_faults", f"--memperf-isolation={isolation}", "--memperf-json=out.json")
        result = pytester.runpytest(*options)

        result.stdout.re_match_lines([r"test_it.py::test_hard .*1 failed .*1", r"test_it.py::test_soft .*1 warned .*1"])
        results = json.loads(pytester.path.joinpath("out.json").read_text())["results"]
        assert {(row["checks"][0]["status"], row["checks"][0].get("soft", False)) for row in results} == {
            ("failed", True),
            ("failed", False),
        }
        quiet = pytester.runpytest("-q")
        quiet.stdout.fnmatch_lines(["memperf: 2 results, 1 budget failed, 1 budget warned"])

    def test_soft_where_warnings_are_errors(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """Under ``-W error`` a soft budget fails the test as the others do, with the table and no traceback."""
        suite("@pytest.mark.memperf(max_minor_faults=0, soft=True)\ndef test_it(): touch(1)")
        result = pytester.runpytest("-Werror::pytest_memperf.MemoryBudgetWarning")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["window 'call'", "max_minor_faults *warned", "MEMORY * - minor_faults 1 is over max_minor_faults = 0"]
        )

    @pytest.mark.parametrize("isolation", ["inline", "process"])
    @pytest.mark.parametrize("plugin", ["benchmark", "cacheprovider", "capture", "terminal"])
    def test_without_a_plugin(self, pytester: pytest.Pytester, suite: Suite, plugin: str, isolation: str) -> None:
        """The verdict is the same where a plugin of pytest, or pytest-benchmark, is switched off."""
        suite("@pytest.mark.memperf(max_minor_faults=99)\ndef test_it(): touch(100)\n")
        options = (f"-pno:{plugin}", f"--memperf-isolation={isolation}", "--memperf-json=out.json")
        result = pytester.runpytest_subprocess(*options)

        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert value(results_of(pytester)["test_it", "call"]) == 100

    def test_soft_is_each_window_s_own(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """``soft`` of a named window warns for that window, and the marker's does not soften another one."""
        suite(
            "@pytest.mark.memperf(max_minor_faults=0, soft=True)\ndef test_hard(memperf):\n"
            "    with memperf.window('a', max_minor_faults=4): touch(5)\n"
            "def test_soft(memperf):\n    with memperf.window('a', max_minor_faults=4, soft=True): touch(5)\n"
        )
        result = pytester.runpytest("-W", "default")

        result.assert_outcomes(failed=1, passed=1, warnings=2)
        result.stdout.fnmatch_lines(["MEMORY *::test_hard - 'a': minor_faults 5 is over max_minor_faults = 4"])

    def test_error_raised_by_a_test(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """A test may raise the public error itself: an ordinary failure."""
        suite(
            "from pytest_memperf import MemoryBudgetExceeded\n@pytest.mark.memperf\ndef test_marked(): ...\n"
            "def test_it():\n    raise MemoryBudgetExceeded('by hand')\n"
        )
        result = pytester.runpytest()

        result.assert_outcomes(failed=1, passed=1)
        result.stdout.fnmatch_lines(["FAILED *::test_it - *by hand"])

    def test_xfail(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """xfail sees an ordinary failure, by type as well."""
        suite(
            """
            from pytest_memperf import MemoryBudgetExceeded
            @pytest.mark.xfail(strict=True)
            @pytest.mark.memperf(max_minor_faults=0)
            def test_any(): touch(1)
            @pytest.mark.xfail(strict=True, raises=MemoryBudgetExceeded)
            @pytest.mark.memperf(max_minor_faults=0)
            def test_type(): touch(1)
            @pytest.mark.xfail(strict=True)
            @pytest.mark.memperf(max_minor_faults=1)
            def test_strict(): touch(1)
            """.replace("\n            ", "\n")
        )

        session = pytester.inline_run()

        session.assertoutcome(skipped=2, failed=1)  # what an expected failure is to pytest: skipped, with `wasxfail`
        reports = session.getreports("pytest_runtest_logreport")
        tables = [report.longreprtext for report in reports if hasattr(report, "wasxfail")]
        assert len(tables) == 2
        assert all(re.search(r"^max_minor_faults +1 +0 .* exact +failed$", table, re.MULTILINE) for table in tables)

    def test_failed_test_keeps_its_own_failure(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """A test that fails by itself says so; its budgets are unchecked, not passed."""
        suite("@pytest.mark.memperf(max_minor_faults=0)\ndef test_it():\n    touch(1)\n    assert 1 == 2, 'its own'")
        result = pytester.runpytest("--memperf-json=out.json")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["E * AssertionError: its own", "FAILED *"])
        (check,) = results_of(pytester)["test_it", "call"]["checks"]
        assert check["status"] == "unchecked"
        assert check["reason"] == "the test did not come to its end"

    @pytest.mark.usefixtures("every_plugin")
    def test_last_failed_and_reruns(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """--lf and rerunfailures see an ordinary failure; a rerun is measured afresh."""
        suite(
            "runs = []\n"
            "@pytest.mark.memperf(max_minor_faults=2)\ndef test_it():\n    runs.append(1)\n    touch(4 - len(runs))\n"
            "def test_other(): ...\n"
        )
        pytester.runpytest("-p", "no:rerunfailures").assert_outcomes(passed=1, failed=1)
        pytester.runpytest("--lf", "-p", "no:rerunfailures").assert_outcomes(failed=1)
        result = pytester.runpytest("--reruns=2", "--memperf-json=out.json")

        assert result.parseoutcomes() == {"passed": 2, "rerun": 1}
        assert [line for line in result.outlines if "::test_it " in line][-1].split()[1:3] == ["1", "passed"]
        (row,) = json.loads(Path(pytester.path, "out.json").read_text())["results"]  # of the run that counted
        assert value(row) == 2

    @pytest.mark.usefixtures("every_plugin")
    def test_strict(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """A budget that cannot be checked passes with a word, and fails under ``--memperf-strict``."""
        suite("@pytest.mark.memperf(max_wall_time=9, bytes=1)\ndef test_it(benchmark): benchmark.pedantic(touch, (1,))")
        pytester.runpytest("--benchmark-disable").assert_outcomes(passed=1)
        result = pytester.runpytest("--benchmark-disable", "--memperf-strict")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["MEMORY *max_wall_time = 9 s was not checked: pytest-benchmark is disabled*"])

    @pytest.mark.usefixtures("every_plugin")
    def test_under_xdist(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """Results and verdicts travel from the workers."""
        suite(
            "@pytest.mark.memperf(max_minor_faults=99)\ndef test_it(): touch(100)\n"
            "def test_other(memperf): memperf(touch, 7)"
        )
        result = pytester.runpytest("-n2", "--memperf-json=out.json")

        result.assert_outcomes(failed=1, passed=1)
        result.stdout.fnmatch_lines(["*max_minor_faults*100*99*1.01*", "MEMORY *minor_faults 100 is over*"])
        assert value(results_of(pytester)["test_other", "memperf"]) == 7


@pytest.mark.usefixtures("every_plugin")
@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_a_rerun_after_another_hook_failed(pytester: pytest.Pytester, suite: Suite, isolation: str) -> None:
    """A test that another plugin kept from running is measured and judged once, when it does run."""
    pytest.importorskip("pytest_rerunfailures")
    pytester.makeconftest(
        """
        import pathlib, pytest
        @pytest.hookimpl
        def pytest_runtest_call(item):
            first = pathlib.Path("first")
            if not first.exists():
                first.touch()
                raise ValueError("not yet")
        """
    )
    suite("@pytest.mark.memperf(max_minor_faults=99, soft=True)\ndef test_it(): touch(100)")
    result = pytester.runpytest(
        "--reruns=1", "-Wdefault", f"--memperf-isolation={isolation}", "--memperf-json=out.json"
    )

    result.assert_outcomes(passed=1, warnings=1)
    assert value(results_of(pytester)["test_it", "call"]) == 100


class TestKindsOfTests:
    """The window is the innermost wrapper round whatever the test function is."""

    @pytest.mark.parametrize(
        "text",
        [
            "def test_it(): touch(50)",
            "def test_it(tmp_path, capsys): touch(50)",
            "@pytest.mark.parametrize('n', [50])\ndef test_it(n): touch(n)",
            "class TestIt:\n    def test_it(self): touch(50)",
            "class TestIt:\n    @staticmethod\n    def test_it(): touch(50)",
            "class TestIt(unittest.TestCase):\n    def setUp(self): touch(7)\n    def test_it(self): touch(50)",
            "class TestIt(unittest.IsolatedAsyncioTestCase):\n    async def test_it(self): touch(50)",
            "@pytest.mark.asyncio\nasync def test_it():\n    await asyncio.sleep(0)\n    touch(50)",
            "from hypothesis import given, settings, strategies\n@settings(max_examples=1, database=None)\n"
            "@given(strategies.just(1))\ndef test_it(x): touch(49 + x)",
        ],
        ids=[
            "plain",
            "fixtures",
            "parameter",
            "class",
            "static",
            "unittest",
            "unittest-async",
            "asyncio",
            "hypothesis",
        ],
    )
    @pytest.mark.usefixtures("every_plugin")
    def test_known_work(self, pytester: pytest.Pytester, suite: Suite, text: str) -> None:
        """Fifty pages written are fifty faults (and what the test's own machinery needs, where that runs inside)."""
        suite(text)
        result = pytester.runpytest_subprocess("--memperf-all", "--memperf-json=out.json")

        result.assert_outcomes(passed=1)
        (row,) = results_of(pytester).values()
        machinery = 200 if "hypothesis" in text else 3 if "async" in text else 0
        assert 50 <= value(row) <= 50 + machinery

    def test_doctest(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """An item that has no function is measured round its run."""
        suite("")
        pytester.maketxtfile(test_doc=">>> from known_work import touch\n>>> touch(50)\n")
        result = pytester.runpytest("--memperf-all", "--memperf-json=out.json")

        result.assert_outcomes(passed=1)
        (row,) = results_of(pytester).values()
        assert value(row) >= 50

    def test_skip_and_exception_travel_on(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """A skip, an exception and pytest.exit inside the window leave it unchanged."""
        suite(
            "def test_skip(): pytest.skip('why')\ndef test_raise(): raise KeyError('k')\n"
            "class TestU(unittest.TestCase):\n    def test_fails(self): self.assertEqual(1, 2)\n"
            "    def test_skips(self): self.skipTest('why')\n"
        )
        result = pytester.runpytest("--memperf-all", "-rs", "--memperf-json=out.json")

        result.assert_outcomes(skipped=2, failed=2)
        result.stdout.fnmatch_lines(["E *KeyError: 'k'", "E *AssertionError: 1 != 2"])
        measured = {test for test, _ in results_of(pytester)}
        assert measured == {"test_raise", "test_fails"}  # of the others there is nothing to tell

    @pytest.mark.usefixtures("every_plugin")
    def test_subtests(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """Subtests fail on their own; the test's budget holds for the whole."""
        if int(pytest.__version__.split(".")[0]) < 9:
            pytest.importorskip("pytest_subtests")
        suite(
            "@pytest.mark.memperf(max_minor_faults=10)\ndef test_it(subtests):\n"
            "    with subtests.test('a'):\n        assert False\n    with subtests.test('b'):\n        touch(50)\n"
        )
        result = pytester.runpytest()

        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*minor_faults * is over max_minor_faults = 10"])

    def test_threads(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """Faults of a test's threads count."""
        suite(
            "import threading\ndef test_it():\n"
            "    thread = threading.Thread(target=touch, args=(500,))\n    thread.start()\n    thread.join()\n"
        )
        pytester.runpytest("--memperf-all", "--memperf-json=out.json").assert_outcomes(passed=1)

        assert value(results_of(pytester)["test_it", "call"]) >= 500

    def test_children(self, pytester: pytest.Pytester, suite: Suite) -> None:
        """Faults of reaped children count where they are asked for, only there."""
        suite(
            "import subprocess, sys\n"
            "program = 'from known_work import touch; touch(20_000)'\n"
            "def work(): subprocess.run([sys.executable, '-c', program], check=True)\n"
            "def test_without(): work()\n"
            "@pytest.mark.memperf(include_children=True)\ndef test_with(): work()\n"
        )
        pytester.runpytest("--memperf-all", "--memperf-json=out.json").assert_outcomes(passed=2)
        results = results_of(pytester)

        assert value(results["test_without", "call"]) < 20_000
        assert value(results["test_with", "call"]) >= 20_000


class TestEmptyWindow:
    """The plugin does not measure itself."""

    def test_at_any_depth(self, pytester: pytest.Pytester) -> None:
        """900 tests at 900 call depths, empty: no fault and no byte."""
        pytester.makeconftest(
            """
            import pytest

            @pytest.hookimpl(wrapper=True, tryfirst=True)
            def pytest_pyfunc_call(pyfuncitem):
                depth = pyfuncitem.callspec.params["depth"]
                function = pyfuncitem.obj
                def deeper(n, keywords):
                    return function(**keywords) if n == 0 else deeper(n - 1, keywords)
                pyfuncitem.obj = lambda **keywords: deeper(depth, keywords)
                try:
                    return (yield)
                finally:
                    pyfuncitem.obj = function
            """
        )
        pytester.makepyfile(
            test_depth="import pytest, sys\nsys.setrecursionlimit(3000)\n"
            "@pytest.mark.memperf(max_minor_faults=0, max_retained_rss=0, max_peak_rss=0)\n"
            "@pytest.mark.parametrize('depth', range(900))\ndef test_it(depth): pass\n"
        )

        pytester.runpytest("-q").assert_outcomes(passed=900)

    def test_windows_and_calls_at_any_depth(self, pytester: pytest.Pytester) -> None:
        """The same for ``memperf.window`` and ``memperf.measure``."""
        pytester.makepyfile(
            """
            import sys

            sys.setrecursionlimit(3000)

            def nothing(): pass

            def test_it(memperf):
                found = set()
                def at(depth, top):
                    if depth:
                        return at(depth - 1, top)
                    with memperf.window(f"with {top}") as window:
                        pass
                    found.add((window.minor_faults, window.retained_rss, window.peak_rss))
                    memperf.measure(nothing, name=f"call {top}", max_minor_faults=0, max_retained_rss=0, max_peak_rss=0)
                for depth in range(900):
                    at(depth, depth)
                assert found == {(0, 0, 0)}
            """
        )

        pytester.runpytest("-q").assert_outcomes(passed=1)
