"""The session in a side's interpreter: it collects, then runs single tests in layouts that it is told.

``main`` is started with a socket as its standard input, over which it is told. In the templates and children of that
session the plugin looks which modules a test has imported, and from where.
"""

from __future__ import annotations

import gc
import os
import platform
import signal
import site
import sys
import sysconfig
from collections.abc import Generator, Iterable, Sequence
from functools import cache, partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest

from cyx import process
from pytest_memperf import __version__
from pytest_memperf.baseline.ab.neutral import TESTS
from pytest_memperf.baseline.ab.tools import OURS
from pytest_memperf.environment.installed import editable, versions
from pytest_memperf.isolation.protocol import Connection, ConnectionEnded, connection_on_stdin, last_line
from pytest_memperf.measure.attribution import Attribution, attributed
from pytest_memperf.metrics.run_delay import RUN_DELAY
from pytest_memperf.metrics.session import registry_of

PLUGIN = "pytest_memperf.baseline.ab.serving"
TOOLS = "MEMPERF_AB_TOOLS"
"""Names a folder from which a side may import beside what is installed for it: pytest and this plugin."""
ATTRIBUTED = "MEMPERF_AB_ATTRIBUTED"
"""Set while a test is to be followed line by line."""
_WHERE = pytest.StashKey[Attribution]()
_LOOKED_AT = pytest.StashKey[tuple[frozenset[str], list[str]]]()
"""The modules that a template has looked at, and what it found among them."""
_connection: Connection | None = None


def main(arguments: Sequence[str]) -> int:
    """Run the session with these arguments of pytest, and return its exit code."""
    global _connection
    process.die_with_parent(signal.SIGKILL)  # in the midst of a test nobody looks whether the connection is there
    signal.signal(signal.SIGINT, signal.default_int_handler)  # by which it is ended: jobs in the background ignore it
    _connection = connection_on_stdin()
    return int(pytest.main(["-p", PLUGIN, *arguments]))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Serve, unless this is a template of such a session; nothing of it is kept in the project's folder."""
    if hasattr(config.option, "benchmark_storage"):  # pytest-benchmark makes it at once
        config.option.benchmark_storage = str(Path(os.environ[TOOLS]).parent / "benchmarks")
    if _connection is not None:
        config.pluginmanager.register(Serving(_connection), "memperf-serving")


class Serving:
    """Runs what it is told, one test at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._uncollected: dict[str, str] = {}
        self._reports: list[pytest.TestReport] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config) -> None:
        """Have narrow uncertainties, for the smallest change that shows depends on them, and what the machine did."""
        registry = registry_of(config)
        registry.request_narrow()
        registry.request(("interference", RUN_DELAY))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a module could not be imported: a side may be too old for its tests."""
        if report.failed:
            self._uncollected[report.nodeid] = last_line(report.longreprtext) or "it cannot be imported"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Tell what there is to run, and run it whenever asked, to the end of the connection."""
        items = {item.nodeid: item for item in session.items}
        gc.collect()
        gc.freeze()  # what is collected stays to the end: to look through it takes a millisecond or two of each test
        self._connection.send(
            {
                "version": __version__,
                "tests": list(items),
                "uncollected": self._uncollected,
                "versions": {"Python": platform.python_version(), **versions(sys.path)},
                "editable": [f"{name} from {place}" for name, place in editable(sys.path) if name != OURS],
            }
        )
        try:
            while True:
                asked = self._connection.receive()
                if "prepared" in asked:
                    self._prepare(session.config, items[asked["test"]], asked["prepared"], asked["forked"])
                    self._connection.send({})
                    continue
                if asked["attributed"]:
                    os.environ[ATTRIBUTED] = "1"  # children get the variables
                self._connection.send(self._run(session.config, items[asked["test"]], asked["layout"]))
                os.environ.pop(ATTRIBUTED, None)
        except ConnectionEnded:
            return True

    def _prepare(self, config: pytest.Config, item: pytest.Item, layouts: Sequence[int], forked: bool) -> None:
        """Start the templates of the test's module in these layouts, and have each fork the next child already."""
        driver = config.pluginmanager.get_plugin("memperf-driver")
        if driver is not None:
            for layout in layouts:
                driver.prepare(item, layout, forked)

    def _run(self, config: pytest.Config, item: pytest.Item, layout: int) -> dict[str, Any]:
        driver = config.pluginmanager.get_plugin("memperf-driver")
        if driver is not None:
            driver.first_layout = layout
        self._reports.clear()
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        failed = next((report for report in self._reports if report.failed), None)
        # What fails as expected counts for pytest as skipped, and has run all the same.
        skipped = next((report for report in self._reports if report.skipped and not hasattr(report, "wasxfail")), None)
        told = [each.__dict__["memperf_elsewhere"] for each in self._reports if hasattr(each, "memperf_elsewhere")]
        if not told:  # it ran here, inline
            told = [imported_from_elsewhere(config.rootpath, [*sys.modules])]
        elsewhere = [path for paths in told for path in paths]
        return {
            "failed": None if failed is None else _cause(failed),
            "over_budget": failed is not None and bool(failed.__dict__.get("memperf_failed")),
            "skipped": None if skipped is None else _reason(skipped),
            "results": [result.as_json() for report in self._reports for result in report.__dict__.get("taken", ())],
            "elsewhere": elsewhere,
            "attribution": next(filter(None, (each.__dict__.get("memperf_where") for each in self._reports)), None),
        }

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report; its results are taken away from it afterwards."""
        report.__dict__["taken"] = list(getattr(report, "memperf", ()))
        self._reports.append(report)


def _cause(report: pytest.TestReport) -> str:
    """Return the first line of what was raised; below it may stand a long explanation."""
    crash = getattr(report.longrepr, "reprcrash", None)
    told = crash.message.strip().partition("\n")[0] if crash else last_line(report.longreprtext)
    return (told or "it failed").removeprefix("Failed: ")


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr or "it was skipped")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """In a child: follow the test line by line, where that was asked."""
    if ATTRIBUTED not in os.environ or not pyfuncitem.config.pluginmanager.hasplugin("memperf-template"):
        return (yield)
    with attributed() as found:
        outcome = yield
    pyfuncitem.stash[_WHERE] = found
    return outcome


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """In a template: look where its modules are from. Its children, which run often, look at their own only."""
    if session.config.pluginmanager.hasplugin("memperf-template"):
        found = imported_from_elsewhere(session.config.rootpath, sys.modules)
        session.config.stash[_LOOKED_AT] = frozenset(sys.modules), found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In a child: note what was imported from where a side has nothing to import from, and what was asked for."""
    report = yield
    if report.when == "call" and _WHERE in item.stash:
        report.__dict__["memperf_where"] = item.stash[_WHERE].as_json(partial(shown, item.config.rootpath))
    if report.when == "teardown" and item.config.pluginmanager.hasplugin("memperf-template"):
        known, found = item.config.stash[_LOOKED_AT]
        own = imported_from_elsewhere(item.config.rootpath, sys.modules.keys() - known)
        report.__dict__["memperf_elsewhere"] = [*found, *own]
    return report


def shown(tests: Path, file: str) -> str | None:
    """Return a file's path without the folder in which its side has it; None for one of this plugin's or pytest's."""
    tools = os.environ.get(TOOLS)
    if tools and file.startswith(_as_roots([tools])):
        return None
    others = sorted(_as_roots([*filter(None, sys.path)]), key=len, reverse=True)
    for root in (*_as_roots([str(tests)]), *others):
        if file.startswith(root):
            return file.removeprefix(root)
    return file


def imported_from_elsewhere(tests: Path, names: Iterable[str]) -> list[str]:
    """Return the files of modules that are neither the interpreter's, nor installed for it, nor tests, nor tools.

    Nor may there be something installed of the same name, for which the tests' folder stood in: that is the project
    itself, beside its tests.

    Args:
        tests: their folder.
        names: of the modules to look at.
    """
    installed, roots, of_tests = _places(str(tests))
    found = []
    for name in sorted(names):
        file = getattr(sys.modules[name], "__file__", None)
        if not isinstance(file, str) or not os.path.isabs(file):
            continue
        if not file.startswith(roots) or (
            file.startswith(of_tests) and _is_installed(name.partition(".")[0], installed)
        ):
            found.append(f"{name} from {file}")
    return found


@cache
def _places(tests: str) -> tuple[Sequence[str], tuple[str, ...], tuple[str, ...]]:
    """Return where is installed, and the roots of all that a side may import and of its tests; children inherit it."""
    paths = sysconfig.get_paths()
    installed = [paths["purelib"], paths["platlib"], *site.getsitepackages()]
    # Not all below sys.prefix: that may be /usr, with the project in /usr/src.
    own = [*installed, paths["stdlib"], paths["platstdlib"], tests, *filter(None, [os.environ.get(TOOLS)])]
    return installed, _as_roots(own), _as_roots([tests])


def _as_roots(folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(os.path.join(each, "") for folder in folders for each in (folder, os.path.realpath(folder)))


def _is_installed(name: str, folders: Sequence[str]) -> bool:
    """Tell whether a top-level module is installed that is none of tests."""
    return name not in TESTS and PathFinder.find_spec(name, [*folders]) is not None
