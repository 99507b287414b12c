"""The conditions under which this process measures: as it is, or settled right before each window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Conditions:
    """What a process does round its windows; a child of ``process`` isolation sets its own."""

    isolation: str = "inline"
    allocator: str = "unknown"
    """The name of what serves malloc in this process."""
    purge: Callable[[], object] | None = None
    """Has another library than glibc give its free memory back; None for glibc, and where nobody knows how."""
    collect: str = "as-is"
    """What ``gc=`` means where a test does not say it."""
    settle: Callable[[], None] | None = None
    """Called last before the counters of a window start, unless that lies within another."""
    wide_frames: bool = False
    """Whether measured calls go through a frame in a chunk of its own; see frame_room."""
    progress: Callable[[str, int, int], None] | None = None
    """Told the window's name, the rounds done and their number after each round, outside of it."""
    notes: list[str] = field(default_factory=list)
    """What every result of this process has to say; see Result.notes."""


CONDITIONS = Conditions()
