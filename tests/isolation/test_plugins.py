"""Which installed plugins a template loads: what the test needs, so that the others move none of its counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

LOADED = """
def loaded(request, *names):
    manager = request.config.pluginmanager
    return [name for name in names if manager.has_plugin(name)]
"""

pytestmark = pytest.mark.usefixtures("every_plugin")


def test_what_the_test_does_not_need_stays_out(isolated: Run) -> None:
    """An ordinary test has neither an event loop nor a benchmark beside it, although other tests of the module do."""
    pytest.importorskip("pytest_asyncio")
    isolated(
        LOADED
        + """
def test_plain(request): assert loaded(request, "asyncio", "benchmark", "xdist", "pytest_cov") == []
def test_timed(benchmark, request): benchmark(int); assert loaded(request, "asyncio", "benchmark") == ["benchmark"]
@pytest.mark.asyncio
async def test_async(request): assert loaded(request, "asyncio", "benchmark") == ["asyncio"]
""",
        "--benchmark-max-time=0.01",
    ).assert_outcomes(passed=3)


def test_asynchronous_fixture_needs_its_plugin(isolated: Run) -> None:
    """An ordinary test that takes an asynchronous fixture, through another one, has it set up."""
    pytest.importorskip("pytest_asyncio")
    isolated(
        """
@pytest.fixture
async def waited(): yield 3
@pytest.fixture
def through(waited): return waited
def test_it(through): assert through == 3
""",
        "-o",
        "asyncio_mode=auto",
    ).assert_outcomes(passed=1)


def test_marks_of_other_plugins_are_known(isolated: Run) -> None:
    """Under --strict-markers the marks of plugins that a template does not load are no mistake."""
    pytest.importorskip("pytest_rerunfailures")
    isolated(
        """
@pytest.mark.flaky(reruns=1)
def test_flaky(): pass
@pytest.mark.benchmark(group="a")
def test_in_a_group(): pass
""",
        "--strict-markers",
    ).assert_outcomes(passed=2)


def test_none(isolated: Run) -> None:
    """``none`` loads none, not even one that every test would take a fixture of; one that is needed is named."""
    pytest.importorskip("pytest_asyncio")
    result = isolated(
        LOADED
        + """
def test_plain(request): assert loaded(request, "asyncio", "benchmark", "hypothesispytest") == []
def test_timed(benchmark): benchmark(int)
""",
        "--memperf-template-plugins=none",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the test needs benchmark, *: add 'benchmark' to memperf_template_plugins"])


@pytest.mark.parametrize("name", ["asyncio", "pytest_asyncio"])
def test_named_ones(isolated: Run, name: str) -> None:
    """Plugins are named by their entry point or by their package."""
    pytest.importorskip("pytest_asyncio")
    isolated(
        LOADED + "def test_it(request): assert loaded(request, 'asyncio', 'benchmark') == ['asyncio']",
        "-o",
        f"memperf_template_plugins={name}",
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("arguments", [(), ("-n1",)], ids=["alone", "n1"])
def test_unknown_name(isolated: Run, arguments: tuple[str, ...]) -> None:
    """One line with the nearest name, before anything runs."""
    result = isolated("def test_it(): pass", "-o", "memperf_template_plugins=asyncoi", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "memperf_template_plugins: no plugin 'asyncoi' is installed; did you mean 'asyncio'?" in result.stderr.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_template_searches_no_entry_points(
    isolated: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which distributions are installed would show in its heap; what the ini file names, the driver has checked."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(
        """
        import sys
        searched = []
        def note(event, arguments):
            if event == "open" and str(arguments[0]).endswith("entry_points.txt"):
                searched.append(arguments[0])
        sys.addaudithook(note)
        """
    )
    isolated(
        """
import conftest
def test_here(): assert conftest.searched == []
@pytest.mark.memperf(isolation="inline")
def test_witness():
    import importlib.metadata
    importlib.metadata.entry_points()
    assert conftest.searched
""",
        *("-p", "memperf", "-W", "ignore", "-o", "memperf_template_plugins=pytest_memperf"),
    ).assert_outcomes(passed=2)


def test_name_that_is_not_loaded_today(isolated: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that is blocked, or left out with all others, is no mistake in the ini file."""
    arguments = ("-o", "memperf_template_plugins=asyncio")
    isolated("def test_it(): pass", *arguments, "-p", "no:asyncio").assert_outcomes(passed=1)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    isolated("def test_it(): pass", *arguments, "-p", "memperf", "-W", "ignore").assert_outcomes(passed=1)
