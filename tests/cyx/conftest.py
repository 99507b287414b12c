"""What the tests of memory share: reserved huge pages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from cyx import hugepages


@pytest.fixture
def pool() -> Iterator[Callable[[int, int], None]]:
    """Return a function that reserves so many huge pages of a size for the test; skip where that cannot be done."""
    with contextlib.ExitStack() as at_the_end:

        def reserve(pages: int, page_size: int) -> None:
            file = hugepages.folder(page_size) / "nr_hugepages"
            if not os.access(file, os.W_OK):
                pytest.skip(f"{file} cannot be written: run as root")
            before = hugepages.pool(page_size)
            at_the_end.callback(lambda: file.write_text(str(before.kept)))
            file.write_text(str(before.kept + pages))
            if hugepages.pool(page_size).available < pages:
                pytest.skip(f"this machine has no {pages} pages of {page_size} bytes in one piece")

        yield reserve
