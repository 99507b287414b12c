"""An isolated test has the outcome, the report and the by-products that it would have in pytest's own process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


class TestOutcomes:
    """Passed, failed, skipped, xfailed and the rest."""

    def test_each_outcome_is_counted_as_in_process(self, isolated: Run) -> None:
        """Every outcome of pytest comes back from a child."""
        result = isolated(
            """
def test_passes(): pass
def test_fails(): assert 1 == 2
def test_skips(): pytest.skip("why")
@pytest.mark.skip
def test_marked_skip(): pass
@pytest.mark.xfail
def test_xfails(): assert 0
@pytest.mark.xfail
def test_xpasses(): pass
@pytest.mark.xfail(strict=True)
def test_strict(): pass
@pytest.mark.xfail(run=False)
def test_not_run(): os._exit(1)
@pytest.fixture
def broken(): raise ValueError("set-up")
def test_errors(broken): pass
@pytest.fixture
def late():
    yield
    raise ValueError("tear-down")
def test_late(late): pass
"""
        )
        result.assert_outcomes(passed=2, failed=2, skipped=2, xfailed=2, xpassed=1, errors=2)
        result.stdout.fnmatch_lines(["*assert 1 == 2*", "*XPASS(strict)*"])

    def test_runs_in_a_fork_of_a_template(self, isolated: Run) -> None:
        """Two tests run in two processes with one parent that is not pytest's process."""
        result = isolated(
            """
def test_one(): print("ONE", os.getpid(), os.getppid()); assert 0
def test_two(): print("TWO", os.getpid(), os.getppid()); assert 0
"""
        )
        lines = [line.split() for line in result.outlines if line.startswith(("ONE", "TWO"))]
        (_, first, parent), (_, second, other_parent) = lines
        assert first != second
        assert parent == other_parent

    def test_state_of_an_earlier_test_is_not_seen(self, isolated: Run) -> None:
        """What a test leaves in a module is gone in the next one."""
        isolated(
            """
seen = []
def test_one(): seen.append(1); assert len(seen) == 1
def test_two(): seen.append(1); assert len(seen) == 1
"""
        ).assert_outcomes(passed=2)

    def test_wide_fixtures_belong_to_the_child(self, isolated: Run) -> None:
        """Session and module fixtures are set up and torn down in each child, and there only."""
        result = isolated(
            """
@pytest.fixture(scope="session")
def wide():
    with open("pids", "a") as file: file.write(f"{os.getpid()} ")
    yield os.getpid()
    with open("pids", "a") as file: file.write(f"{os.getpid()} ")
def test_one(wide): assert wide == os.getpid()
def test_two(wide): assert wide == os.getpid()
"""
        )
        result.assert_outcomes(passed=2)

    def test_inline_and_process_tests_mix(self, isolated: Run) -> None:
        """Module fixtures of inline tests live on across an isolated one between them."""
        result = isolated(
            """
made = []
@pytest.fixture(scope="module")
def shared(): made.append(os.getpid()); yield; print("TORN DOWN")
@pytest.mark.memperf(isolation="inline")
def test_one(shared): assert len(made) == 1
def test_two(shared): assert len(made) == 1
@pytest.mark.memperf(isolation="inline")
def test_three(shared): assert len(made) == 1
""",
            "-v",
            test_other="def test_last(): pass",
        )
        result.assert_outcomes(passed=4)

    def test_unittest_classes(self, isolated: Run) -> None:
        """unittest's classes run with their fixtures."""
        isolated(
            """
class TestIt(unittest.TestCase):
    @classmethod
    def setUpClass(cls): cls.value = 3
    def setUp(self): self.other = 4
    def tearDown(self): assert self.other == 4
    def test_passes(self): self.assertEqual(self.value, 3)
    def test_fails(self): self.assertEqual(self.value, 4)
    @unittest.skip("no")
    def test_skips(self): pass
    @unittest.expectedFailure
    def test_expected(self): self.fail()
"""
        ).assert_outcomes(passed=1, failed=1, skipped=1, xfailed=1)

    def test_subtests_are_reported_one_by_one(self, isolated: Run) -> None:
        """Failed subtests arrive as reports of their own, and fail the test."""
        pytest.importorskip("_pytest.subtests", reason="needs pytest 9")
        result = isolated(
            """
def test_some(subtests):
    for number in range(3):
        with subtests.test(number=number): assert number != 1
"""
        )
        result.stdout.fnmatch_lines(["SUBFAILED(number=*1*)*", "FAILED*contains 1 failed subtest*"])
        assert result.ret == pytest.ExitCode.TESTS_FAILED

    @pytest.mark.usefixtures("every_plugin")
    def test_async_tests(self, isolated: Run) -> None:
        """pytest-asyncio is loaded in the templates."""
        pytest.importorskip("pytest_asyncio")
        isolated(
            """
import asyncio
@pytest.mark.asyncio
async def test_waits(): await asyncio.sleep(0)
@pytest.mark.asyncio
async def test_fails(): assert 0
"""
        ).assert_outcomes(passed=1, failed=1)

    def test_parameters_and_classes(self, isolated: Run) -> None:
        """Parametrised tests and methods are found in the template."""
        isolated(
            """
class TestIt:
    @pytest.mark.parametrize("value", [1, 2, "a-b", "x[y]"])
    @pytest.mark.parametrize("other", [None, 1.5])
    def test_value(self, value, other): assert value != 2
"""
        ).assert_outcomes(passed=6, failed=2)

    @pytest.mark.parametrize("layouts", [1, 2])
    def test_xfail_expects_a_broken_budget(self, isolated: Run, layouts: int) -> None:
        """A budget that is broken is the failure that xfail waits for, strict or not, by whatever way it was said."""
        result = isolated(
            """
from pytest_memperf.model.errors import MemoryBudgetExceeded
broken = pytest.mark.memperf(max_minor_faults=0)
def work(): return [bytes(400) for _ in range(5_000)]
@broken
@pytest.mark.xfail(strict=True)
def test_strict(): work()
@broken
@pytest.mark.xfail
def test_lenient(): work()
@broken
@pytest.mark.xfail(strict=True, raises=MemoryBudgetExceeded)
def test_by_class(): work()
@broken
def test_said_in_the_child(request): request.applymarker(pytest.mark.xfail(strict=True)); work()
@broken
@pytest.mark.xfail(strict=True, raises=ValueError)
def test_of_another_class(): work()
@pytest.mark.memperf(max_minor_faults=100_000)
@pytest.mark.xfail(strict=True)
def test_kept(): pass
@pytest.mark.memperf(max_minor_faults=100_000)
@pytest.mark.xfail
def test_kept_leniently(): pass
""",
            f"--memperf-layouts={layouts}",
        )
        result.assert_outcomes(xfailed=4, failed=2, xpassed=1)
        result.stdout.fnmatch_lines(["*XPASS(strict)*"])

    @pytest.mark.parametrize("strict", [False, True])
    def test_xfail_does_not_cover_another_error(self, isolated: Run, strict: bool) -> None:
        """With raises= only that error is expected: any other is a failure, shown as itself."""
        result = isolated(
            f"@pytest.mark.xfail(strict={strict}, raises=ValueError)\ndef test_it(): raise KeyError('another')"
        )
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*KeyError: 'another'*"])


class TestByProducts:
    """Output, logs, warnings, properties, folders."""

    def test_output_and_logs_arrive_with_the_report(self, isolated: Run) -> None:
        """What a failing test printed and logged is shown with it."""
        result = isolated(
            """
def test_it():
    print("on stdout"); print("on stderr", file=sys.stderr); os.write(1, b"on the descriptor\\n")
    logging.getLogger("a").warning("a record")
    assert 0
"""
        )
        result.stdout.fnmatch_lines(["*on stdout", "on the descriptor", "*on stderr", "*a record*"])

    def test_output_goes_to_the_terminal_where_nothing_is_captured(self, isolated: Run) -> None:
        """-s shows what a child prints."""
        isolated("def test_it(): print('straight')", "-s").stdout.fnmatch_lines(["*straight*"])

    def test_live_logs(self, isolated: Run) -> None:
        """--log-cli-level shows the records of a child."""
        isolated("def test_it(): logging.warning('at once %d', 7)", "--log-cli-level=INFO").stdout.fnmatch_lines(
            ["*at once 7*"]
        )

    def test_log_file_holds_both(self, isolated: Run, pytester: pytest.Pytester) -> None:
        """Driver and children write one log file, neither over the other."""
        isolated(
            """
def test_one(): logging.warning("from a child")
@pytest.mark.memperf(isolation="inline")
def test_two(): logging.warning("from the driver")
def test_three(): logging.warning("from another child")
""",
            "--log-file=all.log",
        ).assert_outcomes(passed=3)
        text = (pytester.path / "all.log").read_text()
        assert [line.split("from ")[1] for line in text.splitlines()] == ["a child", "the driver", "another child"]

    def test_warnings_are_summed_up(self, isolated: Run) -> None:
        """A warning in a child is in the summary, once and under its class."""
        result = isolated("def test_it(): warnings.warn(FutureWarning('take care'))")
        result.assert_outcomes(passed=1, warnings=1)
        result.stdout.fnmatch_lines(["*FutureWarning: take care*"])

    def test_warnings_as_errors(self, isolated: Run) -> None:
        """-W error fails the test in the child too."""
        isolated("def test_it(): warnings.warn('take care')", "-W", "error").assert_outcomes(failed=1)

    def test_properties_that_are_not_plain_become_text(self, isolated: Run, pytester: pytest.Pytester) -> None:
        """record_property takes any object; its text is in the report."""
        result = isolated(
            "def test_it(record_property): record_property('thing', ValueError('x')); record_property('n', 3)",
            "--junitxml=out.xml",
        )
        result.assert_outcomes(passed=1)
        text = (pytester.path / "out.xml").read_text()
        assert '<property name="thing" value="x"' in text
        assert '<property name="n" value="3"' in text

    def test_folders_are_unique(self, isolated: Run) -> None:
        """tmp_path differs in each child, and a named folder of the session can be made in each."""
        isolated(
            """
@pytest.fixture(scope="session")
def named(tmp_path_factory): return tmp_path_factory.mktemp("named", numbered=False)
def test_one(tmp_path, named): (tmp_path / "a").write_text("1")
def test_two(tmp_path, named): assert list(tmp_path.iterdir()) == []
"""
        ).assert_outcomes(passed=2)

    @pytest.mark.usefixtures("every_plugin")
    def test_coverage_is_collected_from_children(self, isolated: Run) -> None:
        """Lines that only a child ran are covered."""
        pytest.importorskip("pytest_cov")
        result = isolated(
            "import work\ndef test_it(): work.function()",
            "--cov=work",
            "--cov-report=term-missing",
            work="def function():\n    value = 1\n    return value\n\ndef other():\n    return 2\n",
        )
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["work.py*5*1*80%*6*"])


class TestDrivingPlugins:
    """What drives, stops and repeats tests."""

    def test_exitfirst(self, isolated: Run) -> None:
        """-x stops after the first failure."""
        isolated("def test_one(): assert 0\ndef test_two(): pass", "-x").assert_outcomes(failed=1)

    def test_maxfail(self, isolated: Run) -> None:
        """--maxfail counts the failures of children."""
        isolated("@pytest.mark.parametrize('n', range(5))\ndef test_n(n): assert 0", "--maxfail=2").assert_outcomes(
            failed=2
        )

    def test_last_failed(self, isolated: Run, pytester: pytest.Pytester) -> None:
        """--lf runs what failed in a child."""
        isolated("def test_one(): assert 0\ndef test_two(): pass").assert_outcomes(passed=1, failed=1)
        pytester.runpytest_subprocess("--lf").assert_outcomes(failed=1)

    def test_selected_by_keyword_and_id(self, isolated: Run, pytester: pytest.Pytester) -> None:
        """-k and ids choose in the driver; the template never hears of them."""
        isolated("def test_one(): pass\ndef test_two(): assert 0", "-k", "one").assert_outcomes(passed=1, deselected=1)
        pytester.runpytest_subprocess("test_it.py::test_one").assert_outcomes(passed=1)

    @pytest.mark.usefixtures("every_plugin")
    def test_reruns(self, isolated: Run) -> None:
        """pytest-rerunfailures repeats a test in a new child."""
        pytest.importorskip("pytest_rerunfailures")
        result = isolated(
            """
def test_it():
    with open("runs", "a") as file: file.write("x")
    assert len(open("runs").read()) == 3
""",
            "--reruns=4",
        )
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["*1 passed, 2 rerun*"])

    def test_exit_is_forwarded(self, isolated: Run) -> None:
        """pytest.exit in a child ends the session with its status."""
        result = isolated("def test_one(): pytest.exit('enough', 7)\ndef test_two(): pass")
        assert result.ret == 7
        result.stdout.fnmatch_lines(["*Exit: enough*"])

    def test_interrupt_is_forwarded(self, isolated: Run) -> None:
        """KeyboardInterrupt in a child interrupts the session."""
        assert isolated("def test_one(): raise KeyboardInterrupt").ret == pytest.ExitCode.INTERRUPTED

    def test_shouldstop_is_forwarded(self, isolated: Run) -> None:
        """A session that a child wants stopped stops."""
        result = isolated("def test_one(request): request.session.shouldstop = 'done'\ndef test_two(): pass")
        result.stdout.fnmatch_lines(["*Interrupted: done*"])
        result.assert_outcomes(passed=1)

    @pytest.mark.parametrize("flag", ["--pdb", "--setup-show"])
    def test_what_needs_the_terminal_runs_inline_and_says_so(
        self, isolated: Run, results: Callable[..., list[dict[str, object]]], flag: str
    ) -> None:
        """A debugger needs pytest's own process."""
        result = isolated("def test_it(): pass", flag, "--memperf-json=out.json")
        result.stdout.fnmatch_lines([f"*{flag} needs this process*run inline*"])
        (only,) = results()
        assert only["isolation"] == "inline"
        assert flag in str(only["notes"])

    @pytest.mark.usefixtures("every_plugin")
    def test_workers_of_xdist(self, isolated: Run, results: Callable[..., list[dict[str, object]]]) -> None:
        """-n runs isolated tests, whose results reach the controller; worker_id names the worker."""
        pytest.importorskip("xdist")
        result = isolated(
            """
@pytest.mark.parametrize("n", range(4))
def test_n(n): pass
def test_worker(worker_id): assert worker_id == os.environ["PYTEST_XDIST_WORKER"]
def test_fails(): assert 0
""",
            "-n2",
            "--memperf-json=out.json",
        )
        result.assert_outcomes(passed=5, failed=1)
        assert {each["isolation"] for each in results()} == {"process"}
        assert len(results()) == 6
