"""On which NUMA node memory lies: near the processor that works on it, or on another one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from cyx import numa
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import SHARE

_PAGES = re.compile(r" N(\d+)=(\d+)")
_PAGE_SIZE = re.compile(r" kernelpagesize_kB=(\d+)")


class Nodes(Probe):
    """The share of memory on the node of the processor where the window ends."""

    root: str | os.PathLike[str] = Path("/proc")
    metrics = (
        Metric(
            "local_share",
            SHARE,
            Better.HIGHER,
            Trust.EXACT,
            Cost.ON_REQUEST,
            help="anonymous and reserved memory at the end that is on the NUMA node of this processor",
            source="/proc/self/numa_maps, getcpu(2)",
            level=True,
        ),
    )

    def __init__(self) -> None:
        self._value: Reading | str = ""

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where the kernel does not tell the nodes of pages."""
        probe = cls()
        probe.stop()
        return {"local_share": probe._value} if isinstance(probe._value, str) else {}

    def start(self) -> None:
        """Nothing: the share is that of the end."""

    def stop(self) -> None:
        """Read the file."""
        try:
            here = numa.current_node()
            on_node = bytes_by_node(Path(self.root) / "self/numa_maps")
        except OSError as error:
            mend = "mount /proc, and run a kernel with CONFIG_NUMA"
            self._value = f"/proc/self/numa_maps cannot be read ({error.strerror}): {mend}"
            return
        whole = sum(on_node.values())
        self._value = Reading(on_node.get(here, 0) / whole if whole else 0.0)

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the share."""
        return {"local_share": self._value}


def bytes_by_node(numa_maps: Path) -> dict[int, int]:
    """Return the bytes on each node of the mappings that are of no file, or of reserved huge pages."""
    found: dict[int, int] = {}
    for line in numa_maps.read_text().splitlines():
        if " file=" in line and " huge" not in line:
            continue
        size = _PAGE_SIZE.search(line)
        for node, pages in _PAGES.findall(line):
            found[int(node)] = found.get(int(node), 0) + int(pages) * int(size[1] if size else 4) * 1024
    return found
