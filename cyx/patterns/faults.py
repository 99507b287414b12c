"""Why an access to memory failed, in words."""

from __future__ import annotations

import errno
import re
import signal
from pathlib import Path

SMAPS = Path("/proc/self/smaps")


def flags_at(address: int) -> frozenset[str]:
    """Return the kernel's flags of the mapping that holds the address (proc_pid_smaps(5)); none where it is in none."""
    inside = False
    for line in SMAPS.read_text(errors="replace").splitlines():
        limits = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if limits is not None:
            inside = int(limits[1], 16) <= address < int(limits[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return frozenset(line.split()[1:])
    return frozenset()


def explain(name: str, offset: int, address: int, number: int) -> OSError:
    """Return the error for a signal that an access to an operand met.

    Args:
        name: of the argument.
        offset: of the byte in it.
        address: of the byte.
        number: of the signal.
    """
    byte = f"{name}: byte {offset} cannot be had"
    try:
        flags = flags_at(address)
    except OSError:
        flags = frozenset()
    if number == signal.SIGSEGV:
        return OSError(errno.EFAULT, f"{byte}: its memory is not mapped, or may not be read or written")
    if "ht" in flags:
        return OSError(errno.ENOMEM, f"{byte}: no huge page is free for it, or its file became shorter")
    return OSError(errno.EFAULT, f"{byte}: the mapped file ends before it, or its disk failed or is full")
