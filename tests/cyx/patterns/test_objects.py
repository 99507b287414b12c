"""Memory that holds Python objects: no kernel takes it, for written pointers end the interpreter."""

from __future__ import annotations

import ctypes
import inspect
from typing import Any

import numpy as np
import pytest

from cyx import patterns

OPERANDS = ("target", "source", "second", "index", "memory")
OTHERS: dict[str, Any] = {"value": 1, "count": 1, "node": 8}


def parameters(name: str) -> list[str]:
    """Return the names of a kernel's arguments; a class in C does not tell its own."""
    return ["memory", "node"] if name == "Cycle" else list(inspect.signature(getattr(patterns, name)).parameters)


# Every public kernel, each with every operand that it has.
CASES = [
    (name, operand)
    for name in patterns.__all__
    if name != "Transfer"
    for operand in parameters(name)
    if operand in OPERANDS
]


class Slot(ctypes.Structure):
    """One object, as C has it."""

    _fields_ = (("held", ctypes.py_object),)


def plain() -> np.ndarray[Any, np.dtype[np.object_]]:
    """Return an array of objects, 8 bytes each."""
    return np.array([1.5, "x", None, [1], (2,), {}, b"y", 3], dtype=object)


def refuses(name: str, operand: str, memory: Any) -> None:
    """Give the memory to a kernel as this operand; all others are fine."""
    arguments: dict[str, Any] = {}
    for parameter in parameters(name):
        if parameter == operand:
            arguments[parameter] = memory
        elif parameter in OPERANDS:
            arguments[parameter] = bytearray(64)
        elif parameter in OTHERS:
            arguments[parameter] = OTHERS[parameter]
    with pytest.raises(ValueError, match=rf"^{operand}: holds Python objects: give an array of numbers or bytes$"):
        getattr(patterns, name)(**arguments)


def test_all_kernels_are_here() -> None:
    """Each public name has an operand of a name that is known here."""
    assert {name for name, _ in CASES} == set(patterns.__all__) - {"Transfer"}


@pytest.mark.parametrize(("name", "operand"), CASES)
def test_objects(name: str, operand: str) -> None:
    """An array of objects is named, and its objects are still there."""
    memory = plain()
    refuses(name, operand, memory)

    assert memory.tolist() == plain().tolist()


@pytest.mark.parametrize(("name", "operand"), CASES)
@pytest.mark.parametrize(
    "kind",
    [
        [("held", "O")],
        [("number", "i8"), ("held", "O")],
        [("inner", [("held", "O", (2,))])],
        [("time", "M8[s]"), ("held", "O")],  # which a buffer cannot name
    ],
    ids=["alone", "behind a number", "within", "behind a time"],
)
def test_objects_in_structures(name: str, operand: str, kind: Any) -> None:
    """A field of any depth."""
    refuses(name, operand, np.zeros(8, kind))


@pytest.mark.parametrize(
    "memory",
    [
        memoryview(plain()),
        memoryview(plain())[2:],
        memoryview(plain()).cast("B"),
        memoryview(plain()).cast("B")[8:].cast("Q"),
        (ctypes.py_object * 8)(*range(8)),
        (Slot * 8)(),
        memoryview((Slot * 8)()),
    ],
    ids=["memoryview", "slice", "cast", "cast twice", "ctypes", "structure", "memoryview of structure"],
)
def test_objects_elsewhere(memory: Any) -> None:
    """Views of them, which know their owner, and those of C."""
    for name, operand in CASES:
        refuses(name, operand, memory)


@pytest.mark.parametrize(
    "kind",
    [[("O", "i8")], [("Order", "i4"), ("OO", "M8[s]")], "M8[s]", "c16", "V8", "U2", "g", "?"],
    ids=str,
)
def test_other_types_are_fine(kind: Any) -> None:
    """A name with an O in it is not an object, nor is any other type."""
    memory = np.zeros(8, kind)
    patterns.write(memory, 2**64 - 1)
    patterns.fill(memory, 7)
    target = np.zeros(memory.nbytes, np.uint8)
    patterns.copy(target, memory)

    assert target.tobytes() == memory.tobytes()
