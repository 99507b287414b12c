"""Many rows or values, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_SIZE = 450
"""Two of them fit into a statement of old sqlite, which takes 999 values."""
T = TypeVar("T")


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in lists of a size that every database takes."""
    iterator = iter(items)
    while batch := list(islice(iterator, _SIZE)):
        yield batch
