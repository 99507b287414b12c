"""The statistics of each library for malloc, over blocks of a known size, and of the machine's free memory."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_memperf.malloc import MALLOCS, preload
from pytest_memperf.metrics import free_memory
from pytest_memperf.metrics.heap import HeapOfMalloc

MALLINFO2 = hasattr(ctypes.CDLL(None), "mallinfo2")
HERE = [
    name
    for name, malloc in MALLOCS.items()
    if preload.lack(malloc) is None and (name != "glibc" or MALLINFO2)  # that is of glibc 2.33
]
NAMES = ("heap_allocated", "heap_active", "heap_resident", "heap_retained", "fragmentation")
BLOCK = 3000
NUMBER = 20_000
SUITE = f"""
import ctypes, pytest

program = ctypes.CDLL(None)
program.malloc.restype, program.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
program.free.argtypes = [ctypes.c_void_p]
program.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

@pytest.mark.memperf_allocators(*{HERE})
def test_it(memperf):
    with memperf.window("before", metrics={NAMES}): pass
    blocks = [program.malloc({BLOCK}) for _ in range({NUMBER})]
    for block in blocks:
        program.memset(block, 1, {BLOCK})
    with memperf.window("held", metrics={NAMES}): pass
    for number, block in enumerate(blocks):
        if number % 10:
            program.free(block)
    with memperf.window("sparse", metrics={NAMES}): pass
"""
Windows = dict[str, dict[str, Any]]
"""Results by library and window."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """Return the result of each window, by library and window."""
    folder = tmp_path_factory.mktemp("heap")
    (folder / "test_it.py").write_text(SUITE)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p memperf"}
    command = [sys.executable, "-m", "pytest", "-q", "--memperf-json=out.json", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    found: Windows = {}
    for each in json.loads((folder / "out.json").read_text())["results"]:
        found.setdefault(each["allocator"], {})[each["window"]] = each
    return found


@pytest.mark.parametrize("name", HERE)
class TestEachLibrary:
    """heap_allocated, heap_active, heap_resident, heap_retained and fragmentation."""

    @staticmethod
    def value(measured: Windows, name: str, window: str, metric: str) -> float:
        """Return a value that the library tells."""
        return float(measured[name][window]["metrics"][metric]["value"])

    def test_allocated_is_what_is_held(self, measured: Windows, name: str) -> None:
        """Each block with at most an eighth more, and 64 KiB that the test itself takes."""

        def allocated(window: str) -> float:
            return self.value(measured, name, window, "heap_allocated")

        held = allocated("held") - allocated("before")
        assert NUMBER * BLOCK <= held <= NUMBER * BLOCK * 1.125 + 2**18 + 16 * NUMBER
        sparse = allocated("sparse") - allocated("before")
        assert sparse == pytest.approx(held / 10, rel=0.1)

    def test_what_is_active_holds_what_is_allocated(self, measured: Windows, name: str) -> None:
        """And fragmentation is what the blocks leave of it: much where nine in ten were freed."""
        for window in ("before", "held", "sparse"):
            allocated, active, share = (
                self.value(measured, name, window, each) for each in ("heap_allocated", "heap_active", "fragmentation")
            )
            assert allocated <= active
            assert share == pytest.approx(1 - allocated / active)
        assert self.value(measured, name, "held", "fragmentation") < 0.25
        assert self.value(measured, name, "sparse", "fragmentation") > 0.4

    def test_resident_is_within_the_processs_memory(self, measured: Windows, name: str) -> None:
        """Or it is said that the library does not count it."""
        held = measured[name]["held"]
        if "heap_resident" in held["unavailable"]:
            assert held["unavailable"]["heap_resident"].startswith(f"{name} does not count")
            return
        resident = self.value(measured, name, "held", "heap_resident")
        assert NUMBER * BLOCK < resident < held["metrics"]["peak_rss_total"]["value"] + 2**20

    def test_retained_is_a_count_or_a_reason(self, measured: Windows, name: str) -> None:
        """Never silently 0."""
        held = measured[name]["held"]
        known = "heap_retained" in held["metrics"]
        assert known != ("heap_retained" in held["unavailable"])


def test_glibcs_figures_are_those_of_malloc_info(tmp_path: Path) -> None:
    """Which sums the arenas by itself, and writes XML."""
    program = ctypes.CDLL(None)
    if not MALLINFO2:
        pytest.skip("the C library has no mallinfo2: use glibc 2.33 or newer")
    program.fopen.restype, program.fclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    program.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
    stream = program.fopen(str(tmp_path / "info").encode(), b"w")
    program.malloc_info(0, stream)
    heap = MALLOCS["glibc"].heap(program)
    program.fclose(stream)
    text = (tmp_path / "info").read_text().rpartition("</heap>")[2]
    totals = {kind: int(size) for kind, size in re.findall(r'<total type="(\w+)" count="\d+" size="(\d+)"/>', text)}
    system = int(re.findall(r'<system type="current" size="(\d+)"/>', text)[0])
    assert heap.active == pytest.approx(system + totals["mmap"], abs=2**18)
    assert heap.allocated == pytest.approx(system + totals["mmap"] - totals["fast"] - totals["rest"], abs=2**18)


def test_what_another_library_serves() -> None:
    """Is unavailable, with its name."""
    from pytest_memperf.metrics import heap

    heap._serving.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(heap, "serving", lambda: "libmine.so")
            reasons = HeapOfMalloc.unavailable()
    finally:
        heap._serving.cache_clear()
    assert set(reasons) == set(NAMES)
    assert set(reasons.values()) == {"malloc is served by libmine.so, whose statistics nobody reads here"}


def test_the_proof_leaves_nothing_in_the_heap(pytester: pytest.Pytester) -> None:
    """Under glibc by name as much is allocated as in any process of its own."""
    if "glibc" not in HERE:
        pytest.skip("the C library has no mallinfo2: use glibc 2.33 or newer")
    pytester.makepyfile("""
        import pytest
        @pytest.mark.memperf(metrics=["heap_allocated", "heap_active"], isolation="process")
        def test_plain(): pass
        @pytest.mark.memperf(metrics=["heap_allocated", "heap_active"])
        @pytest.mark.memperf_allocators("glibc")
        def test_named(): pass
    """)
    pytester.runpytest_subprocess("--memperf-json=out.json").assert_outcomes(passed=2)
    plain, named = json.loads((pytester.path / "out.json").read_text())["results"]
    for metric in ("heap_allocated", "heap_active"):
        values = [each["metrics"][metric]["value"] for each in (plain, named)]
        assert abs(values[0] - values[1]) < 2**19, metric


@pytest.mark.parametrize(
    ("started", "reason"),
    [
        ("import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "2 threads"),
        ("import os; os.environ['PYTHONMALLOC'] = 'malloc'", "PYTHONMALLOC"),
    ],
)
def test_mimallocs_heap_where_it_tells_too_little(started: str, reason: str) -> None:
    """It counts one thread's blocks, and must not be walked while Python allocates there."""
    mimalloc = MALLOCS["mimalloc"]
    lack = preload.lack(mimalloc)
    if lack:
        pytest.skip(lack)
    code = f"{started}\nimport ctypes\nfrom pytest_memperf.malloc import named\n"
    code += "heap = named('mimalloc').heap(ctypes.CDLL(None)); print(heap.allocated, heap.fragmentation, sep='\\n')"
    environment = preload.environment_under(mimalloc, os.environ)
    told = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment).splitlines()
    assert len(told) == 2
    assert all(reason in line for line in told)


class TestFreeMemory:
    """external_fragmentation."""

    def test_a_known_text(self) -> None:
        """Blocks of 4 KiB to 4 MiB: 6 MiB in two zones, of which 2 MiB are in pieces below 2 MiB."""
        text = (
            "Node 0, zone      DMA    256 0 0 0 0 0 0 0 1 0 0\n"  # 256 x 4 KiB, 1 x 1 MiB
            "Node 0, zone   Normal      0 0 0 0 0 0 0 0 0 2 0\n"  # 2 x 2 MiB
        )
        assert free_memory.in_small_pieces(text, 4096) == pytest.approx(2 / 6)

    def test_here(self) -> None:
        """A share: not all of the memory is in small pieces, nor none."""
        probe = free_memory.FreeMemory()
        probe.stop()
        reading = probe.read(None)["external_fragmentation"]  # type: ignore[arg-type]
        if isinstance(reading, str):
            pytest.skip(reading)
        assert 0 < reading.value < 1

    def test_no_such_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Or one of another form: the reason names it."""
        for content in (None, "nothing of the kind\n"):
            file = tmp_path / "buddyinfo"
            if content is not None:
                file.write_text(content)
            monkeypatch.setattr(free_memory.FreeMemory, "file", file)
            (reason,) = free_memory.FreeMemory.unavailable().values()
            assert str(file) in reason
