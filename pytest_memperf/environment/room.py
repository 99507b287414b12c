"""Whether memory of a size can be had, asked before the kernel has to end a process for it."""

from __future__ import annotations

import resource
from pathlib import Path

from pytest_memperf.environment import control_groups
from pytest_memperf.environment.files import field
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.units import format_size

_ROOT = Path("/")


def require(size: int, call: str, *, mapped_only: bool = False, root: Path = _ROOT) -> None:
    """Return where there is room for so many bytes more. UsageMistake says what is too small, and the mend.

    Args:
        size: bytes.
        call: the call that asks for them, as the user wrote it.
        mapped_only: whether they take addresses but no memory of their own: those of a file, or huge pages reserved.
        root: where /proc and /sys are found.
    """
    __tracebackhide__ = True
    reason = _too_large_for_the_process(size, root) or (None if mapped_only else _too_large_for_memory(size, root))
    if reason:
        raise UsageMistake(f"{call} does not fit: {reason}")


def require_memory(size: int, call: str, *, root: Path = _ROOT) -> None:
    """Return where there is room for so many bytes more at addresses that are there; see ``require``."""
    __tracebackhide__ = True
    reason = _too_large_for_memory(size, root)
    if reason:
        raise UsageMistake(f"{call} does not fit: {reason}")


def available(root: Path = _ROOT) -> int | None:
    """Return how many bytes a process can still have without swapping; None where the kernel does not say."""
    return _bytes("MemAvailable", root)


def whole_memory(root: Path = _ROOT) -> int | None:
    """Return the bytes of the machine's memory; None where the kernel does not say."""
    return _bytes("MemTotal", root)


def _bytes(name: str, root: Path) -> int | None:
    told = field(root / "proc/meminfo", name)
    return int(told.split()[0]) * 1024 if told else None


def _too_large_for_memory(size: int, root: Path) -> str | None:
    there = available(root)
    if there is not None and size > there:
        return f"{format_size(there)} of memory are available: take a smaller size"
    allowed = control_groups.memory(root, wanted=size)
    if allowed is not None and size > allowed.left:
        left = format_size(allowed.left)
        return f"the control group allows {left} more: take a smaller size, or raise {allowed.limit}"
    return None


def _too_large_for_the_process(size: int, root: Path) -> str | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    used = int((root / "proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if size <= soft - used:
        return None
    left = format_size(max(0, soft - used))
    return f"RLIMIT_AS leaves {left} of addresses: take a smaller size, or raise it by ulimit -v"
