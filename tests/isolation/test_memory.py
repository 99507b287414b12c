"""The memory of a child: which pages of its template become its own, which stay, and what results say of these."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., pytest.RunResult]
Results = Callable[[], list[dict[str, Any]]]

CGROUPS = Path("/sys/fs/cgroup")


def test_huge_pages_stay_huge(isolated: Run, results: Results) -> None:
    """What lies on transparent huge pages in the template does so in the child, and writing to it costs no fault."""
    result = isolated(
        """
import mmap
SIZE = 16 << 20
def huge():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("AnonHugePages:"))
DATA = b"x" * SIZE
region = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
region.madvise(mmap.MADV_HUGEPAGE)
region[:] = DATA
HUGE = huge()
if HUGE < 8 << 10:
    pytest.skip("no transparent huge pages here", allow_module_level=True)
def write(): region[:] = DATA
def test_it(memperf):
    memperf(write)
    assert huge() >= HUGE
    assert region[:] == DATA
""",
        "--memperf-json=out.json",
    )
    if result.parseoutcomes().get("skipped"):
        pytest.skip("this machine gives no transparent huge pages")
    result.assert_outcomes(passed=1)
    faults = results()[0]["metrics"]["minor_faults"]
    assert (faults["value"], faults["uncertainty"]) == (0, 0)


HUGE_DATA = """
import mmap
SIZE = 48 << 20
region = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
region.madvise(mmap.MADV_HUGEPAGE)
region[:] = bytes(SIZE)
with open("/proc/self/smaps_rollup") as file:
    if next(int(line.split()[1]) for line in file if line.startswith("AnonHugePages:")) < 44 << 10:
        pytest.skip("no transparent huge pages here", allow_module_level=True)
def write():
    for place in range(0, SIZE, mmap.PAGESIZE): region[place] = 1
def test_it(memperf): memperf(write)
"""


def test_huge_pages_count_once(isolated: Run, results: Results) -> None:
    """What they take of --memperf-cow-limit they take once: a limit above all pages leaves none of them shared."""
    result = isolated(HUGE_DATA, "--memperf-cow-limit=90 MiB", "--memperf-json=out.json")
    if result.parseoutcomes().get("skipped"):
        pytest.skip("this machine gives no transparent huge pages")
    (only,) = results()
    faults = only["metrics"]["minor_faults"]
    assert (faults["value"], faults["uncertainty"]) == (0, 0)
    assert "stayed shared" not in str(only.get("notes"))


SHARED_DATA = """
SIZE = 12 << 20
data = bytearray(b"x" * SIZE)
other = b"y" * SIZE
def write(): memoryview(data)[:] = other
def test_it(memperf): memperf(write)
"""


@pytest.mark.parametrize(
    "forks",
    [
        "os.waitpid(os.fork() or os._exit(0), 0)",
        "os.fork() or time.sleep(1) or os._exit(0)",
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.fork() or os._exit(0); time.sleep(0.2)",
    ],
    ids=["and waits", "and goes on", "and never knows"],
)
def test_pages_are_its_own_where_set_up_forks(isolated: Run, results: Results, forks: str) -> None:
    """What set-up has forked shares all pages again: they are given back before the window."""
    text = SHARED_DATA.replace(
        "def test_it(memperf)", f"@pytest.fixture\ndef forked(): {forks}\ndef test_it(forked, memperf)"
    )
    isolated(text, "--memperf-json=out.json").assert_outcomes(passed=1)
    faults = results()[0]["metrics"]["minor_faults"]
    assert (faults["value"], faults["uncertainty"]) == (0, 0)


def test_limit_of_what_is_copied(isolated: Run, results: Results) -> None:
    """Above --memperf-cow-limit pages stay shared: the result says how many, its uncertainty covers their faults."""
    isolated(SHARED_DATA, "--memperf-cow-limit=8 MiB", "--memperf-json=out.json").assert_outcomes(passed=1)
    (result,) = results()
    faults = result["metrics"]["minor_faults"]
    page = os.sysconf("SC_PAGE_SIZE")
    assert faults["value"] >= (12 << 20) // page
    assert faults["value"] - faults["uncertainty"] <= 0
    left = int(faults["uncertainty"]) * page >> 20
    assert left >= 24
    assert f"{left} MiB stayed shared with the template (--memperf-cow-limit), " in str(result["notes"])


def test_below_the_limit_all_is_copied(isolated: Run, results: Results) -> None:
    """With the limit as it is, the same test costs nothing and has nothing to say."""
    isolated(SHARED_DATA, "--memperf-json=out.json").assert_outcomes(passed=1)
    (result,) = results()
    faults = result["metrics"]["minor_faults"]
    assert (faults["value"], faults["uncertainty"]) == (0, 0)
    assert "stayed shared" not in str(result.get("notes"))


def test_memory_that_cannot_be_copied_is_named(isolated: Run, results: Results) -> None:
    """Shared and huge-page mappings, and those that a fork lacks or finds empty, are listed with their sizes."""
    isolated(
        """
import mmap
KIB = 1024
NORESERVE, HUGETLB, WIPEONFORK = 0x4000, 0x40000, 18
private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
shared = mmap.mmap(-1, 256 * KIB)
absent = mmap.mmap(-1, 64 * KIB, flags=private)
absent.madvise(mmap.MADV_DONTFORK)
empty = mmap.mmap(-1, 128 * KIB, flags=private)
empty.madvise(WIPEONFORK)
empty[:3] = b"abc"
try: huge = mmap.mmap(-1, 2048 * KIB, flags=private | HUGETLB | NORESERVE)
except OSError: huge = None
def test_it(record_property):
    record_property("huge", huge is not None)
    assert empty[:3] == bytes(3)
    assert shared[:3] == bytes(3)
""",
        "--memperf-json=out.json",
    ).assert_outcomes(passed=1)
    (note,) = [note for note in results()[0]["notes"] if note.startswith("memory that a fork does not get as its own")]
    for words in ("DONTFORK 64 KiB", "WIPEONFORK 128 KiB", "shared 256 KiB"):
        assert words in note
    if "HugePages_Total" in Path("/proc/meminfo").read_text():
        assert "hugetlb 2048 KiB" in note


FORBID_PERSONALITY = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
NUMBER = {"x86_64": 135, "aarch64": 92}[os.uname().machine]
code = b"".join(struct.pack("HBBI", *row) for row in (
    (0x20, 0, 0, 0), (0x15, 0, 1, NUMBER), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(4, code))) == 0
os.execv(sys.executable, [sys.executable, "-m", "pytest", "--memperf-json=out.json"])
"""


def test_addresses_that_cannot_be_fixed_are_a_note(isolated: Run, results: Results) -> None:
    """Where personality(2) is refused, as in many containers, tests run all the same and their results say it."""
    isolated("def test_it(): pass", "--memperf-json=out.json").assert_outcomes(passed=1)
    assert "personality" not in str(results()[0].get("notes"))
    done = subprocess.run([sys.executable, "-c", FORBID_PERSONALITY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = results()
    assert result["isolation"] == "process"
    assert (
        "the address layout could not be fixed (personality(2) is forbidden here): counts may vary" in result["notes"]
    )


@pytest.fixture
def small_group() -> Any:
    """A control group of 64 MiB, of this test alone."""
    group = CGROUPS / f"memperf-test-{os.getpid()}"
    try:
        if "memory" not in (CGROUPS / "cgroup.subtree_control").read_text().split():
            pytest.skip("the memory controller of cgroup v2 is not in use")
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        (group / "memory.max").write_text(str(64 << 20))
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0")
        yield group
    finally:
        group.rmdir()


def test_the_kernel_s_choice_is_named(isolated: Run, small_group: Path) -> None:
    """A child that the kernel kills for want of memory is told from one that somebody else killed."""
    result = isolated(
        f"""
def test_hungry():
    open("{small_group}/cgroup.procs", "w").write(str(os.getpid()))
    bytearray(b"x") * (256 << 20)
def test_next(): pass
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["the child was killed by SIGKILL: it was out of memory, and the kernel chose it"])
