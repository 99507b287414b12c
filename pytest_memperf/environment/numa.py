"""The NUMA nodes of the machine: their processors, their memory, how far apart they are, and which may be used."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cyx import numa
from pytest_memperf.environment.files import field, inside, text

_ROOT = Path("/")
_FREE = ("MemFree", "Active(file)", "Inactive(file)")


@dataclass(frozen=True, slots=True)
class Node:
    """One node; a memoryless one has ``memory`` 0, a CPU-less one no ``cpus``."""

    number: int
    cpus: tuple[int, ...]
    memory: int
    """Bytes."""
    distances: Mapping[int, int]
    """How far each node's memory is from here, as the firmware tells; 10 is this node's own."""
    root: Path

    def free(self) -> int:
        """Return how many bytes can be had now: free ones, and those of cached files."""
        return sum(_bytes(self.root, self.number, *_FREE))


@dataclass(frozen=True, slots=True)
class Topology:
    """The nodes by number; none where the kernel knows nothing of NUMA."""

    nodes: Mapping[int, Node]
    allowed: frozenset[int]
    """Those whose memory the cpuset of the calling thread allows."""

    @property
    def with_memory(self) -> tuple[int, ...]:
        """The nodes that memory can be put on: they have some, and it is allowed."""
        return tuple(number for number, node in self.nodes.items() if node.memory and number in self.allowed)

    @property
    def with_cpus(self) -> tuple[int, ...]:
        """The nodes that have processors."""
        return tuple(number for number, node in self.nodes.items() if node.cpus)


def topology(root: Path = _ROOT) -> Topology:
    """Return the nodes that are online; asked each time, for memory and processors come and go.

    Args:
        root: where /proc and /sys are found.
    """
    base = root / "sys/devices/system/node"
    numbers = sorted(int(path.name.removeprefix("node")) for path in inside(base, "node"))
    nodes = {}
    for number in numbers:
        distances = (text(base / f"node{number}/distance") or "").split()
        nodes[number] = Node(
            number,
            cpus=listed(text(base / f"node{number}/cpulist")),
            memory=_bytes(root, number, "MemTotal")[0],
            distances={other: int(distance) for other, distance in zip(numbers, distances, strict=False)},
            root=root,
        )
    return Topology(nodes, frozenset(listed(field(root / "proc/thread-self/status", "Mems_allowed_list"))))


def placement_unavailable() -> str | None:
    """Return why memory cannot be placed on nodes, or not be found there, and the mend; None where it can."""
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        what = "mbind(2)"
        try:
            numa.mbind(*numa.address_of(page), "local")
            what = "move_pages(2)"
            numa.pages_by_node(*numa.address_of(page))
        except OSError as error:
            return refusal(what, error)
    return None


def no_such_node(node: int, use: str, others: Iterable[int]) -> str:
    """Return that a node is not there, which ones can be used in this way, and how to get more."""
    return f"there is no node {node} on this machine: {use} are {named(others)}; qemu -numa makes machines with more"


def named(numbers: Iterable[int]) -> str:
    """Return the numbers of nodes in words."""
    return ", ".join(map(str, numbers)) or "unknown"


def refusal(what: str, error: OSError) -> str:
    """Return why a system call is not to be had, with the mend."""
    mends = {
        errno.EPERM: "allow it in the container's seccomp profile, or docker run --security-opt seccomp=unconfined",
        errno.ENOSYS: "use a kernel with CONFIG_NUMA",
    }
    return f"{what} is refused ({error.strerror}): {mends.get(error.errno or 0, 'see the limits of this container')}"


def listed(told: str | None) -> tuple[int, ...]:
    """Return the numbers of a list such as ``0-2,5``."""
    numbers: list[int] = []
    for part in filter(None, (told or "").split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def _bytes(root: Path, node: int, *names: str) -> list[int]:
    """Return amounts of /sys/devices/system/node/nodeN/meminfo; 0 for one that is not there."""
    told = text(root / f"sys/devices/system/node/node{node}/meminfo") or ""
    lines = (line.partition(":") for line in told.splitlines())
    amounts = {name.strip(): amount.split() for name, _, amount in lines}
    found = [amounts.get(f"Node {node} {name}") or ["0"] for name in names]
    return [int(words[0]) * 1024 if words[0].isdecimal() else 0 for words in found]
