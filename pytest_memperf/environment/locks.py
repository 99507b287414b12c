"""Locks between processes, on files and folders; the kernel takes one from whoever is killed. See flock(2)."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, mode: int = 0o666) -> Iterator[int]:
    """Keep everyone else waiting who locks this file, which is made where it is missing; yield its descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def taken(path: Path, flags: int) -> Iterator[int]:
    """Hold the lock of what nobody else holds one on, and yield its descriptor; OSError where somebody does.

    Args:
        flags: to open it with, of open(2); a link is not followed.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)
