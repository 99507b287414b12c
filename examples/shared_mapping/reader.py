"""A process that maps a file, or copies it, and keeps it until its standard input ends: ``reader.py map FILE``."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path


def main() -> None:
    """Have the file in memory, say so, and wait."""
    way, path = sys.argv[1:]
    print("started", flush=True)
    sys.stdin.readline()
    if way == "map":
        with open(path, "rb") as opened:
            content: mmap.mmap | bytes = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
    else:
        content = Path(path).read_bytes()
    touched = sum(content[:: mmap.PAGESIZE])
    print(touched, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
