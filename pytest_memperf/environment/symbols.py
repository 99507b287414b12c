"""Which loaded library a call of a C function ends in."""

from __future__ import annotations

import ctypes
import os


class _Symbol(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


class _Entry(ctypes.Structure):
    """Elf64_Sym of elf(5): what the symbol table says of a symbol."""

    _fields_ = (
        ("name", ctypes.c_uint32),
        ("info", ctypes.c_ubyte),
        ("other", ctypes.c_ubyte),
        ("section", ctypes.c_uint16),
        ("value", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
    )


class _Loaded(ctypes.Structure):
    """The beginning of struct dl_phdr_info of dl_iterate_phdr(3)."""

    _fields_ = (("base", ctypes.c_void_p), ("file", ctypes.c_char_p))


_BEHIND = "memperf_malloc_behind"
"""A function of cyx/preload.c."""
_ENTRY = 1
"""RTLD_DL_SYMENT of dladdr1(3)."""
_UNDEFINED = 0
"""SHN_UNDEF: what is not in the file itself."""
_VISIT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Loaded), ctypes.c_size_t, ctypes.c_void_p)


def library_with(function: str) -> str | None:
    """Return the file of the library, or of the executable, that serves the function; None where nobody can say.

    OSError or AttributeError where there is no such function.
    """
    program = ctypes.CDLL(None)
    if function == "malloc" and hasattr(program, _BEHIND):  # what counts the calls stands before what serves them
        ask = program[_BEHIND]
        ask.restype = ctypes.c_void_p
        served = _symbol(program, ctypes.c_void_p(ask()))
        return os.fsdecode(served.file or b"") if served else None
    address = _address(program, function)
    symbol = _symbol(program, address)
    if symbol is None:
        return None
    if _is_stub(program, address):  # what it calls is in the first library that has the function
        for base, file in _loaded(program):
            behind = _behind(file, function)
            if behind is not None and behind.base == base:
                return os.fsdecode(file)
    return os.fsdecode(symbol.file or b"")


def _address(library: ctypes.CDLL, function: str) -> ctypes.c_void_p:
    return ctypes.cast(getattr(library, function), ctypes.c_void_p)


def _symbol(library: ctypes.CDLL, address: ctypes.c_void_p) -> _Symbol | None:
    """Return what the address belongs to."""
    found = _Symbol()
    return found if library.dladdr(address, ctypes.byref(found)) else None


def _is_stub(program: ctypes.CDLL, address: ctypes.c_void_p) -> bool:
    """Tell whether the address is one that an executable at a fixed address gives to a function of a library.

    It has such a stub for each function whose address it takes, and the address is that of the stub for everybody.
    """
    entry = ctypes.POINTER(_Entry)()
    if ctypes.sizeof(ctypes.c_void_p) != 8 or not hasattr(program, "dladdr1"):
        return False
    if not program.dladdr1(address, ctypes.byref(_Symbol()), ctypes.byref(entry), _ENTRY) or not entry:
        return False
    return int(entry[0].section) == _UNDEFINED


def _loaded(program: ctypes.CDLL) -> list[tuple[int, bytes]]:
    """Return the base and the file of each library, in the order in which functions are looked for."""
    found: list[tuple[int, bytes]] = []

    def visit(library: ctypes._Pointer[_Loaded], _size: int, _data: int | None) -> int:
        if library[0].file:  # the executable has no name
            found.append((library[0].base or 0, library[0].file))
        return 0

    program.dl_iterate_phdr(_VISIT(visit), None)
    return found


def _behind(file: bytes, function: str) -> _Symbol | None:
    """Return what the function of this library, or of one that it needs, belongs to."""
    try:
        library = ctypes.CDLL(os.fsdecode(file), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        return _symbol(library, _address(library, function))
    except (OSError, AttributeError):  # such as the kernel's own, which has no file
        return None
