"""Lets the tests of windows import what they share, and counts no page of what ran before them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_memperf.isolation.child import Settling

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def own_pages() -> None:
    """Touch what is free in the heaps and what a fork left to be copied: each is a fault in the window it is in."""
    Settling([], sys.maxsize)()
