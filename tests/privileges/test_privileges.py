"""Without privileges everything that can be measured is, the rest is unavailable with its reason, and nothing crashes.

Each situation is really made: another user, namespaces of its own with /proc mounted otherwise, a seccomp filter.
"""

from __future__ import annotations

import json
import mmap
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from situations import AS_NOBODY, in_namespaces, made_by_root, needs, reachable

from pytest_memperf.metrics.malloc_calls import MallocCalls
from pytest_memperf.metrics.system_calls import SystemCalls

SUITE = """
import mmap
import pytest
from pytest_memperf.metrics import BUILT_IN, Registry

ALL = [metric.name for metric in Registry(BUILT_IN) if not metric.needs_bytes]

@pytest.mark.memperf(metrics=ALL, max_minor_faults=1_000_000)
def test_it():
    with mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for place in range(0, 1 << 20, mmap.PAGESIZE):
            memory[place] = 1
"""
UNTOLD = {
    **dict.fromkeys(("heap_resident", "heap_retained"), "glibc does not count what "),
    **dict.fromkeys([metric.name for metric in MallocCalls.metrics], "malloc is counted only in a process that "),
}
"""What no user is told of this process, and how the reason begins."""
SIZES = [64 << 20, 16 << 20]
PEAKS = f"""
import mmap, time
import pytest

@pytest.mark.parametrize("size", {SIZES})
@pytest.mark.memperf(max_peak_rss="1 GiB")
def test_it(size):
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for place in range(0, size, mmap.PAGESIZE):
            memory[place] = 1
        time.sleep(0.05)
"""

pytestmark = made_by_root


def run(folder: Path, wrapper: list[str]) -> dict[str, Any]:
    """Run the suite within a wrapper command and return its one result, without what nobody is told."""
    (result,) = results_of(folder, wrapper, SUITE)
    for name, reason in UNTOLD.items():
        assert re.match(rf"{reason}|.*mount /proc", result["unavailable"].pop(name))
    for metric in SystemCalls.metrics:
        assert any(word in result["unavailable"].pop(metric.name, "tracefs") for word in ("tracefs", "perf", "/proc"))
    return result


def results_of(folder: Path, wrapper: list[str], suite: str) -> list[dict[str, Any]]:
    """Run a suite within a wrapper command and return its results."""
    folder.chmod(0o777)
    (folder / "test_it.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--memperf-json=out.json", "test_it.py"]
    done = subprocess.run([*wrapper, *command], cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "out.json").read_text())["results"]  # type: ignore[no-any-return]


class TestEverythingIsMeasured:
    """An ordinary user lacks nothing."""

    @pytest.mark.parametrize(
        "wrapper",
        [
            [],
            ["unshare", "--user", "--map-root-user"],
            in_namespaces("mount -t proc -o hidepid=2 proc /proc"),
        ],
        ids=["root", "user namespace", "hidepid"],
    )
    def test_all_metrics_are_there(self, wrapper: list[str], folder: Path) -> None:
        """Every metric has a value."""
        needs(wrapper)
        result = run(folder, wrapper)
        assert result["unavailable"] == {}
        assert result["metrics"]["minor_faults"]["value"] >= 256

    def test_nobody(self, folder: Path) -> None:
        """The user nobody measures everything too, with hidepid as well."""
        wrapper = [*in_namespaces(f"mount -t proc -o hidepid=2 proc /proc\n{reachable()}"), *AS_NOBODY]
        needs(wrapper)
        assert run(folder, wrapper)["unavailable"] == {}


class TestTheRestHasAReason:
    """What the mounts take away."""

    def test_read_only_proc(self, folder: Path) -> None:
        """Nothing can be reset: faults, times, totals and bounds of peaks are measured; sets say why not."""
        wrapper = in_namespaces("mount -t proc -o ro proc /proc")
        needs(wrapper)
        result = run(folder, wrapper)
        assert set(result["unavailable"]) == {"working_set", "working_set_file"}
        assert all("clear_refs" in reason or "Read-only" in reason for reason in result["unavailable"].values())
        peak = result["metrics"]["peak_rss"]
        assert abs(peak["value"] - (1 << 20)) <= peak["uncertainty"] + 64 * mmap.PAGESIZE
        assert result["metrics"]["minor_faults"]["value"] >= 256
        assert "retained_rss" in result["metrics"]

    def test_peaks_are_bounded_under_read_only_proc(self, folder: Path) -> None:
        """By an earlier peak from above, by samples from below, and closely where the window is the highest so far."""
        wrapper = in_namespaces("mount -t proc -o ro proc /proc")
        needs(wrapper)
        rows = [result["metrics"]["peak_rss"] for result in results_of(folder, wrapper, PEAKS)]
        peaks = [(row["value"], row["uncertainty"]) for row in rows]
        for (value, uncertainty), size in zip(peaks, SIZES, strict=True):
            assert value - uncertainty <= size + 64 * mmap.PAGESIZE
            assert size <= value + uncertainty
        assert all(value - uncertainty >= 0.9 * size for (value, uncertainty), size in zip(peaks, SIZES, strict=True))
        assert peaks[0][1] < 2 << 20 < peaks[1][1]

    def test_no_proc_at_all(self, folder: Path) -> None:
        """Under an empty /proc the counters of system calls are left."""
        wrapper = in_namespaces("mount -t tmpfs none /proc")
        needs(wrapper)
        result = run(folder, wrapper)
        assert result["metrics"]["minor_faults"]["value"] >= 256
        assert {"peak_rss", "retained_rss", "rss_anon", "pss", "open_files", "threads"} <= set(result["unavailable"])
        assert all("/proc" in reason or "accessed bits" in reason for reason in result["unavailable"].values())


class TestPerf:
    """Perf events that are forbidden are a reason."""

    FORBID = """
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
NUMBER = {"x86_64": 298, "aarch64": 241}[__import__("os").uname().machine]
code = b"".join(struct.pack("HBBI", *row) for row in (
    (0x20, 0, 0, 0), (0x15, 0, 1, NUMBER), (0x06, 0, 0, 0x00050000 | int(sys.argv[1])), (0x06, 0, 0, 0x7FFF0000)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(4, code))) == 0
from cyx.probes import perf
print(perf.unavailable())
"""

    @pytest.mark.parametrize(
        ("error", "words"), [(1, "seccomp"), (2, "no such"), (13, "perf_event_paranoid"), (38, "CONFIG")]
    )
    def test_seccomp_answers_become_reasons(self, error: int, words: str) -> None:
        """A filter that answers with this errno is told in words that name the mend."""
        done = subprocess.run(
            [sys.executable, "-c", self.FORBID, str(error)], capture_output=True, text=True, check=True, timeout=60
        )
        assert words in done.stdout

    def test_nobody_has_perf_or_a_reason(self) -> None:
        """Without privileges perf counts user-mode faults, or says why not."""
        wrapper = [*in_namespaces(reachable()), *AS_NOBODY]
        needs(wrapper)
        script = "from cyx.probes import perf; print(perf.unavailable())"
        done = subprocess.run([*wrapper, sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "None" or "perf" in done.stdout
