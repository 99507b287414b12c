"""What the head of an ELF file tells (elf(5)): for which machine it is, and who loads it."""

from __future__ import annotations

import os
import stat
import struct
from typing import BinaryIO, NamedTuple

_MAGIC = b"\x7fELF"
_64_BITS = 2
_LONGEST_HEAD = 64
_LONGEST_TABLE = 2**16
_LONGEST_NAME = 4096
"""PATH_MAX."""
_INTERPRETER = 3
"""PT_INTERP: the entry that names the dynamic loader, which a program linked statically has none of."""


class Head(NamedTuple):
    """What tells whether a library can be loaded into a program."""

    machine: tuple[int, int, int]
    """Width, byte order and architecture."""
    loader: str | None
    """The dynamic loader of a program; None for one that has none, and for most libraries."""


def head_of(path: str) -> Head | None:
    """Return what the file's head says; None for another kind of file. OSError where it cannot be read."""
    with open(path, "rb") as file:
        try:
            return _head(file)
        except (struct.error, ValueError, OverflowError):  # it says what cannot be
            return None


def _head(file: BinaryIO) -> Head | None:
    """Read Elf64_Ehdr or Elf32_Ehdr, and the table of program headers that it names."""
    start = file.read(_LONGEST_HEAD)
    if start[:4] != _MAGIC:
        return None
    width, order = struct.unpack_from("BB", start, 4)
    wide, byte_order = width == _64_BITS, "<" if order == 1 else ">"
    (architecture,) = struct.unpack_from(f"{byte_order}H", start, 18)
    (table,) = struct.unpack_from(f"{byte_order}{'Q' if wide else 'I'}", start, 32 if wide else 28)
    size, number = struct.unpack_from(f"{byte_order}HH", start, 54 if wide else 42)
    file.seek(table)
    entries = file.read(min(size * number, _LONGEST_TABLE))
    loader = None
    for place in range(0, len(entries), max(size, 1)):
        (kind,) = struct.unpack_from(f"{byte_order}I", entries, place)
        if kind == _INTERPRETER:
            layout = f"{byte_order}{'QQQQ' if wide else 'IIII'}"
            where, _, _, length = struct.unpack_from(layout, entries, place + (8 if wide else 4))
            file.seek(where)
            loader = os.fsdecode(file.read(min(length, _LONGEST_NAME)).rstrip(b"\0"))
    return Head((width, order, architecture), loader)


def fits(program: str, library: str) -> bool:
    """Tell whether the library is a file for the same machine as the program."""
    try:
        own, other = head_of(program), head_of(library)
    except OSError:
        return False
    return own is not None and other is not None and own.machine == other.machine


def preloading_hindered(program: str) -> str | None:
    """Return why no library can be loaded before those of the program, in words that follow its name; None if it can.

    OSError where it cannot be read.
    """
    program = behind_scripts(program)
    head = head_of(program)
    if head is None:
        return "is no program of this system: name one"
    if head.loader is None:
        return "is linked statically: use one that is linked dynamically"
    if "musl" in head.loader:
        return "is of musl, and the libraries for malloc are built for glibc: use a system with glibc"
    if _becomes_another(os.stat(program)):
        return "changes its user or group (setuid), and the loader then loads nothing else: run it as that user"
    return None


def _becomes_another(program: os.stat_result) -> bool:
    """Tell whether it runs as another user or group than who starts it."""
    user = program.st_mode & stat.S_ISUID and program.st_uid != os.getuid()
    group = program.st_mode & stat.S_ISGID and program.st_gid != os.getgid()
    return bool(user or group)


def behind_scripts(program: str) -> str:
    """Return the program that runs a script, which its first line names (execve(2)); else the program itself."""
    for _ in range(4):  # as deep as the kernel goes
        with open(program, "rb") as file:
            line = file.readline(256)
        if not line.startswith(b"#!"):
            break
        program = os.fsdecode(line[2:].split()[0]) if line[2:].split() else program
    return program
