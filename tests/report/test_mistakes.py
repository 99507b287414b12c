"""A user's mistake in a test is one line, in every kind of session, and no session pays for it twice."""

from __future__ import annotations

import pytest

TWICE = """
    def test_twice(memperf):
        memperf(int)
        memperf(int)
"""
NO_SIZE = """
    def test_file(mapped_file):
        size = 0
        mapped_file(size)
"""


@pytest.mark.parametrize(
    ("text", "options", "line"),
    [
        (TWICE, [], "memperf(...) * measures one call a test: *"),
        (TWICE, ["--memperf-disable"], "memperf(...) * measures one call a test: *"),
        (TWICE, ["--memperf-isolation=process"], "memperf(...) * measures one call a test: *"),
        (NO_SIZE, [], "mapped_file(0): give a size from 1 byte to 4 EiB"),
        (NO_SIZE, ["--memperf-all"], "mapped_file(0): give a size from 1 byte to 4 EiB"),
    ],
)
def test_a_mistake_in_a_test_is_one_line(pytester: pytest.Pytester, text: str, options: list[str], line: str) -> None:
    """What only shows in the test's run fails that test, without a traceback."""
    pytester.makepyfile(test_it=text)
    result = pytester.runpytest(*options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"test_it.py:3: pytest-memperf: {line}"])
    assert "Traceback" not in result.stdout.str()
    assert "Error" not in result.stdout.str()


@pytest.mark.parametrize("measured", [False, True])
def test_one_wrapper_words_them(pytester: pytest.Pytester, measured: bool) -> None:
    """It comes with the first test that needs it, unless there is one that measures: each costs every test."""
    pytester.makepyfile(
        f"""
        def has(pytestconfig):
            return pytestconfig.pluginmanager.hasplugin("memperf-mistakes")
        def test_before(pytestconfig):
            assert not has(pytestconfig)
        def test_file(mapped_file, pytestconfig):
            assert has(pytestconfig) is {not measured}
        """
    )
    pytester.runpytest(*(["--memperf-all"] if measured else [])).assert_outcomes(passed=2)
