"""Placement of memory on NUMA nodes, beside what /proc/self/numa_maps says; on a machine with any number of nodes."""

from __future__ import annotations

import errno
import mmap
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cyx import numa

PAGE = mmap.PAGESIZE
PAGES = 3 * 512 + 7  # some full calls of the kernel, and a part of one
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

try:
    NODE = numa.mems_allowed()[0]
except OSError as refused:
    pytest.skip(f"get_mempolicy(2) is refused: {refused}", allow_module_level=True)


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """Return fresh memory of small pages."""
    with mmap.mmap(-1, PAGES * PAGE, flags=PRIVATE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        yield memory


def line_of(address: int) -> str:
    """Return what numa_maps has for the mapping that begins here."""
    (line,) = [
        rest
        for start, _, rest in (line.partition(" ") for line in Path("/proc/self/numa_maps").read_text().splitlines())
        if int(start, 16) == address
    ]
    return line


def mapped_pages(address: int) -> dict[int, int]:
    """Return the pages by node that numa_maps has for the mapping that begins here."""
    return {int(node): int(pages) for node, pages in re.findall(r" N(\d+)=(\d+)", line_of(address))}


class TestPages:
    """Which pages are where."""

    def test_pages_that_were_written_are_on_the_node(self, memory: mmap.mmap) -> None:
        """One by one they come, as numa_maps sees them too."""
        address, length = numa.address_of(memory)
        numa.mbind(address, length, "bind", [NODE])
        assert numa.pages_by_node(address, length) == {}
        for done in range(1, PAGES + 1):
            memory[(done - 1) * PAGE] = 1
            if done in (1, 2, 511, 512, 513, PAGES):
                assert numa.pages_by_node(address, length) == {NODE: done} == mapped_pages(address)

    def test_the_page_of_zeros_is_on_none(self, memory: mmap.mmap) -> None:
        """Memory that was only read has no page of its own."""
        address, length = numa.address_of(memory)
        assert memory[5 * PAGE] == 0
        assert numa.pages_by_node(address, length) == {}

    @pytest.mark.parametrize(
        ("start", "length", "pages"), [(0, 0, 0), (0, 1, 1), (PAGE - 1, 1, 1), (PAGE - 1, 2, 2), (1, PAGE, 2)]
    )
    def test_a_range_has_the_pages_that_it_touches(
        self, memory: mmap.mmap, start: int, length: int, pages: int
    ) -> None:
        """Also where it begins or ends within one."""
        address, _ = numa.address_of(memory)
        memory.write(bytes(3 * PAGE))
        assert sum(numa.pages_by_node(address + start, length).values()) == pages

    def test_moving_to_where_they_are(self, memory: mmap.mmap) -> None:
        """Pages that are on the node already count as being there; absent ones stay absent."""
        address, length = numa.address_of(memory)
        numa.mbind(address, length, "bind", [NODE])
        memory.write(bytes(2 * PAGE))
        assert numa.move_pages(address, length, NODE) == {NODE: 2}

    def test_the_processor_has_a_node(self) -> None:
        """It is one of those that have processors."""
        assert Path(f"/sys/devices/system/node/node{numa.current_node()}/cpulist").read_text().strip()


class TestPolicies:
    """What is set is what the kernel has, and what it shows."""

    @pytest.mark.parametrize(
        ("policy", "shown"),
        [
            ("default", "default"),
            ("bind", "bind:{}"),
            ("preferred", "prefer:{}"),
            ("interleave", "interleave:{}"),
            ("local", "local"),
            ("preferred-many", "prefer (many):{}"),
            ("bind=static", "bind=static:{}"),
            ("interleave=relative", "interleave=relative:{}"),
        ],
    )
    def test_of_a_range(self, memory: mmap.mmap, policy: str, shown: str) -> None:
        """get_mempolicy and numa_maps have it; the mapping behind the range has none."""
        address, length = numa.address_of(memory)
        nodes = () if policy in ("default", "local") else (NODE,)
        try:
            numa.mbind(address, length - PAGE, policy, nodes)
        except OSError as error:
            if policy == "preferred-many" and error.errno == errno.EINVAL:
                pytest.skip("preferred-many came with Linux 5.15")
            raise
        assert numa.get_mempolicy(address) == (policy, nodes)
        assert numa.get_mempolicy(address + length - PAGE) == ("default", ())
        assert f"{line_of(address)} ".startswith(f"{shown.format(NODE)} ")

    def test_of_a_thread(self) -> None:
        """It is that thread's alone, and can be put back as it was."""
        seen = []

        def other() -> None:
            former = numa.get_mempolicy()
            numa.set_mempolicy("interleave", [NODE])
            seen.append(numa.get_mempolicy())
            numa.set_mempolicy(*former)
            seen.append(numa.get_mempolicy() == former)

        here = numa.get_mempolicy()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert seen == [("interleave", (NODE,)), True]
        assert numa.get_mempolicy() == here


class TestMistakes:
    """They are Python errors of the documented kinds."""

    @pytest.mark.parametrize("node", [-1, 1024, 2**70, "0", 0.0, True, None])
    def test_no_number_of_a_node(self, memory: mmap.mmap, node: Any) -> None:
        """Refused before the kernel is asked."""
        address, length = numa.address_of(memory)
        for call in (
            lambda: numa.mbind(address, length, "bind", [node]),
            lambda: numa.set_mempolicy("bind", [NODE, node]),
        ):
            with pytest.raises(ValueError, match="is no number of a node, 0 to 1023"):
                call()

    @pytest.mark.parametrize("policy", ["", "bund", "Bind", "bind=", "bind=statics", "=static"])
    def test_no_policy(self, memory: mmap.mmap, policy: str) -> None:
        """The message names the policies."""
        with pytest.raises(ValueError, match="choose from 'default', 'preferred', 'bind'"):
            numa.mbind(*numa.address_of(memory), policy, [NODE])

    @pytest.mark.parametrize(
        ("act", "code"),
        [
            (lambda address, length: numa.mbind(address + 1, length, "bind", [NODE]), errno.EINVAL),
            (lambda address, length: numa.mbind(address, length, "bind", []), errno.EINVAL),
            (lambda address, length: numa.mbind(address, length, "bind", [1023]), errno.EINVAL),
            (lambda address, length: numa.mbind(0, PAGE, "bind", [NODE]), errno.EFAULT),
            (lambda address, length: numa.get_mempolicy(0), errno.EFAULT),
            (lambda address, length: numa.move_pages(address, length, 1023), errno.ENODEV),
            (lambda address, length: numa.move_pages(address, length, -1), errno.ENODEV),
        ],
    )
    def test_what_the_kernel_refuses(self, memory: mmap.mmap, act: Callable[[int, int], Any], code: int) -> None:
        """Is an OSError with its number."""
        memory[0] = 1
        with pytest.raises(OSError, match=r"\[Errno") as caught:
            act(*numa.address_of(memory))
        assert caught.value.errno == code

    def test_ranges_that_cannot_be(self) -> None:
        """Numbers beyond the addresses are refused; where nothing is mapped there are no pages."""
        with pytest.raises(OverflowError):
            numa.pages_by_node(-1, 1)
        with pytest.raises(ValueError, match="beyond the last address"):
            numa.pages_by_node(PAGE, 2**64 - 1)
        assert numa.pages_by_node(0, PAGE) == {}
        with pytest.raises(TypeError):
            numa.address_of(object())
