"""What the tests of memory share: reserved huge pages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from cyx import hugepages
from pytest_memperf.environment.owner import this_process
from pytest_memperf.environment.reservations import Ledger, NotEnough


@pytest.fixture
def pool() -> Iterator[Callable[[int, int], None]]:
    """Return a function that reserves so many huge pages of a size for the test; skip where that cannot be done.

    Whoever else reserves some waits until the end of the test, and keeps what is theirs.
    """
    ledger = Ledger()
    with contextlib.ExitStack() as at_the_end:

        def reserve(pages: int, page_size: int) -> None:
            file = hugepages.folder(page_size) / "nr_hugepages"
            if not os.access(file, os.W_OK):
                pytest.skip(f"{file} cannot be written: run as root")
            at_the_end.enter_context(ledger.locked())
            try:
                at_the_end.callback(ledger.give_back, ledger.reserve(pages, page_size, this_process()))
            except NotEnough:
                pytest.skip(f"this machine has no {pages} pages of {page_size} bytes in one piece")

        yield reserve
