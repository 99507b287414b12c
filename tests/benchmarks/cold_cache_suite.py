"""What test_cold_cache.py measures, on a file system of its own; each test as often as that asks for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cyx import patterns

FOLDER = Path(os.environ["COLD_CACHE_FOLDER"])
SIZE = int(os.environ["COLD_CACHE_SIZE"])
TIMES = int(os.environ["COLD_CACHE_TIMES"])
ATTEMPTS = 4
SECTOR = 512  # bytes, of Linux's statistics, whatever those of the disk

every_time = pytest.mark.parametrize("turn", range(TIMES))


def note(test, **figures):
    """Write the figures down for the benchmark."""
    with open(os.environ["COLD_CACHE_FIGURES"], "a") as file:
        file.write(json.dumps({"test": test, **figures}) + "\n")


def sectors_read():
    """Return how many sectors were read from the disk below the folder, as the disk tells."""
    device = os.stat(FOLDER).st_dev
    return int(Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()[2])


@every_time
def test_cold(memperf, mapped_file, turn):
    """Read all of a file that was just made cold."""
    file = mapped_file(SIZE, cache="cold", where=FOLDER)
    share = file.page_cache_share
    before = sectors_read()
    with memperf.window("cold", metrics=["block_read_bytes"]) as window:
        patterns.scan(file)
    disk = (sectors_read() - before) * SECTOR
    note("cold", share=share, metric=window.block_read_bytes, disk=disk, major_faults=window.major_faults)


def pages_read_again():
    """Return how many pages of files the kernel has reclaimed and read again so far, on the whole machine."""
    rows = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(rows["workingset_refault_file"])


@every_time
def test_warm(memperf, mapped_file, turn):
    """Touch each page of a file that was just made warm; once more where the kernel took some away in between."""
    for attempt in range(ATTEMPTS):
        file = mapped_file(SIZE, cache="warm", where=FOLDER)
        share, read_again, before = file.page_cache_share, pages_read_again(), sectors_read()
        with memperf.window(f"warm {attempt}", metrics=["block_read_bytes"]) as window:
            patterns.touch(file)
        disk, reclaimed = (sectors_read() - before) * SECTOR, pages_read_again() - read_again
        note(
            "reclaimed" if reclaimed else "warm", share=share, metric=window.block_read_bytes, disk=disk,
            major_faults=window.major_faults, minor_faults=window.minor_faults, reclaimed=reclaimed,
        )  # fmt: skip
        if not reclaimed:
            return
        file.close()


HOLDS = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
memory[0]
print("mapped", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def mapped_elsewhere():
    """A file of which another process has mapped a page."""
    path = FOLDER / "mapped"
    path.write_bytes(bytes(SIZE))
    command = [sys.executable, "-c", HOLDS, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        yield path
        process.stdin.close()
    path.unlink()


@every_time
def test_mapped_elsewhere(mapped_file, mapped_elsewhere, turn):
    """Ask for it cold."""
    error = ""
    try:
        mapped_file(path=mapped_elsewhere, cache="cold")
    except Exception as mistake:
        error = f"{type(mistake).__name__}: {mistake}".replace(str(mapped_elsewhere), "FILE")
    note("mapped elsewhere", error=error)
