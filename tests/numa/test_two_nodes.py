"""Memory and processors on two nodes: what cyx.numa and the fixtures do, beside numactl and /proc/self/numa_maps."""

from __future__ import annotations

import mmap
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cyx import numa
from pytest_memperf.environment.numa import Topology
from pytest_memperf.fixtures.cpu_pinning import CpuPinning
from pytest_memperf.fixtures.numa_buffer import NumaBuffers
from pytest_memperf.model.errors import UsageMistake

MIB = 1024 * 1024
PAGE = mmap.PAGESIZE
SIZE = 8 * MIB

pytestmark = pytest.mark.usefixtures("two_nodes")


@pytest.fixture
def two_nodes(nodes: Topology, require: Callable[[bool, str], None]) -> None:
    """Nodes 0 and 1 have processors and memory."""
    both = {0, 1}
    require(both <= set(nodes.with_memory) & set(nodes.with_cpus), "nodes 0 and 1 with processors and memory")


class TestTopology:
    """What the machine is made of."""

    def test_as_numactl_tells_it(self, nodes: Topology, numactl: Callable[..., str]) -> None:
        """Processors, memory in whole MiB, and distances."""
        told = numactl("--hardware")
        for number, node in nodes.nodes.items():
            cpus = re.search(rf"^node {number} cpus:(.*)$", told, re.MULTILINE)
            memory = re.search(rf"^node {number} size: (\d+) MB$", told, re.MULTILINE)
            row = re.search(rf"^ *{number}:(.*)$", told, re.MULTILINE)
            assert cpus is not None
            assert memory is not None
            assert row is not None
            assert tuple(map(int, cpus[1].split())) == node.cpus
            assert int(memory[1]) == node.memory // MIB
            assert list(map(int, row[1].split())) == list(node.distances.values())


class TestPlacement:
    """Each policy, by move_pages and by numa_maps."""

    @pytest.mark.parametrize(
        ("policy", "chosen", "fractions"),
        [
            ("bind", [0], [1.0, 0.0]),
            ("bind", [1], [0.0, 1.0]),
            ("preferred", [0], [1.0, 0.0]),
            ("preferred", [1], [0.0, 1.0]),
            ("preferred-many", [1], [0.0, 1.0]),
            ("interleave", [0], [1.0, 0.0]),
            ("interleave", [0, 1], [0.5, 0.5]),
            ("interleave", None, [0.5, 0.5]),
        ],
    )
    @pytest.mark.parametrize("touch_from", [None, 0, 1])
    def test_where_the_policy_says(
        self,
        numa_buffer: NumaBuffers,
        numa_maps: Callable[[int], dict[int, int]],
        policy: str,
        chosen: list[int] | None,
        fractions: list[float],
        touch_from: int | None,
    ) -> None:
        """From whichever node the pages are touched."""
        buffer = numa_buffer(SIZE, policy, chosen, touch_from=touch_from)
        assert [buffer.node_fractions[0], buffer.node_fractions[1]] == fractions
        pages = numa_maps(buffer.address)
        assert [pages.get(node, 0) / (SIZE // PAGE) for node in (0, 1)] == fractions

    @pytest.mark.parametrize("node", [0, 1])
    def test_local_is_where_it_was_touched(self, numa_buffer: NumaBuffers, cpu_pinning: CpuPinning, node: int) -> None:
        """By the node asked for, or by the one on which the test runs."""
        assert numa_buffer(SIZE, "local", touch_from=node).node_fractions[node] == 1.0
        cpu_pinning(node=node)
        assert numa.current_node() == node
        assert numa_buffer(SIZE).node_fractions[node] == 1.0
        assert numa_buffer(SIZE, touch_from=1 - node).node_fractions[node] == 0.0
        assert numa_buffer(SIZE).distances[node] == 10 < numa_buffer(SIZE).distances[1 - node]

    def test_a_policy_of_the_process_does_not_matter(self, numactl: Callable[..., str]) -> None:
        """Whatever numactl started the tests with; without a policy of its own memory follows that one."""
        code = """
            import mmap
            import pytest
            from cyx import numa
            from pytest_memperf.fixtures.numa_buffer import NumaBuffers
            buffers = NumaBuffers(pytest.skip)
            plain = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            plain.write(bytes(1 << 20))
            print(numa.get_mempolicy(), numa.pages_by_node(*numa.address_of(plain)))
            print(buffers(1 << 20, "bind", [0]).node_fractions[0], buffers(1 << 20, touch_from=0).node_fractions[0])
        """
        told = numactl("--membind=1", sys.executable, "-c", "\n".join(line[12:] for line in code.splitlines()))
        assert told.splitlines() == ["('bind', (1,)) {1: 256}", "1.0 1.0"]


class TestMoving:
    """Pages that go from node to node."""

    @pytest.mark.parametrize("policy", ["bind", "preferred", "interleave", "local"])
    def test_there_and_back(
        self, numa_buffer: NumaBuffers, numa_maps: Callable[[int], dict[int, int]], policy: str
    ) -> None:
        """All of them, with what is written in them; later pages go to the new node too."""
        buffer = numa_buffer(SIZE, policy, None if policy in ("local", "interleave") else [0])
        for number in range(SIZE // PAGE):
            buffer.array[number * PAGE] = number % 251
        for node in (1, 0, 1):
            buffer.migrate(to=node)
            assert buffer.node_fractions == {0: float(node == 0), 1: float(node == 1)}
            assert numa_maps(buffer.address) == {node: SIZE // PAGE}
        assert all(buffer.array[number * PAGE] == number % 251 for number in range(SIZE // PAGE))
        assert (buffer.policy, buffer.nodes) == ("bind", (1,))
        buffer.forget()
        buffer.array.fill(1)
        assert buffer.node_fractions[1] == 1.0

    def test_a_part_of_it(self, numa_buffer: NumaBuffers) -> None:
        """move_pages moves a range, over the policy, and tells what is where."""
        buffer = numa_buffer(SIZE, "bind", [0])
        address = buffer.address
        assert numa.move_pages(address, SIZE // 4, 1) == {1: SIZE // 4 // PAGE}
        assert buffer.node_fractions == {0: 0.75, 1: 0.25}
        assert numa.move_pages(address + PAGE, 1, 0) == {0: 1}
        numa.mbind(address, SIZE, "bind", [0], move=True, strict=True)
        assert buffer.node_fractions == {0: 1.0, 1: 0.0}

    def test_strict_tells_of_pages_elsewhere(self, numa_buffer: NumaBuffers) -> None:
        """Without a move it is an error."""
        buffer = numa_buffer(SIZE, "bind", [0])
        with pytest.raises(OSError, match=r"\[Errno 5\]"):
            numa.mbind(buffer.address, buffer.mapped, "bind", [1], strict=True)

    def test_pages_that_someone_else_shares_stay(self, numa_buffer: NumaBuffers) -> None:
        """After a fork they are not this process's alone: that is told, and the buffer stays usable."""
        buffer = numa_buffer("1 MiB", "bind", [0])
        child, parent = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(parent)
            os.read(child, 1)
            os._exit(0)
        try:
            with pytest.raises(UsageMistake, match=r"migrate\(to=1\): 256 pages stay where they are: end the child"):
                buffer.migrate(to=1)
            assert buffer.node_fractions[0] == 1.0
        finally:
            os.close(parent)
            os.close(child)
            os.waitpid(pid, 0)


class TestRoom:
    """A node is not the machine."""

    def test_more_than_a_node_has(self, numa_buffer: NumaBuffers, nodes: Topology) -> None:
        """It is told before the kernel would end the process, though the machine has room."""
        size = nodes.nodes[1].free() + 64 * MIB
        with pytest.raises(UsageMistake, match=r"does not fit: node 1 has .* left: take a smaller size"):
            numa_buffer(size, "bind", [1])
        buffer = numa_buffer(64 * MIB, "bind", [0])
        assert buffer.node_fractions[0] == 1.0


class TestCpuset:
    """A control group that allows one node."""

    @pytest.fixture
    def group(self) -> Any:
        """Return a control group whose memory is node 0 alone."""
        top = Path("/sys/fs/cgroup")
        group = top / "memperf-numa"
        try:
            (top / "cgroup.subtree_control").write_text("+cpuset")
            group.mkdir()
            (group / "cpuset.mems").write_text("0")
            (group / "cpuset.cpus").write_text("0")
        except OSError as error:
            pytest.skip(f"no control group can be made here ({error})")
        yield group
        group.rmdir()

    def test_the_other_node_is_a_skip_with_the_reason(self, pytester: pytest.Pytester, group: Path) -> None:
        """So is its processor; what is allowed works."""
        pytester.makepyfile(
            test_it=f"""
            import os

            with open("{group}/cgroup.procs", "w") as procs:
                procs.write(str(os.getpid()))

            def test_allowed(numa_buffer):
                assert numa_buffer("1 MiB", "bind", [0]).node_fractions[0] == 1.0
                assert numa_buffer("1 MiB", "interleave").nodes == (0,)

            def test_memory(numa_buffer):
                numa_buffer("1 MiB", "bind", [1])

            def test_processor(cpu_pinning):
                cpu_pinning(node=1)
            """
        )
        result = pytester.runpytest_subprocess("-rs")

        result.assert_outcomes(passed=1, skipped=2)
        result.stdout.fnmatch_lines_random(
            [
                "SKIPPED * node 1 is outside the cpuset of this process: nodes whose memory can be used are 0",
                "SKIPPED * CPU 1 is not on this machine, or outside the cpuset of this process",
            ]
        )


def test_in_a_child(pytester: pytest.Pytester) -> None:
    """Under process isolation the memory is where it is inline."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.memperf(isolation="process", max_major_faults=100)
        @pytest.mark.parametrize("node", [0, 1])
        def test_it(memperf, numa_buffer, cpu_pinning, node):
            cpu_pinning(node=1 - node)
            buffer = numa_buffer("1 MiB", "bind", [node])
            memperf(buffer.array.sum)
            assert buffer.node_fractions[node] == 1.0
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
