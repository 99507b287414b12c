"""Whatever the calls of ``cyx.numa`` are given."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cyx import numa

pytestmark = pytest.mark.fuzz

PAGE = mmap.PAGESIZE


@given(
    call=st.sampled_from([numa.mbind, numa.pages_by_node, numa.move_pages, numa.get_mempolicy, numa.set_mempolicy]),
    address=st.integers(-1, 2**65) | st.sampled_from([0, 1, PAGE, 2**63, 2**64 - 1]),
    length=st.integers(-1, 1 << 24) | st.sampled_from([2**63, 2**64 - 1, 2**64]),
    policy=st.sampled_from([*numa.POLICIES, "bind=static", "bind=static=relative", "x", "", "=", "\0"]),
    nodes=st.lists(st.integers(-1, 1025) | st.none() | st.text(max_size=1), max_size=3),
)
def test_whatever_is_given(call: Callable[..., Any], address: int, length: int, policy: str, nodes: list[Any]) -> None:
    """It is an exception of the documented kinds, or none; nothing is written anywhere."""
    assume(call is not numa.pages_by_node or length < 1 << 24 or address + length >= 1 << 64)  # years, but no harm
    assume(call is not numa.move_pages or length < 1 << 24 or address + length >= 1 << 64)
    arguments: dict[Any, tuple[Any, ...]] = {
        numa.mbind: (address, length, policy, nodes),
        numa.pages_by_node: (address, length),
        numa.move_pages: (address, length, nodes[0] if nodes and isinstance(nodes[0], int) else 0),
        numa.get_mempolicy: (address,),
        numa.set_mempolicy: (policy, nodes),
    }
    former = numa.get_mempolicy()
    try:
        call(*arguments[call])
    except (OSError, ValueError, OverflowError):
        pass
    finally:
        numa.set_mempolicy(*former)
