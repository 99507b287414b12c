"""What is said of huge pages; their status is tested with the command that prints it."""

from __future__ import annotations

import pytest

from cyx import hugepages
from pytest_memperf.environment.hugepages import reserve_command

MIB = 2**20
USUAL = hugepages.default_size() if hugepages.sizes() else 2 * MIB


@pytest.mark.skipif(not hugepages.sizes(), reason="the kernel has no reserved huge pages (CONFIG_HUGETLBFS)")
@pytest.mark.parametrize(
    ("pages", "page_size", "command"),
    [
        (3, USUAL, "memperf hugepages reserve 3"),
        (2, 4 * USUAL, f"memperf hugepages reserve 2 --page-size={4 * USUAL // MIB}MiB"),
    ],
)
def test_the_command_names_an_unusual_size(pages: int, page_size: int, command: str) -> None:
    """The usual size needs no name."""
    assert reserve_command(pages, page_size) == command
