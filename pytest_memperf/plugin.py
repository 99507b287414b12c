"""pytest's hooks; each calls the layer that does the work, imported when it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest

from pytest_memperf.isolation import start  # noqa: F401  its first import is what it is about
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.options import add_options, check_options, is_compared, resolve

if TYPE_CHECKING:
    from pytest_memperf.fixtures.allocator_swap import AllocatorSwaps
    from pytest_memperf.fixtures.cpu_pinning import CpuPinning
    from pytest_memperf.fixtures.hugepage_region import HugePageRegions
    from pytest_memperf.fixtures.mapped_file import MappedFiles
    from pytest_memperf.fixtures.memperf import Memperf
    from pytest_memperf.fixtures.numa_buffer import NumaBuffers

    class Closeable(Protocol):
        """What a fixture gives to a test."""

        def close(self) -> None:
            """Take away what was made for the test."""

    C = TypeVar("C", bound=Closeable)


_SHOW_ONLY = ("collectonly", "showfixtures", "show_fixtures_per_test")
"""pytest's options for sessions that run no test."""


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    """Show a user's mistake as pytest shows its own usage errors: the line alone, exit code 4."""
    try:
        yield
    except UsageMistake as mistake:
        raise pytest.UsageError(str(mistake)) from None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of OPTIONS."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks by which others take part."""
    from pytest_memperf import hookspec

    pluginmanager.add_hookspecs(hookspec)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options and declare the marker."""
    config.addinivalue_line(
        "markers",
        "memperf(**budgets): measure this test and hold it to budgets such as max_peak_rss='70 MiB', "
        "max_minor_faults=600, min_throughput='1 GiB/s' with bytes='256 MiB'",
    )
    config.addinivalue_line(
        "markers",
        "memperf_allocators(*names): measure this test once under each of these libraries for malloc, "
        "such as 'glibc', 'jemalloc', 'tcmalloc', 'mimalloc'",
    )
    manager = config.pluginmanager
    with _usage_errors():
        check_options(config)
        if config.getini("memperf_defaults"):
            from pytest_memperf.marker import ini_defaults

            ini_defaults(config)  # for the controller of xdist: its workers could not end the session
        allocator = resolve(config, "allocator")
        if allocator:
            from pytest_memperf.allocators import check_option

            check_option(config, allocator)
        named = resolve(config, "template-plugins")
        if named:
            from pytest_memperf.isolation.plugins import check_names

            check_names(config, named)
        path = resolve(config, "json")
        shows_only = any(config.getoption(name, False) for name in _SHOW_ONLY)
        elsewhere = any(map(manager.hasplugin, ("memperf-template", "memperf-serving")))
        reports = not (shows_only or resolve(config, "disable") or elsewhere)
        if path and reports:
            from pytest_memperf.report.json_report import register_json

            register_json(config, path)
        if reports and is_compared(config):
            from pytest_memperf.baseline.session import register_baseline

            register_baseline(config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen for the workers' results on a controller of xdist, which collects nothing itself."""
    if session.config.pluginmanager.hasplugin("dsession"):
        from pytest_memperf.report.session import register_reporter

        with _usage_errors():
            register_reporter(session.config)


@pytest.hookimpl(trylast=True)  # its ids come behind those of the test's own parameters
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a test run once under each library that its mark names."""
    mark = metafunc.definition.get_closest_marker("memperf_allocators")
    if mark is not None:
        from pytest_memperf.allocators import parametrize

        parametrize(metafunc, mark)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Find the tests to measure and check what their markers say; a session without any stays untouched."""
    from pytest_memperf.selection import select

    with _usage_errors():
        select(config, items)


@pytest.fixture
def memperf(request: pytest.FixtureRequest) -> Memperf:
    """Measure a call (``memperf(function, ...)``) or a block (``with memperf.window("parse"):``) of this test."""
    from pytest_memperf.fixtures.memperf import Memperf
    from pytest_memperf.measuring import begin_measurement
    from pytest_memperf.report.mistakes import register_mistakes

    register_mistakes(request.config)
    return Memperf(begin_measurement(request.node), request.config)


def _to_the_end_of_the_test(config: pytest.Config, made: C) -> Iterator[C]:
    """Give a test what was made for it, have its mistakes in that shown as such, and take it away afterwards."""
    from pytest_memperf.report.mistakes import register_mistakes

    register_mistakes(config)
    yield made
    made.close()


@pytest.fixture
def mapped_file(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MappedFiles]:
    """Map a file, new or given, with its page cache cold or warm: ``mapped_file("256 MiB", cache="warm")``."""
    from pytest_memperf.fixtures.mapped_file import MappedFiles
    from pytest_memperf.lacking import lacking

    yield from _to_the_end_of_the_test(
        pytestconfig, MappedFiles(tmp_path_factory.getbasetemp, partial(lacking, pytestconfig))
    )


@pytest.fixture
def hugepage_region(pytestconfig: pytest.Config) -> Iterator[HugePageRegions]:
    """Map memory on huge pages, reserved or transparent: ``hugepage_region("512 MiB", kind="thp")``."""
    from pytest_memperf.fixtures.hugepage_region import HugePageRegions
    from pytest_memperf.lacking import lacking

    yield from _to_the_end_of_the_test(pytestconfig, HugePageRegions(partial(lacking, pytestconfig)))


@pytest.fixture
def numa_buffer(pytestconfig: pytest.Config) -> Iterator[NumaBuffers]:
    """Place memory on NUMA nodes by a policy: ``numa_buffer("128 MiB", policy="bind", nodes=[0])``."""
    from pytest_memperf.fixtures.numa_buffer import NumaBuffers
    from pytest_memperf.lacking import lacking

    yield from _to_the_end_of_the_test(pytestconfig, NumaBuffers(partial(lacking, pytestconfig)))


@pytest.fixture
def allocator_swap(pytestconfig: pytest.Config) -> Iterator[AllocatorSwaps]:
    """Put an allocator behind NumPy or Python: ``with allocator_swap("slab", domains=["numpy"]) as slab: ...``."""
    from pytest_memperf.fixtures.allocator_swap import AllocatorSwaps

    yield from _to_the_end_of_the_test(pytestconfig, AllocatorSwaps())


@pytest.fixture
def cpu_pinning(pytestconfig: pytest.Config) -> Iterator[CpuPinning]:
    """Run on these processors, or on those of a NUMA node, to the end of the test: ``cpu_pinning(node=0)``."""
    from pytest_memperf.fixtures.cpu_pinning import CpuPinning
    from pytest_memperf.lacking import lacking

    yield from _to_the_end_of_the_test(pytestconfig, CpuPinning(partial(lacking, pytestconfig)))
