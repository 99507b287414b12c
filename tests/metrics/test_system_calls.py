"""Metrics of system calls: in the process of the tests, in children, and where nobody tells."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mount_namespaces import number_of_tracepoint, under_tracefs

from pytest_memperf.environment import tracefs
from pytest_memperf.metrics.system_calls import SystemCalls

NAMES = ("syscalls", "brk_calls", "mmap_calls", "munmap_calls", "madvise_calls")
SUITE = f"""
import ctypes, mmap, threading
import pytest

program = ctypes.PyDLL(None)

def work():
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    memory.madvise(mmap.MADV_DONTNEED)
    memory.close()

@pytest.mark.memperf(max_syscalls=0, metrics={NAMES})
def test_empty():
    pass

@pytest.mark.memperf(max_syscalls=10, metrics={NAMES})
def test_ten():
    for _ in range(10):
        program.getppid()

@pytest.mark.memperf(max_syscalls=9)
def test_one_too_many():
    for _ in range(10):
        program.getppid()

@pytest.mark.memperf(max_syscalls=0, metrics={NAMES})
def test_inner_windows(memperf):
    for number in range(10):
        metrics = ["syscalls", "pss", "open_files", "interference"]
        with memperf.window(f"inner {{number}}", max_mmap_calls=1, metrics=metrics):
            if number == 9:
                work()

@pytest.mark.memperf(metrics={NAMES}, rounds=3, warmup=1)
def test_rounds(memperf):
    memperf(work)

@pytest.mark.memperf(metrics={NAMES})
def test_threads():
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
Results = dict[tuple[str, str], dict[str, Any]]
"""By test and window."""


def run(folder: Path, *options: str, listed: bool = True) -> tuple[str, Results]:
    """Return the output and the results of the suite, with tracepoints listed or as the machine is."""
    (folder / "test_it.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "--memperf-json=out.json", *options]
    done = subprocess.run(
        under_tracefs(command) if listed else command, cwd=folder, capture_output=True, text=True, check=False
    )
    results = json.loads((folder / "out.json").read_text())["results"]
    return done.stdout, {(each["test"].partition("::")[2], each["window"]): each for each in results}


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_counts(tmp_path: Path, isolation: str) -> None:
    """Each call of the test's is one and none is the plugin's, in the session's process and in a fork of its own."""
    number_of_tracepoint()
    output, results = run(tmp_path, f"--memperf-isolation={isolation}")
    counts = {
        key: [each["metrics"][name]["value"] for name in NAMES if name in each["metrics"]]
        for key, each in results.items()
    }
    assert counts["test_empty", "call"] == [0, 0, 0, 0, 0]
    assert counts["test_ten", "call"] == [10, 0, 0, 0, 0]
    assert "syscalls 10 is over max_syscalls = 9" in output
    assert counts["test_inner_windows", "inner 0"] == [0, 0, 0, 0, 0]
    assert counts["test_inner_windows", "inner 9"] == [3, 0, 1, 1, 1]
    assert counts["test_inner_windows", "call"] == [3, 0, 1, 1, 1]
    assert counts["test_rounds", "memperf"] == [3, 0, 1, 1, 1]
    assert results["test_rounds", "memperf"]["metrics"]["syscalls"]["samples"] == [3, 3, 3]
    assert results["test_inner_windows", "inner 0"]["metrics"]["open_files"]["value"] == 0
    total, _, mapped, unmapped, advised = counts["test_threads", "call"]
    assert mapped >= 4
    assert unmapped >= 4
    assert advised >= 4
    assert total >= 12 + 4  # each thread is started by a call of its own


def test_where_tracepoints_are_not_listed(tmp_path: Path) -> None:
    """The counts are unavailable with the reason and the mend, and their budgets unchecked."""
    try:
        tracefs.tracepoint(tracefs.ENTERED)
    except LookupError as error:
        reason = str(error)
    else:
        pytest.skip("tracefs is mounted here: unmount it")
    assert "mount -t tracefs" in reason or "run as root" in reason
    _, results = run(tmp_path, listed=False)
    found = results["test_ten", "call"]
    assert {name: found["unavailable"][name] for name in NAMES} == dict.fromkeys(NAMES, reason)
    assert [check["status"] for check in found["checks"]] == ["unchecked"]
    assert SystemCalls.unavailable() == dict.fromkeys(NAMES, reason)


class TestTheList:
    """Where tracepoints are listed, by made-up mounts below another root."""

    @staticmethod
    def mounted(root: Path, line: str) -> Path:
        """Return the root of a /proc with this line among the mounts."""
        (root / "self").mkdir(parents=True)
        (root / "self/mounts").write_text(f"proc /proc proc rw 0 0\n{line} rw 0 0\n")
        return root

    @pytest.mark.parametrize(("kind", "folder"), [("tracefs", "."), ("debugfs", "tracing")])
    def test_a_number(self, tmp_path: Path, kind: str, folder: str) -> None:
        """It is read wherever the list is mounted, and as a part of debugfs."""
        event = tmp_path / "mount" / folder / "events/raw_syscalls/sys_enter"
        event.mkdir(parents=True)
        (event / "id").write_text("348\n")
        root = self.mounted(tmp_path / "proc", f"none {tmp_path}/mount {kind}")
        assert tracefs.tracepoint(tracefs.ENTERED, root) == 348

    def test_none(self, tmp_path: Path) -> None:
        """No mount, one that another one hides, and a kernel without the tracepoint are told apart."""
        root = self.mounted(tmp_path / "proc", f"none {tmp_path}/hidden tracefs")
        with pytest.raises(LookupError, match="tracefs is not mounted: on the host, as root: mount -t tracefs"):
            tracefs.tracepoint(tracefs.ENTERED, root)
        (tmp_path / "hidden").mkdir()
        with pytest.raises(LookupError, match="CONFIG_FTRACE_SYSCALLS"):
            tracefs.tracepoint(tracefs.ENTERED, root)
