"""What an allocator tells of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SizeClass:
    """Blocks of one size, in bytes: how many are live, and how many can be had without more memory."""

    size: int
    live_blocks: int
    free_blocks: int


@dataclass(frozen=True)
class Statistics:
    """The state of an allocator, in bytes but for the two counts of blocks.

    In checked mode the guards round a block count as part of it.
    """

    live_blocks: int
    """Handed out, and not freed."""
    live: int
    """Bytes of these blocks, with the room that each takes."""
    allocations: int
    """Blocks ever handed out."""
    allocated: int
    """Bytes ever asked for."""
    granted: int
    """Bytes ever handed out: what was asked for, rounded up to what the allocator gives."""
    peak: int
    """The most that ``live`` ever was."""
    reserved: int
    """Address range that it lives in."""
    free: int
    """Bytes of that which a block can still be made of."""
    largest_free: int
    """The largest block that can be made of them."""
    size_classes: tuple[SizeClass, ...] = ()

    @property
    def internal_fragmentation(self) -> float:
        """The share of all bytes ever handed out that nobody had asked for; 0 where none were."""
        return 1 - self.allocated / self.granted if self.granted else 0.0

    @property
    def external_fragmentation(self) -> float:
        """The share of the free bytes that the largest free block does not have; 0 where none are free."""
        return 1 - self.largest_free / self.free if self.free else 0.0
