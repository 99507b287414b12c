"""What a session ran on: everything that decides fault counts and speeds besides the code. None is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment of the process that measured. Sizes are bytes; a mapping is empty where there is nothing."""

    machine: str | None = None
    """Tells machines apart, and no more: a digest of the machine's id and its name."""
    kernel: str | None = None
    """The release, such as ``6.18.1``."""
    architecture: str | None = None
    cpu: str | None = None
    """The processor's model."""
    cpus: int | None = None
    """Processors online."""
    cores: int | None = None
    """Cores that these belong to: half as many where each core runs two threads."""
    affinity: str | None = None
    """Processors that the process may run on, such as ``0-3,8``."""
    memory: int | None = None
    swap: int | None = None
    page_size: int | None = None
    numa_nodes: int | None = None
    numa_balancing: bool | None = None
    thp: str | None = None
    """Transparent huge pages: ``always``, ``madvise`` or ``never``."""
    thp_defrag: str | None = None
    thp_sizes: Mapping[str, str] | None = None
    """The setting of each size of huge page, such as ``{"2048kB": "inherit"}``."""
    khugepaged: Mapping[str, str] | None = None
    huge_pages: Mapping[str, int] | None = None
    """Huge pages reserved, by size."""
    aslr: str | None = None
    """Whether addresses are random: ``full``, ``partial`` or ``off``."""
    cgroup: Mapping[str, str] | None = None
    """Limits of the control group, with its version; only those that are set."""
    container: str | None = None
    """The container's kind; ``none`` where there is none."""
    vm: str | None = None
    """The hypervisor; ``none`` where there is none."""
    allocator: str | None = None
    """Who serves ``malloc``, such as ``glibc 2.36`` or ``jemalloc``."""
    allocator_tuning: Mapping[str, str] | None = None
    """Variables that tune an allocator, malloc's or Python's."""
    python: str | None = None
    """Implementation and version, such as ``CPython 3.12.1``."""
    numpy: str | None = None
    """The installed version; None also where NumPy is not installed."""
    numpy_huge_pages: bool | None = None
    """Whether NumPy asks for huge pages; None where the process has not loaded it."""
    plugins: Mapping[str, str] | None = None
    """The pytest plugins that were loaded, with their versions."""
    libraries: Mapping[str, str] | None = None
    """What else of others was imported, with its version: not the project itself, nor what comes from its folders."""

    def as_json(self) -> dict[str, Any]:
        """Return the environment as plain JSON data; unknowns are null."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Environment:
        """Return the environment that ``as_json`` wrote; what this version does not know is left out."""
        return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})
