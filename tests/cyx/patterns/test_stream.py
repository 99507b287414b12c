"""The loops of STREAM, against NumPy."""

from __future__ import annotations

import array
import ctypes
import math
import mmap
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from kernels import sample

from cyx import patterns

doubles = arrays.arrays(np.float64, st.shared(st.integers(0, 300), key="size"), elements=st.floats(allow_nan=False))
factors = st.floats(allow_nan=False)
Doubles = np.ndarray[Any, np.dtype[np.float64]]


def agree(target: Doubles, expected: Doubles) -> bool:
    """Return whether both hold the same bits."""
    return target.tobytes() == expected.tobytes()


@given(doubles)
def test_copy(source: Doubles) -> None:
    """Every byte is there; what is read and what is written count."""
    target = np.full_like(source, 7)
    transfer = patterns.copy(target, source)

    assert agree(target, source)
    assert (transfer.bytes, transfer.accesses) == (2 * source.nbytes, source.size)
    assert transfer.checksum == sample(target)


@given(st.binary(max_size=500), st.integers(0, 15))
def test_copy_takes_any_bytes(content: bytes, shift: int) -> None:
    """Neither the length nor the address need be those of words."""
    target = bytearray(500 + shift)
    patterns.copy(memoryview(target)[shift : shift + len(content)], content)

    assert target == bytes(shift) + content + bytes(500 - len(content))


@given(doubles, factors)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scale(source: Doubles, factor: float) -> None:
    """Each number is multiplied."""
    target = np.empty_like(source)
    transfer = patterns.scale(target, source, factor)

    assert np.array_equal(target, factor * source, equal_nan=True)
    assert (transfer.bytes, transfer.accesses) == (2 * source.nbytes, source.size)
    assert transfer.checksum == sample(target)


@given(doubles, doubles)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_add(source: Doubles, second: Doubles) -> None:
    """Two numbers are added; three streams count."""
    target = np.empty_like(source)
    transfer = patterns.add(target, source, second)

    assert np.array_equal(target, source + second, equal_nan=True)
    assert (transfer.bytes, transfer.accesses) == (3 * source.nbytes, source.size)
    assert transfer.checksum == sample(target)


@given(doubles, doubles, factors)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_triad(source: Doubles, second: Doubles, factor: float) -> None:
    """The second one is multiplied, then added, and each result rounded."""
    target = np.empty_like(source)
    transfer = patterns.triad(target, source, second, factor)

    assert np.array_equal(target, source + factor * second, equal_nan=True)
    assert (transfer.bytes, transfer.accesses) == (3 * source.nbytes, source.size)
    assert transfer.checksum == sample(target)


def test_a_source_may_be_the_other_one_too() -> None:
    """Only the target must be apart."""
    source, target = np.arange(10.0), np.empty(10)
    patterns.add(target, source, source)

    assert agree(target, 2 * source)


def test_numbers_at_any_address() -> None:
    """Numbers that begin between words are the same numbers."""
    memory = bytearray(3 * 80 + 3)
    target, source = memoryview(memory)[1:81], memoryview(memory)[83:163]
    source[:] = np.arange(10.0).tobytes()
    patterns.scale(target, source, 0.5)

    assert bytes(target) == (np.arange(10.0) / 2).tobytes()


@pytest.mark.parametrize("kind", ["f4", "i8", "u8", "?", ">f8", "c16", "M8[s]", "S8", [("a", "f8")]], ids=str)
@pytest.mark.parametrize(
    ("kernel", "names"),
    [
        (patterns.scale, ("target", "source")),
        (patterns.add, ("target", "source", "second")),
        (patterns.triad, ("target", "source", "second")),
    ],
)
def test_items_of_another_type(kernel: Any, names: tuple[str, ...], kind: Any) -> None:
    """What is no double is not taken for one: the type is named, before sizes, and nothing is written."""
    for name in names:
        operands: dict[str, Any] = {**{each: np.ones(8) for each in names}, name: np.zeros(8, kind)}
        before = operands["target"].tobytes()
        mend = rf"use float64, or {name}\.view\(np\.uint8\)"
        with pytest.raises(ValueError, match=rf"^{name}: its items are of type '.*': {mend}$"):
            kernel(**operands)
        assert operands["target"].tobytes() == before


def test_a_column_without_a_buffer() -> None:
    """What has a type of items but no memory, such as a column of pandas, is no memory in the first place."""

    class Column:
        dtype = np.dtype(np.float32)

    with pytest.raises(TypeError, match=r"^source is of type Column: give an object with the buffer protocol"):
        patterns.scale(np.zeros(8), Column())


def test_numbers_in_bytes() -> None:
    """Bytes of any kind may hold doubles, and so may arrays of C."""
    expected = 3 * np.arange(10.0)
    for kind in (np.uint8, np.int8):
        target = np.zeros(80, kind)
        patterns.scale(target, np.arange(10.0).view(kind))
        assert target.tobytes() == expected.tobytes()
    for target in (mmap.mmap(-1, 80), (ctypes.c_double * 10)(), (ctypes.c_char * 80)(), array.array("d", bytes(80))):
        patterns.scale(target, (ctypes.c_double * 10)(*range(10)))
        assert bytes(target) == expected.tobytes()


def test_copy_takes_any_type() -> None:
    """Bytes are copied, whatever they stand for."""
    source = np.array(["2026-01-01", "2026-01-02"], "M8[D]")
    target = np.zeros(4, np.float32)
    patterns.copy(target, source)
    assert target.tobytes() == source.tobytes()


@pytest.mark.parametrize("factor", ["3", None, True, 1j, [1.0], 10**400], ids=lambda value: repr(value)[:9])
def test_factors(factor: Any) -> None:
    """What is no number is named."""
    with pytest.raises(ValueError, match=r"^factor="):
        patterns.scale(bytearray(8), bytes(8), factor)
    with pytest.raises(ValueError, match=r"^factor="):
        patterns.triad(bytearray(8), bytes(8), bytes(8), factor)


def test_infinite_factors() -> None:
    """Infinity and nan are numbers."""
    target = np.empty(1)
    patterns.scale(target, np.ones(1), math.inf)
    assert target[0] == math.inf
    patterns.scale(target, np.ones(1), math.nan)
    assert math.isnan(target[0])
