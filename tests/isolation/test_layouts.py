"""Layouts: other heaps by seed, whose spread becomes the uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_memperf.isolation.layout import Layout, environment_padding, path_padding
from pytest_memperf.isolation.recipe import environment_of, with_seed

Run = Callable[..., pytest.RunResult]
Results = Callable[[], list[dict[str, Any]]]


class TestLayouts:
    """``--memperf-layouts``."""

    def test_samples_of_all_layouts_are_kept(self, isolated: Run, results: Results) -> None:
        """Each layout adds a sample; half their spread is the uncertainty."""
        isolated(
            "def test_it(): [bytes(400) for _ in range(int(len(os.environ.get('MEMPERF_LAYOUT', ''))))]",
            "--memperf-layouts=4",
            "--memperf-json=out.json",
        ).assert_outcomes(passed=1)
        (result,) = results()
        faults = result["metrics"]["minor_faults"]
        assert len(faults["samples"]) == 4
        assert faults["samples"][0] == 0
        assert faults["uncertainty"] == (max(faults["samples"]) - min(faults["samples"])) / 2 > 10
        assert (result["rounds"], result["layouts"]) == (1, 4)

    def test_rounds_in_each_layout(self, isolated: Run, results: Results) -> None:
        """The table and the file tell rounds and layouts apart."""
        result = isolated(
            """
@pytest.mark.memperf(rounds=3, max_minor_faults=0)
def test_it(memperf): memperf(lambda: [bytes(400) for _ in range(2_000)])
""",
            "--memperf-layouts=2",
            "--memperf-json=out.json",
        )
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["window 'memperf', median of 3 rounds in 2 layouts, isolation process"])
        (only,) = results()
        assert (only["rounds"], only["layouts"]) == (3, 2)
        assert len(only["metrics"]["minor_faults"]["samples"]) == 6

    def test_window_that_not_every_layout_comes_to(self, isolated: Run, results: Results) -> None:
        """Its samples are of one layout, and it says so."""
        isolated(
            """
def test_it(memperf):
    if "MEMPERF_LAYOUT" not in os.environ:
        with memperf.window("first"): pass
    with memperf.window("second"): pass
""",
            "--memperf-layouts=2",
            "--memperf-json=out.json",
        ).assert_outcomes(passed=1)
        first, second = (next(each for each in results() if each["window"] == name) for name in ("first", "second"))
        assert "layouts" not in first
        assert "samples of one layout: 1 others did not come to this window" in first["notes"]
        assert second["layouts"] == 2

    @pytest.mark.parametrize("arguments", [(), ("-n1", "-p", "xdist")], ids=["alone", "n1"])
    def test_layouts_of_inline_tests(self, isolated: Run, results: Results, arguments: tuple[str, ...]) -> None:
        """Where nothing is isolated, one line says that the option did nothing."""
        if arguments:
            pytest.importorskip("xdist")
        result = isolated(
            "pytestmark = pytest.mark.memperf\ndef test_one(): pass\ndef test_two(): pass",
            "--memperf-layouts=2",
            "--memperf-json=out.json",
            *arguments,
        )
        result.assert_outcomes(passed=2)
        lines = [line for line in result.outlines if "--memperf-layouts=2 did nothing" in line]
        assert len(lines) == 1
        assert all("layouts" not in each for each in results())

    def test_ini_twin(self, isolated: Run, results: Results) -> None:
        """memperf_layouts in the ini file does the same."""
        isolated("def test_it(): pass", "-o", "memperf_layouts=2", "--memperf-json=out.json").assert_outcomes(passed=1)
        assert len(results()[0]["metrics"]["minor_faults"]["samples"]) == 2

    def test_failure_in_one_layout_fails_the_test(self, isolated: Run) -> None:
        """The report tells which layout it was."""
        result = isolated("def test_it(): assert 'MEMPERF_LAYOUT' not in os.environ", "--memperf-layouts=2")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*Memory layout*", "1 of 0 to 1"])

    def test_death_in_one_layout_names_it(self, isolated: Run) -> None:
        """The line says in which layout the child died, and its output is shown."""
        result = isolated(
            """
def test_it():
    if "MEMPERF_LAYOUT" in os.environ:
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
""",
            "--memperf-layouts=2",
        )
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["the child was killed by SIGSEGV (memory layout 1 of 0 to 1)", "*Captured stdout call*", "last words"]
        )

    def test_budget_is_judged_on_all_samples(self, isolated: Run) -> None:
        """A limit within the spread is kept, for no verdict is luck; one below it is exceeded."""
        work = "[bytes(400) for _ in range(len(os.environ.get('MEMPERF_LAYOUT', '')))]"
        result = isolated(
            f"""
@pytest.mark.memperf(max_minor_faults=150)
def test_within(): {work}
@pytest.mark.memperf(max_minor_faults=0)
def test_below(): [bytes(400) for _ in range(2_000)]
""",
            "--memperf-layouts=3",
        )
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["MEMORY*test_below*"])

    @pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
    def test_wrong_number(self, isolated: Run, value: str) -> None:
        """One clear line."""
        result = isolated("def test_it(): pass", f"--memperf-layouts={value}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: --memperf-layouts={value}: give a whole number from 1 up"])


class TestSeeds:
    """What a seed does."""

    def test_seed_0_is_the_program_as_it_is(self) -> None:
        """Nothing is added to it."""
        layout = Layout(0)
        layout.disturb("before plugins")
        assert layout._living == []
        assert "MEMPERF_LAYOUT" not in environment_of(0)
        assert with_seed({"path": ["a"]}, 0) == {"path": ["a"], "seed": 0}

    def test_seeds_differ_and_repeat(self) -> None:
        """Another seed is another environment and path; the same is the same."""
        assert len({len(environment_padding(seed)) for seed in range(1, 17)}) > 12
        assert len({len(path_padding(seed)) for seed in range(1, 17)}) > 12
        assert environment_padding(3) == environment_padding(3)

    def test_stages_leave_blocks_behind(self) -> None:
        """Each stage has its own blocks, about half of them freed again."""
        layout = Layout(5)
        layout.disturb("before plugins")
        layout.disturb("after the module")
        kept, small, other, _ = layout._living
        assert 0 < len(kept) < 3_000  # type: ignore[arg-type]
        assert len(kept) != len(other)  # type: ignore[arg-type]
        assert len(small) < 8_000  # type: ignore[arg-type]
