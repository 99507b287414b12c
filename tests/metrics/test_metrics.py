"""Each metric reads known work, against a witness that is not its own source where there is one."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cyx.probes import batches, smaps
from pytest_memperf.fixtures.hugepage_region import HugePageRegions
from pytest_memperf.measure.settings import Settings
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import BUILT_IN, Registry
from pytest_memperf.metrics.shares import Shares
from pytest_memperf.model.metric import Measured

PAGE = mmap.PAGESIZE
MIB = 1 << 20
REGISTRY = Registry(BUILT_IN)


def measure(name: str, function: Callable[..., Any], *arguments: Any, **settings: Any) -> Measured:
    """Return what this metric comes to for the call; fails where it is unavailable."""
    window = Window("test", Settings(metrics=(name,), requested=(name,), **settings), REGISTRY)
    window.repeat(function, arguments, {})
    assert name not in window.unavailable(), window.unavailable()
    return window.measured()[name]


def anonymous(size: int) -> mmap.mmap:
    """Return private anonymous memory of small pages."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def touch(memory: mmap.mmap) -> None:
    """Write to every page."""
    for place in range(0, len(memory), PAGE):
        memory[place] = 1


def read_through(memory: mmap.mmap) -> None:
    """Read from every page."""
    for place in range(0, len(memory), PAGE):
        memory[place]


@pytest.fixture
def kept() -> Iterator[list[Any]]:
    """A place for what a window leaves behind."""
    things: list[Any] = []
    yield things
    for thing in things:
        thing.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of 1 MiB in the page cache."""
    path = tmp_path / "file"
    path.write_bytes(bytes(MIB))
    return path


class TestFaults:
    """minor_faults and major_faults."""

    @pytest.mark.parametrize("pages", [1, 7, 1000])
    def test_minor_faults_are_the_pages_written(self, pages: int) -> None:
        """N pages of fresh memory are N faults."""
        measure("minor_faults", touch, anonymous(PAGE))
        assert measure("minor_faults", touch, anonymous(pages * PAGE)).value == pages

    def test_minor_faults_of_children_on_demand(self) -> None:
        """A reaped child counts with include_children only."""
        call = (subprocess.run, [sys.executable, "-c", "pass"])
        alone = measure("minor_faults", *call).value
        assert measure("minor_faults", *call, include_children=True).value > alone + 100

    def test_major_faults_need_storage(self) -> None:
        """Anonymous memory causes none."""
        assert measure("major_faults", touch, anonymous(MIB)).value == 0


class TestResident:
    """peak_rss, retained_rss and peak_rss_total."""

    @pytest.mark.parametrize("flags", [mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS])
    @pytest.mark.parametrize("size", [MIB, 16 * MIB])
    def test_peak_rss_of_memory_that_is_given_back(self, size: int, flags: int) -> None:
        """The interval holds the block, private or shared, though nothing is left of it."""

        def work() -> None:
            with mmap.mmap(-1, size, flags=flags) as memory:
                touch(memory)

        work()
        peak = measure("peak_rss", work)
        assert peak.value - peak.uncertainty <= size + 16 * PAGE
        assert size <= peak.value + peak.uncertainty
        assert peak.uncertainty <= 3 * os.cpu_count() * batches.batch_size() * PAGE

    def test_peak_rss_of_a_file_that_is_unmapped(self, file: Path) -> None:
        """File pages count as well."""

        def work() -> None:
            with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as memory:
                read_through(memory)

        work()
        peak = measure("peak_rss", work)
        assert peak.value - peak.uncertainty <= MIB + 16 * PAGE
        assert peak.value + peak.uncertainty >= MIB

    def test_retained_rss_is_what_stays(self, kept: list[Any]) -> None:
        """A block that is kept is retained to the page, but for the interpreter's own few."""

        def work() -> None:
            kept.append(anonymous(4 * MIB))
            touch(kept[-1])

        work()
        assert abs(measure("retained_rss", work).value - 4 * MIB) <= 8 * PAGE

    def test_peak_rss_total_is_not_below_what_is_resident(self) -> None:
        """The total holds the process itself."""
        resident = psutil.Process().memory_info().rss
        total = measure("peak_rss_total", touch, anonymous(MIB))
        assert total.value + total.uncertainty >= resident


class TestWorkingSet:
    """working_set and working_set_file."""

    @pytest.mark.parametrize("mib", [1, 8, 32])
    def test_working_set_of_hot_memory(self, mib: int) -> None:
        """Memory that is resident and hot before the window is seen when it is touched in it."""
        memory = anonymous(mib * MIB)
        touch(memory)
        touch(memory)
        measured = measure("working_set", touch, memory)
        assert abs(measured.value - mib * MIB) <= mib * MIB / 100 + 128 * 1024

    def test_working_set_leaves_out_what_is_not_touched(self) -> None:
        """Resident memory by itself is not in it."""
        memory = anonymous(32 * MIB)
        touch(memory)
        assert measure("working_set", int).value < MIB

    @pytest.mark.parametrize(
        ("begin", "size"), [(0, 64 * MIB), (MIB, 33 * MIB + PAGE), (5 * MIB + PAGE, PAGE), (3 * MIB, 2 * MIB)]
    )
    def test_working_set_of_huge_pages(self, begin: int, size: int) -> None:
        """What is touched in one go is within 2 MiB, wherever in the huge pages it begins and ends."""
        memory = mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
        before = smaps.rollup()["AnonHugePages"]
        touch(memory)
        if smaps.rollup()["AnonHugePages"] - before < 60 * MIB:
            pytest.skip("the kernel gives no transparent huge pages, or has none left")
        touch(memory)
        measured = measure("working_set", lambda: sum(memory[place] for place in range(begin, begin + size, PAGE)))
        assert abs(measured.value - size) <= measured.uncertainty <= 2 * MIB + 512 * 1024

    def test_working_set_file_is_an_upper_bound(self, file: Path) -> None:
        """All pages of a file that is read are within it."""
        with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            measured = measure("working_set_file", read_through, memory)
        assert measured.value >= MIB
        assert measured.uncertainty == measured.value


class TestTotals:
    """What is resident and mapped at the end, against psutil and the kernel's other files."""

    @pytest.mark.parametrize("name", ["rss_anon", "rss_file", "rss_shmem"])
    def test_resident_totals_are_as_exact_as_the_kernel(self, name: str) -> None:
        """Uncertain by what the CPUs hold back, where the kernel shows sums without it."""
        assert measure(name, int).uncertainty == batches.counter_error()

    def test_the_page_tables_agree_within_the_uncertainty(self) -> None:
        """As a walk of them by smaps_rollup finds it."""
        measured = measure("rss_anon", int)
        assert abs(measured.value - smaps.rollup()["Anonymous"]) <= measured.uncertainty + 64 * PAGE

    def test_rss_anon_holds_a_block(self, kept: list[Any]) -> None:
        """Anonymous memory that is kept adds its size."""
        before = measure("rss_anon", int).value
        kept.append(anonymous(8 * MIB))
        touch(kept[-1])
        assert abs(measure("rss_anon", int).value - before - 8 * MIB) <= 64 * PAGE

    def test_rss_file_holds_a_file(self, kept: list[Any], file: Path) -> None:
        """A mapped file adds what was read of it."""
        before = measure("rss_file", int).value
        with open(file, "rb") as opened:
            kept.append(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        read_through(kept[-1])
        assert abs(measure("rss_file", int).value - before - MIB) <= 64 * PAGE

    def test_rss_shmem_holds_shared_memory(self, kept: list[Any]) -> None:
        """Shared anonymous memory adds its size."""
        before = measure("rss_shmem", int).value
        kept.append(mmap.mmap(-1, 2 * MIB))
        touch(kept[-1])
        assert measure("rss_shmem", int).value - before == 2 * MIB

    @pytest.mark.parametrize("name", ["pss", "uss"])
    def test_pss_and_uss(self, name: str, kept: list[Any]) -> None:
        """Both read what psutil reads."""
        witness = getattr(psutil.Process().memory_full_info(), name)
        assert abs(measure(name, int).value - witness) <= 2 * MIB

    def test_pss_is_not_below_uss(self) -> None:
        """Shared pages count in part in the one, not at all in the other."""
        assert measure("pss", int).value >= measure("uss", int).value - 16 * PAGE

    @pytest.mark.parametrize("kind", ["thp", "none", "hugetlb"])
    def test_huge_coverage(self, kind: str, hugepage_region: HugePageRegions) -> None:
        """It is what the mappings themselves say, added up, with memory on huge pages and without."""
        size = 64 * MIB
        region = hugepage_region(size, kind, reserve=True)
        measured = measure("huge_coverage", int).value
        huge = whole = 0
        for line in Path("/proc/self/smaps").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("AnonHugePages", "Private_Hugetlb"):
                huge += int(rest.split()[0]) * 1024
            if name in ("Anonymous", "Private_Hugetlb"):
                whole += int(rest.split()[0]) * 1024

        assert huge >= region.huge == (0 if kind == "none" else size)
        assert measured == pytest.approx(huge / whole, abs=0.02)

    @pytest.mark.parametrize(("balancing", "hidden"), [("1", 4 * MIB), ("0", 0)])
    def test_huge_pages_that_the_kernel_leaves_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balancing: str, hidden: int
    ) -> None:
        """Where it balances nodes: what numa_maps has more is on huge pages, and may be shared with a fork."""
        folders = tmp_path / "self", tmp_path / "sys/kernel"
        for folder in folders:
            folder.mkdir(parents=True)
        folders[0].joinpath("smaps_rollup").write_text(
            "Rss: 10240 kB\nPss: 9216 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 8192 kB\n"
            "Anonymous: 8192 kB\nAnonHugePages: 4096 kB\n"
        )
        folders[0].joinpath("numa_maps").write_text(
            "7f0000000000 default anon=3072 dirty=3072 N0=2048 N1=1024 kernelpagesize_kB=4\n"
            "7f0010000000 default file=/anon_hugepage huge anon=2 N1=2 kernelpagesize_kB=2048\n"
            "7f0020000000 default file=/usr/bin/python mapped=600 N0=600 kernelpagesize_kB=4\n"
        )
        folders[1].joinpath("numa_balancing").write_text(balancing + "\n")
        monkeypatch.setattr(Shares, "root", tmp_path)
        pss, uss, coverage = (measure(name, int) for name in ("pss", "uss", "huge_coverage"))

        assert (pss.value, pss.uncertainty) == (9 * MIB + hidden, hidden)
        assert (uss.value, uss.uncertainty) == (8 * MIB + hidden, hidden)
        assert coverage.value == (4 * MIB + hidden) / (8 * MIB + hidden)

    def test_uss_holds_a_private_block(self, kept: list[Any]) -> None:
        """Private memory adds its size."""
        before = measure("uss", int).value
        kept.append(anonymous(8 * MIB))
        touch(kept[-1])
        assert abs(measure("uss", int).value - before - 8 * MIB) <= 64 * PAGE

    def test_page_tables_grow_with_what_is_mapped(self, kept: list[Any]) -> None:
        """A page in each of 64 ranges of 2 MiB needs as many tables."""
        before = measure("page_tables", int).value
        kept.append(anonymous(128 * MIB))
        for place in range(0, 128 * MIB, 2 * MIB):
            kept[-1][place] = 1
        assert measure("page_tables", int).value >= before + 60 * PAGE

    def test_swapped_is_what_the_kernel_says(self) -> None:
        """As VmSwap has it."""
        text = Path("/proc/self/status").read_text()
        swapped = int(text.partition("VmSwap:")[2].split()[0]) * 1024
        assert measure("swapped", int).value == swapped

    def test_locked_is_what_mlock_locks(self, kept: list[Any]) -> None:
        """Locked memory adds its size."""
        import ctypes

        kept.append(anonymous(16 * PAGE))
        touch(kept[-1])
        buffer = (ctypes.c_char * len(kept[-1])).from_buffer(kept[-1])
        libc = ctypes.CDLL(None, use_errno=True)
        before = measure("locked", int).value
        assert libc.mlock(ctypes.byref(buffer), ctypes.c_size_t(16 * PAGE)) == 0
        try:
            assert measure("locked", int).value == before + 16 * PAGE
        finally:
            libc.munlock(ctypes.byref(buffer), ctypes.c_size_t(16 * PAGE))
            del buffer


class TestClocks:
    """wall_time, cpu_time and throughput."""

    def test_wall_time_holds_the_waiting(self) -> None:
        """Sleeping takes time."""
        assert measure("wall_time", time.sleep, 0.01).value >= 0.01

    def test_cpu_time_leaves_the_waiting_out(self) -> None:
        """Sleeping takes next to no processor."""
        assert measure("cpu_time", time.sleep, 0.05).value < 0.04

    def test_throughput_is_bytes_over_time(self) -> None:
        """A MiB in at least 10 ms is at most 100 MiB/s."""
        assert 0 < measure("throughput", time.sleep, 0.01, bytes=MIB).value <= 100 * MIB


class TestLeftovers:
    """open_files, threads and live_objects."""

    @pytest.mark.parametrize("name", ["open_files", "threads", "live_objects"])
    def test_an_empty_window_leaves_nothing(self, name: str) -> None:
        """The plugin's own are not counted."""
        measured = measure(name, int)
        assert abs(measured.value) <= measured.uncertainty

    def test_open_files_counts_descriptors(self, kept: list[Any]) -> None:
        """Files and sockets that stay open."""

        def work() -> None:
            kept.append(open("/proc/self/statm"))  # noqa: SIM115
            kept.extend(socket.socketpair())

        assert measure("open_files", work).value == 3

    def test_threads_counts_those_alive(self) -> None:
        """A thread that is still there at the end."""
        leave = threading.Event()
        threads: list[threading.Thread] = []

        def work() -> None:
            threads.append(threading.Thread(target=leave.wait))
            threads[-1].start()

        try:
            assert measure("threads", work).value == 1
        finally:
            leave.set()
            threads[0].join()

    def test_live_objects_counts_objects(self, kept: list[Any]) -> None:
        """Two thousand plain objects in a list."""
        alive: list[object] = []

        def work() -> None:
            alive.extend([object() for _ in range(2000)])

        measured = measure("live_objects", work)
        assert abs(measured.value - 2000) <= measured.uncertainty


class TestBlockReads:
    """block_read_bytes."""

    def test_block_read_bytes_of_a_cold_file(self, tmp_path: Path) -> None:
        """As many bytes as the file has, and none when it is warm."""
        path = tmp_path / "cold"
        path.write_bytes(os.urandom(MIB))
        with open(path, "rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            cold = measure("block_read_bytes", opened.read)
            if cold.value == 0:
                pytest.skip("the temporary folder is in memory")
            opened.seek(0)
            warm = measure("block_read_bytes", opened.read)
        assert abs(cold.value - MIB) <= cold.uncertainty
        assert (warm.value, warm.uncertainty) == (0, 0)


class TestRunDelay:
    """run_delay."""

    def test_a_thread_that_waits_for_a_processor(self) -> None:
        """Two on one processor have half each; a thread that sleeps waits for none."""
        from pytest_memperf.metrics.probe import Observation
        from pytest_memperf.metrics.run_delay import RunDelay

        def delay(work: Callable[[], object]) -> float:
            probe = RunDelay()
            probe.start()
            work()
            probe.stop()
            reading = probe.read(Observation(None))["run_delay"]  # type: ignore[arg-type]
            return float(reading.value)  # type: ignore[union-attr]

        def half_a_second() -> None:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                pass

        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(processors)})
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            waited = delay(half_a_second)
        finally:
            other.kill()
            other.wait()
            os.sched_setaffinity(0, processors)
        assert waited > 4 * delay(lambda: time.sleep(0.2))

    def test_a_kernel_that_does_not_tell(self, tmp_path: Path) -> None:
        """The reason names the mend."""
        from pytest_memperf.metrics.run_delay import RunDelay

        class Silent(RunDelay):
            root = tmp_path

        assert "SCHED_INFO" in Silent.unavailable()["run_delay"]
        assert RunDelay.unavailable() == {}


class TestInterference:
    """interference, and the notes."""

    def test_interference_goes_with_what_costs(self) -> None:
        """It is taken where a metric is that is not always taken, and not else."""
        registry = Registry(BUILT_IN)
        names = {probe.__name__ for probe in registry.probes_for(("pss",)).acting}
        assert "Interference" in names
        assert "Interference" not in {probe.__name__ for probe in registry.probes_for(("minor_faults",)).acting}

    def test_interference_is_named_in_the_notes(self, tmp_path: Path) -> None:
        """Refused huge pages and stolen ticks are counted and put in words."""
        from pytest_memperf.metrics.interference import Interference, spoiling
        from pytest_memperf.metrics.probe import Observation

        class Saved(Interference):
            root = tmp_path

        probe = Saved()
        for fallbacks, steal in ((5, 70), (8, 71)):
            (tmp_path / "vmstat").write_text(f"nr_free_pages 1\nthp_fault_fallback {fallbacks}\n")
            (tmp_path / "stat").write_text(f"cpu  1 2 3 4 5 6 7 {steal} 9 0\ncpu0 1 2\n")
            probe.start() if fallbacks == 5 else probe.stop()
        assert probe.read(Observation(None))["interference"].value == 4  # type: ignore[arg-type, union-attr]
        assert probe.notes == (
            "interference: huge pages were refused (3)",
            "interference: ticks of the processor went to other machines (1)",
        )
        assert spoiling([*probe.notes, "another note"]) == ["huge pages were refused (3)"]
