"""The checksum that a kept run ends with: a digit that turned over on a disk reads as well as the right one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import BinaryIO
from zlib import crc32

NAME = "crc32"
_ENDING = re.compile(rb'"crc32": "([0-9a-f]{8})"\}\n\Z')
_LONGEST_ENDING = 64
_CHUNK = 1 << 20


class Checksum:
    """CRC-32 (RFC 1952, section 8) of bytes as they come."""

    def __init__(self) -> None:
        self._value = 0

    def add(self, data: bytes) -> None:
        """Take more of them."""
        self._value = crc32(data, self._value)

    def __str__(self) -> str:
        """Return it as eight hexadecimal digits."""
        return f"{self._value:08x}"


def checksum_of(pieces: Iterable[str]) -> str:
    """Return that of texts, one after the other."""
    found = Checksum()
    for piece in pieces:
        found.add(piece.encode())
    return str(found)


def is_whole(file: BinaryIO) -> bool:
    """Tell whether the file has the bytes that its checksum at the end is of.

    So has one without a checksum: an older one, or one that another program has written anew.
    """
    size = file.seek(0, 2)
    file.seek(max(size - _LONGEST_ENDING, 0))
    ending = _ENDING.search(file.read())
    if ending is None:
        return True
    left, found = size - len(ending[0]), Checksum()
    file.seek(0)
    while left > 0 and (data := file.read(min(left, _CHUNK))):
        found.add(data)
        left -= len(data)
    return str(found) == ending[1].decode()
