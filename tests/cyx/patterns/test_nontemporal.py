"""Stores past the caches write what other stores write."""

from __future__ import annotations

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels import figures

from cyx import patterns

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="there are such stores for x86 alone")


@given(st.integers(0, 400), st.integers(0, 70), st.integers(0, 2**64 - 1))
def test_write(size: int, shift: int, value: int) -> None:
    """At any address and of any length, it is as ``write``, and nothing beside it changes."""
    past, through = bytearray(500), bytearray(500)
    transfer = patterns.write_nontemporal(past, value, offset=shift, length=size)

    assert figures(transfer) == figures(patterns.write(through, value, offset=shift, length=size))
    assert past == through


@given(st.binary(max_size=400), st.integers(0, 70))
def test_copy(content: bytes, shift: int) -> None:
    """At any address and of any length, it is as ``copy``, and nothing beside it changes."""
    past, through = bytearray(500), bytearray(500)
    views = [memoryview(memory)[shift : shift + len(content)] for memory in (past, through)]

    assert figures(patterns.copy_nontemporal(views[0], content)) == figures(patterns.copy(views[1], content))
    assert past == through
