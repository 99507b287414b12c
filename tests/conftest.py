"""What the tests share: known work, a plain suite to run the plugin on, and folders of a known kind."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from cyx import hugepages, numa, page_cache
from pytest_memperf.environment.owner import this_process
from pytest_memperf.environment.reservations import Ledger, NotEnough

sys.path.append(str(Path(__file__).parent))

CASES = int(os.environ.get("MEMPERF_FUZZ", "100"))
"""Of each test that takes anything; ``make fuzz`` runs many."""
settings.register_profile("memperf", max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("memperf")

TOUCH = '''
import mmap
import sys

import pytest

from pytest_memperf.isolation.child import Settling


@pytest.fixture(autouse=True)
def own_pages():
    """Touch what is free in the heaps and what a fork left to be copied: each is a fault in the window it is in."""
    Settling([], sys.maxsize)()


def touch(pages):
    """Write to this many pages of fresh memory of 4 KiB pages, and give it back."""
    with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
'''

cases = 0


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the cases counted of those that take anything."""
    functions = {getattr(item, "function", None) for item in session.items if item.get_closest_marker("fuzz")}
    for function in functions:
        if hasattr(function, "hypothesis"):
            function.hypothesis.inner_test = counted(function.hypothesis.inner_test)


def counted(test: Callable[..., None]) -> Callable[..., None]:
    """Return the test of a case as one that counts; a case that it does not assume is none."""

    @functools.wraps(test)
    def count(*arguments: Any, **keywords: Any) -> None:
        global cases
        test(*arguments, **keywords)
        cases += 1

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many they were, where they were asked for."""
    if "MEMPERF_FUZZ" in os.environ:
        terminalreporter.write_line(f"{cases:,} cases of anything")


def placement() -> object:
    """Return where this thread runs and puts its memory."""
    with contextlib.suppress(OSError):  # a container that forbids to ask
        return os.sched_getaffinity(0), numa.get_mempolicy()
    return os.sched_getaffinity(0)


@pytest.fixture(scope="session", autouse=True)
def placement_as_before() -> Iterator[None]:
    """Hold the whole suite to that; tests/leftovers looks at what lies outside of this process."""
    before = placement()
    yield
    assert placement() == before


@pytest.fixture(autouse=True)
def away_from_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have the programs that a test starts import what is installed, not what lies in the working directory."""
    monkeypatch.chdir(tmp_path_factory.getbasetemp())


@pytest.fixture
def no_garbage() -> None:
    """Collect what earlier tests left, so that none of it closes its files or mappings while this one counts them."""
    gc.collect()


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the inner sessions write lines that are not cut off."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(autouse=True)
def only_this_plugin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the sessions inside the tests load no other plugin: they start several times as fast."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # first: it removes PYTEST_ADDOPTS
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p memperf")


@pytest.fixture(autouse=True)
def away_from_xdist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the inner sessions not take themselves for workers of xdist, in which pytest-benchmark does nothing."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)


@pytest.fixture
def every_plugin(only_this_plugin: None, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    """Have them load what is installed after all, in the order of the file.

    Where asynchronous tests run, ``runpytest_subprocess``: under Python 3.10 pytest-asyncio leaves an event loop open.
    """
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:randomly -p no:random_order")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Callable[[str], None]:
    """Return a function that makes a test module of this text, which may call ``touch(pages)``."""

    def make(text: str) -> None:
        pytester.makepyfile(known_work=TOUCH)
        imports = "import asyncio, unittest, pytest\nfrom known_work import own_pages, touch"
        pytester.makepyfile(test_it=f"{imports}\n{text}")

    return make


@pytest.fixture
def one_processor() -> Iterator[None]:
    """Stay on one processor, with all that the test starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return a folder on a disk; skip where there is none."""
    if page_cache.memory_file_system(tmp_path):
        pytest.skip(f"{tmp_path} is in memory: pytest --basetemp=FOLDER on a disk")
    return tmp_path


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """Return a folder on tmpfs."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or page_cache.memory_file_system(shared) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs that can be written")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.fixture
def pool() -> Iterator[Callable[[int, int], None]]:
    """Return a function that reserves so many huge pages of a size for the test; skip where that cannot be done.

    Whoever else reserves some waits until the end of the test, and keeps what is theirs.
    """
    ledger = Ledger()
    with contextlib.ExitStack() as at_the_end:

        def reserve(pages: int, page_size: int) -> None:
            file = hugepages.folder(page_size) / "nr_hugepages"
            if not os.access(file, os.W_OK):
                pytest.skip(f"{file} cannot be written: run as root")
            at_the_end.enter_context(ledger.locked())
            try:
                at_the_end.callback(ledger.give_back, ledger.reserve(pages, page_size, this_process()))
            except NotEnough:
                pytest.skip(f"this machine has no {pages} pages of {page_size} bytes in one piece")

        yield reserve
