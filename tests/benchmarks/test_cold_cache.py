"""Whether a cold file is cold and a warm one warm, every time: what was read, as we and as the disk itself count it.

``make bench`` takes 256 MiB 100 times; MEMPERF_BENCH=quick 10 times. The disk is a loop device whose file system is
mounted in a namespace of its own: both go with the processes that use them, however those end. It takes root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cyx.process import die_with_parent

MIB = 2**20
SIZE = int(os.environ.get("MEMPERF_COLD_SIZE", 256 * MIB))
TIMES = 10 if os.environ.get("MEMPERF_BENCH") == "quick" else 100
MOST_OFF = 0.01
"""How far the bytes read may be from the size of the file."""
PROGRAMS = ("unshare", "mount", "mkfs.ext4")
SUITE = Path(__file__).with_name("cold_cache_suite.py")
INSIDE = """
set -e
mount -o loop,noatime "$1" "$2"
rm "$1"
shift 2
exec "$@"
"""
"""Once mounted the image has no name; it goes with the loop device, and that with the mount."""


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Run the suite on a disk of its own, and return what it wrote down."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"a loop device takes root, and util-linux and e2fsprogs: missing are {missing or 'the rights'}")
    folder = tmp_path_factory.mktemp("cold")
    image, disk, written = folder / "image", folder / "disk", folder / "figures"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(3 * SIZE + 64 * MIB)
    # Written whole now, so that nothing in the background reads it later.
    made = ["-E", "lazy_itable_init=0,lazy_journal_init=0", "-O", "^has_journal", image]
    subprocess.run(["mkfs.ext4", "-q", *made], check=True)
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "COLD_CACHE_FOLDER": str(disk),
        "COLD_CACHE_SIZE": str(SIZE),
        "COLD_CACHE_TIMES": str(TIMES),
        "COLD_CACHE_FIGURES": str(written),
    }
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh", image, disk]
    session = [sys.executable, "-m", "pytest", "-q", "-p", "memperf", "-c", os.devnull, "--rootdir", folder]
    shutil.copy(SUITE, folder / "test_files.py")  # away from our own conftest.py
    subprocess.run(
        [*apart, *session, "--memperf-isolation=process", "test_files.py"],
        check=True,
        env=environment,
        cwd=folder,
        preexec_fn=partial(die_with_parent, signal.SIGKILL),
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for line in written.read_text().splitlines():
        entry = json.loads(line)
        found.setdefault(entry.pop("test"), []).append(entry)
    return found


def show(capsys: pytest.CaptureFixture[str], title: str, entries: list[dict[str, Any]]) -> None:
    """Print for each figure its values, and how often each came."""
    with capsys.disabled():
        print(f"\n{title}, {SIZE / MIB:g} MiB, {len(entries)} times")
        for name in entries[0]:
            counted = Counter(entry[name] for entry in entries)
            told = ", ".join(f"{value} x {count}" for value, count in counted.most_common(4))
            print(f"  {name:<14}{told}{', ...' if len(counted) > 4 else ''}")
            if len(counted) > 4:
                print(f"  {'':<14}from {min(counted)} to {max(counted)}")


def test_cold(figures: dict[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is cached before; all of it is read, and no more, by the metric and by the disk."""
    cold = figures["cold"]
    show(capsys, "cold", cold)

    assert len(cold) == TIMES
    assert {entry["share"] for entry in cold} == {0.0}
    for witness in ("metric", "disk"):
        assert all(abs(entry[witness] / SIZE - 1) <= MOST_OFF for entry in cold), witness
    assert all(entry["major_faults"] > 0 for entry in cold)


def test_warm(figures: dict[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]) -> None:
    """All of it is cached before; no major fault, nothing read, and one single count of minor faults.

    A kernel that reclaims memory before it is short of it may take pages of the file in between. It counts those that
    are read again: such a turn is shown, and taken once more.
    """
    warm, reclaimed = figures["warm"], figures.get("reclaimed", [])
    show(capsys, "warm", warm)
    if reclaimed:
        show(capsys, "and with pages that the kernel reclaimed", reclaimed)

    assert len(warm) == TIMES
    assert len(reclaimed) <= TIMES / 10
    assert {entry["share"] for entry in warm} == {1.0}
    assert {(entry["major_faults"], entry["metric"], entry["disk"]) for entry in warm} == {(0, 0, 0)}
    assert len({entry["minor_faults"] for entry in warm}) == 1


def test_mapped_elsewhere(figures: dict[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]) -> None:
    """A file that another process has mapped cannot be had cold: one line says so."""
    errors = figures["mapped elsewhere"]
    show(capsys, "mapped elsewhere", errors)

    assert len(errors) == TIMES
    for entry in errors:
        assert entry["error"].startswith("UsageMistake: mapped_file(cache='cold'): FILE: ")
        assert "someone has the file mapped" in entry["error"]
