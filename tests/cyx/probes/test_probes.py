"""The probes by themselves: what they read, and made-up files below another root."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyx.probes import Interval, batches, perf, procfs, smaps
from cyx.probes.sampler import RssSampler

PAGE = mmap.PAGESIZE


def write(root: Path, name: str, text: str) -> Path:
    """Make a file of a made-up /proc/self."""
    (root / "self").mkdir(exist_ok=True)
    (root / "self" / name).write_text(text)
    return root


class TestProcfs:
    """The readers of /proc/self."""

    def test_statm_is_what_psutil_reads(self) -> None:
        """Resident memory, within some pages of what happens in between."""
        assert abs(procfs.statm()[0] - psutil.Process().memory_info().rss) <= 32 * PAGE

    def test_another_root(self, tmp_path: Path) -> None:
        """A saved /proc is read as the real one."""
        assert procfs.statm(write(tmp_path, "statm", "900 300 120 1 0 80 0\n")) == (300 * PAGE, 120 * PAGE)
        write(tmp_path, "status", "Name:\tx\nVmHWM:\t 2048 kB\nVmRSS:\t 1024 kB\nRssAnon:\t 1000 kB\nThreads:\t3\n")
        figures = {"high_water_mark": 2 << 20, "resident": 1 << 20, "anonymous": 1000 << 10, "threads": 3}
        assert procfs.status(tmp_path) == figures

    def test_what_is_no_such_file_is_an_error(self, tmp_path: Path) -> None:
        """Neither a missing file nor an empty one is read as 0."""
        with pytest.raises(FileNotFoundError):
            procfs.statm(tmp_path)
        with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
            procfs.status(write(tmp_path, "status", ""))
        with pytest.raises(LookupError, match="TASK_IO_ACCOUNTING"):
            procfs.block_reads(write(tmp_path, "io", "rchar: 1\n"))

    def test_descriptors_that_a_test_closes_and_takes(self, tmp_path: Path) -> None:
        """The test's own files under the same numbers are neither read for figures nor written to."""
        with Interval():
            pass
        open_files = {entry.name: entry.readlink().name for entry in Path("/proc/self/fd").iterdir() if entry.exists()}
        names = {"statm", "status", "stat", "sched", "clear_refs"}
        own = [int(fd) for fd, name in open_files.items() if name in names]
        assert len(own) == len(names)
        file = tmp_path / "file"
        file.write_text("1 2 3\n")
        with file.open("r+b") as opened:
            for fd in own:
                os.dup2(opened.fileno(), fd)
            with Interval() as interval:
                bytearray(64 * PAGE)
            for fd in own:
                os.close(fd)
        assert file.read_text() == "1 2 3\n"
        assert interval.errors == (0, 0)
        assert abs(interval.resident_at_start - psutil.Process().memory_info().rss) <= 256 * PAGE
        with Interval() as interval:
            pass
        assert interval.errors == (0, 0)

    @settings(deadline=None)
    @given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=400))
    def test_no_text_crashes_the_parsers(self, text: str) -> None:
        """Whatever stands in the files is figures or an OSError."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            root = write(Path(folder), "status", text)
            write(root, "statm", text)
            for reader in (procfs.status, procfs.statm):
                with contextlib.suppress(OSError):
                    assert reader(root)


class TestSmaps:
    """The sums over all mappings."""

    def test_rollup_falls_back_to_smaps(self, tmp_path: Path) -> None:
        """Where there is no rollup, the mappings are added up."""
        write(tmp_path, "smaps", "1-2 rw-p 0 0:0 0\nPss:   4 kB\nVmFlags: rd\n3-4 rw-p 0 0:0 0\nPss:   8 kB\n")
        assert smaps.rollup(tmp_path) == {"Pss": 12 * 1024}


class TestBatches:
    """What the CPUs hold back."""

    def test_the_parts_are_known(self) -> None:
        """The numbers of the pairs are below a batch; shared memory that did not move is not said to have."""
        batches.pending()
        found = batches.pending()
        assert found is not None
        _, parts, moved = found
        limit = (batches.batch_size() - 1) * (os.cpu_count() or 1)
        assert all(abs(part) <= limit for part in parts)
        assert moved & 4 == 0

    def test_shared_memory_that_came_and_went_is_noticed(self) -> None:
        """Its number is not what was left."""
        batches.pending()
        with mmap.mmap(-1, 1000 * PAGE) as memory:
            for place in range(0, 1000 * PAGE, PAGE):
                memory[place] = 1
        found = batches.pending()
        assert found is not None
        assert found[2] & 4

    def test_a_fork_finds_them_too(self) -> None:
        """The kernel maps code anew for it, which is not taken for figures that are not exact."""
        program = (
            "import os\nfrom cyx.probes import batches\nbatches.pending()\n"
            "if (child := os.fork()) == 0: os._exit(0 if batches.pending() is not None else 1)\n"
            "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
        )  # in a process of its own: a fork leaves pages of this one to be copied in later windows
        subprocess.run([sys.executable, "-c", program], check=True)

    def test_few_descriptors_are_enough(self) -> None:
        """Where a limit forbids high descriptors, low ones are taken."""
        program = (
            "import resource\nfrom cyx.probes import batches\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
            "raise SystemExit(batches.pending() is None)"
        )
        subprocess.run([sys.executable, "-c", program], check=True)

    def test_nothing_stays_resident(self) -> None:
        """Finding out leaves no page behind."""
        batches.pending()
        before = procfs.statm()
        batches.pending()
        assert procfs.statm() == before


class TestDrained:
    """Intervals that know what is pending before they start."""

    PROGRAM = """
import mmap, os
from cyx.probes import Interval

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

def work(pages, flags):
    with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=flags) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for place in range(0, pages * mmap.PAGESIZE, mmap.PAGESIZE):
            memory[place] = 1

if child := os.fork():  # an exec leaves the parent's ru_maxrss, a fork does not
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
SHARED = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
Interval().call(work, (1, PRIVATE))  # copies what the fork shares
for pages, flags in (1, PRIVATE), (7, PRIVATE), (90, PRIVATE), (3, SHARED):
    interval = Interval()
    interval.drained = True
    interval.call(work, (pages, flags))
    low, high = (bound // mmap.PAGESIZE for bound in interval.peak_bounds)
    print(pages, low, high, *interval.moved[0])
"""

    @pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="the machine has one CPU, on which nothing can be charged")
    def test_a_single_page_shows(self) -> None:
        """Of private memory and of shared memory, which is named; within a batch where one type moved."""
        alone, with_shared = ["anonymous"], ["anonymous", "shared", "memory"]
        named = []
        for _ in range(5):  # in some processes a page of shared memory moves that is not the program's
            rows = [line.split() for line in self._run().splitlines()]
            for pages, low, high, *moved in rows:
                assert int(low) <= int(pages) <= int(high)
                assert moved in (alone, with_shared)
                assert int(high) - int(low) <= batches.batch_size() * (1 if moved == alone else 3)
            named.append([moved for _, _, _, *moved in rows])
        assert [alone, alone, alone, with_shared] in named
        assert {tuple(types[-1]) for types in named} == {tuple(with_shared)}

    def _run(self) -> str:
        return subprocess.check_output([sys.executable, "-c", self.PROGRAM], text=True)


class TestSampler:
    """The thread that samples."""

    def test_it_sees_a_short_peak(self) -> None:
        """A block that is there for 20 ms is in the samples, and gone after."""
        sampler = RssSampler(200e-6)
        with sampler, mmap.mmap(-1, 8 << 20) as memory:
            for place in range(0, 8 << 20, PAGE):
                memory[place] = 1
            time.sleep(0.02)
        resident = [row[1] for row in sampler.samples()]
        assert max(resident) - resident[0] >= 7 << 20

    def test_what_lies_outside_an_interval_is_left_out(self) -> None:
        """Of two blocks the larger was there before it."""
        interval = Interval()
        with RssSampler(200e-6) as sampler:
            for size in 16 << 20, 4 << 20:
                with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
                    if size == 4 << 20:
                        interval.start()
                    memory.write(bytes(1) * size)
                    time.sleep(0.02)
            interval.stop()
        largest = sampler.largest_within(interval) - interval.resident_at_start
        low, high = interval.peak_bounds
        assert high >= largest >= low - (1 << 20)
        assert largest < 12 << 20

    def test_the_period_starts_anew(self) -> None:
        """A full room doubles it until the end, and not beyond."""
        sampler = RssSampler(100e-6)
        with sampler:
            while sampler.period < 200e-6:
                time.sleep(0.1)
        with sampler:
            assert sampler.period == 100e-6

    def test_it_causes_no_fault(self) -> None:
        """A window beside a running sampler reads 0."""
        Interval().call(int)
        with RssSampler(1e-3):
            interval = Interval()
            interval.call(time.sleep, (0.02,))
        assert interval.minor_faults == 0

    @pytest.mark.parametrize("period", [0, 99e-6, 0.11, float("nan")])
    def test_periods_have_limits(self, period: float) -> None:
        """100 us to 100 ms."""
        with pytest.raises(ValueError, match="give"):
            RssSampler(period)


class TestPerf:
    """The witness."""

    @pytest.mark.parametrize(
        ("error", "paranoid", "words"),
        [
            (errno.EACCES, "4", "superuser"),
            (errno.EACCES, "2", "paranoid"),
            (errno.EPERM, "2", "seccomp"),
            (errno.EPERM, None, "seccomp"),
            (errno.ENOENT, "2", "no such perf event"),
            (errno.ENOSYS, None, "CONFIG_PERF_EVENTS"),
            (errno.EMFILE, "2", "open files"),
            (errno.EIO, "2", "fails"),
        ],
    )
    def test_each_error_is_a_reason(self, error: int, paranoid: str | None, words: str) -> None:
        """In words that name the mend."""
        assert words in perf.reason_of(error, paranoid)

    def test_it_counts_what_getrusage_counts(self) -> None:
        """1,000 pages, both."""
        if reason := perf.unavailable():
            pytest.skip(reason)
        counter, interval = perf.FaultCounter(), Interval()
        with mmap.mmap(-1, 1000 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            memory.madvise(mmap.MADV_NOHUGEPAGE)
            places = range(0, 1000 * PAGE, PAGE)
            interval.start()
            counter.start()
            for place in places:
                memory[place] = 1
            counter.stop()
            interval.stop()
        assert counter.minor_faults == interval.minor_faults
