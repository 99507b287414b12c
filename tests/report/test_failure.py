"""How a failed budget looks, in every form that pytest gives a failure."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

SUITE = """
    import pytest
    from tokens import spend

    @pytest.mark.memperf(max_tokens=10, max_coins=1000)
    def test_over():
        spend(64)
"""
SENTENCE = "tokens 64 is over max_tokens = 10"
TABLE = [
    "window 'call'",
    "budget      measured  limit  ratio  ± uncertainty  trust    verdict",
    "max_tokens        64     10   6.40              0  exact    failed",
    "max_coins          5  1,000   0.01              2  bounded  passed",
]


@pytest.fixture
def suite(tokens: pytest.Pytester) -> pytest.Pytester:
    """One test that spends 64 tokens and may 10."""
    tokens.makepyfile(test_it=SUITE)
    return tokens


@pytest.mark.parametrize("option", ["--tb=auto", "--tb=long", "--tb=short", "--tb=native", "-rA", "-l", "--full-trace"])
def test_the_table_stands_for_the_traceback(suite: pytest.Pytester, option: str) -> None:
    """The budgets of the window that failed, all of them; no traceback; one line in the summary."""
    result = suite.runpytest(option)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    lines = result.outlines
    start = lines.index(TABLE[0])
    assert lines[start : start + 4] == TABLE
    assert lines[start + 4].strip("=") == " memperf "
    assert f"MEMORY test_it.py::test_over - {SENTENCE}" in lines
    assert "Traceback" not in result.stdout.str()
    assert "MemoryBudgetExceeded" not in result.stdout.str()


def test_tb_line_is_one_line(suite: pytest.Pytester) -> None:
    """Place and sentence, without the table."""
    lines = suite.runpytest("--tb=line").outlines
    assert f"test_it.py:4: {SENTENCE}" in lines
    assert TABLE[0] not in lines


def test_tb_no_leaves_the_summary(suite: pytest.Pytester) -> None:
    """The letter, the block of results and the short summary stay."""
    lines = suite.runpytest("--tb=no").outlines
    assert TABLE[0] not in lines
    assert f"MEMORY test_it.py::test_over - {SENTENCE}" in lines


def test_letter_and_word(suite: pytest.Pytester) -> None:
    """M in the row of dots, MEMORY under -v, and an ordinary failure in the count."""
    suite.runpytest().stdout.fnmatch_lines(["test_it.py M *", "*1 failed*"])
    suite.runpytest("-v").stdout.fnmatch_lines(["test_it.py::test_over MEMORY *"])


def test_rows_have_the_colour_of_their_verdict(suite: pytest.Pytester) -> None:
    """Only on a terminal, or where --color asks for it."""
    lines = suite.runpytest("--color=yes").outlines
    assert f"\x1b[31m{TABLE[2]}\x1b[0m" in lines
    assert TABLE[3] in lines


@pytest.mark.parametrize("options", [[], ["--color=yes"]])
def test_xdist_carries_the_table(suite: pytest.Pytester, options: list[str]) -> None:
    """The controller shows what the worker found, in colour as well."""
    lines = suite.runpytest_subprocess("-pxdist", "-n1", *options).outlines
    assert (f"\x1b[31m{TABLE[2]}\x1b[0m" if options else TABLE[2]) in lines
    assert any(SENTENCE in line and "MEMORY" in line for line in lines)


def test_without_a_terminal_the_exit_code_tells(suite: pytest.Pytester) -> None:
    """-p no:terminal: nothing is shown, nothing breaks."""
    result = suite.runpytest_subprocess("-pno:terminal", "--memperf-json=out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.outlines == []
    assert result.errlines == []
    assert (suite.path / "out.json").exists()


@pytest.mark.parametrize("workers", [[], ["-pxdist", "-n1"]])
def test_junit_xml_has_sentence_table_and_values(suite: pytest.Pytester, workers: list[str]) -> None:
    """The message is the sentence, the text the table, and the values are properties."""
    suite.runpytest_subprocess("--junitxml=out.xml", *workers)
    case = ElementTree.parse(suite.path / "out.xml").getroot().find(".//testcase")
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == SENTENCE
    assert (failure.text or "").splitlines()[-4:] == TABLE
    properties = {row.get("name"): row.get("value") for row in case.iter("property")}
    assert properties["memperf.call.tokens"] == "64"
    assert properties["memperf.call.coins"] == "5"
    assert "memperf.call.cpu_time" not in properties


def test_the_window_that_failed_is_named(pytester: pytest.Pytester) -> None:
    """Windows whose budgets hold have no table; the measured call says its rounds."""
    pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.memperf(min_wall_time=9, rounds=3)
        def test_parts(memperf):
            memperf(int)
            with memperf.window("fine", max_wall_time=9):
                pass
            with memperf.window("slow", min_wall_time="9 s"):
                pass
        """
    )
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(
        [
            "window 'memperf', median of 3 rounds",
            "budget*",
            "min_wall_time *failed",
            "",
            "window 'slow'",
            "budget*",
            "min_wall_time *failed",
        ]
    )
    result.stdout.no_fnmatch_line("window 'fine'*")
    result.stdout.fnmatch_lines(
        ["MEMORY test_it.py::test_parts - wall_time * is under min_wall_time = 9 s*; 'slow': wall_time * is under *"]
    )
