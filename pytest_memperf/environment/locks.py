"""Locks between processes, on files and folders; the kernel takes one from whoever is killed. See flock(2)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, mode: int = 0o666) -> Iterator[int]:
    """Keep everyone else waiting who locks this file, which is made where it is missing; yield its descriptor.

    Whoever holds the lock may delete the file.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_there(path, descriptor):
                yield descriptor
                return
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
        if not _is_there(path, descriptor):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        yield descriptor
    finally:
        os.close(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    """Tell whether this file is the one of that path still: who held its lock before may have deleted it."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
