"""A process that has a file, copied or mapped, until its standard input ends: ``holder.py read|map FILE``."""

from __future__ import annotations

import mmap
import sys


def proportional() -> int:
    """Return the bytes of this process, each page divided by the number of processes that have it."""
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))


def main() -> None:
    """Take the file after the first line, and answer each other one with the bytes that this process has grown by."""
    way, path = sys.argv[1:]
    proportional()
    print("started", flush=True)
    sys.stdin.readline()
    before = proportional()
    with open(path, "rb", buffering=0) as opened:
        content = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) if way == "map" else opened.read()
        touched = 0
        for place in range(0, len(content), mmap.PAGESIZE):
            touched += content[place]
    print(touched, flush=True)
    for _ in sys.stdin:
        print(proportional() - before, flush=True)


if __name__ == "__main__":
    main()
