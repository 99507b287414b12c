"""What the tests on several nodes share: the machine that they are for, and other witnesses of where pages lie."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_memperf.environment.numa import Topology, topology
from pytest_memperf.fixtures.numa_buffer import NumaBuffers

MACHINE = "MEMPERF_NUMA"
"""The variable by which machines.py tells its tests that they are in the machine that they are for."""


class Refused(Exception):
    """Stands for the skip of a test, so that its reason can be looked at."""


@pytest.fixture
def refusing() -> NumaBuffers:
    """Return the fixture as a test has it, but that the reason of a skip is raised as ``Refused``."""

    def refuse(reason: str) -> NoReturn:
        raise Refused(reason)

    return NumaBuffers(refuse)


@pytest.fixture(scope="session")
def require() -> Callable[[bool, str], None]:
    """Return a function that skips where the machine is another; within machines.py that is a failure."""

    def check(holds: bool, what: str) -> None:
        if not holds and MACHINE in os.environ:
            pytest.fail(f"this machine was made to have {what}")
        if not holds:
            pytest.skip(f"needs {what}: tox -e numa makes such machines")

    return check


@pytest.fixture(scope="session")
def nodes() -> Topology:
    """Return the nodes of the machine."""
    return topology()


@pytest.fixture
def numa_maps() -> Callable[[int], dict[int, int]]:
    """Return a function for the pages by node that the kernel lists for the mapping that begins at an address."""

    def look(address: int) -> dict[int, int]:
        lines = Path("/proc/self/numa_maps").read_text().splitlines()
        (line,) = [line for line in lines if int(line.split()[0], 16) == address]
        return {int(node): int(pages) for node, pages in re.findall(r" N(\d+)=(\d+)", line)}

    return look


@pytest.fixture
def numactl() -> Callable[..., str]:
    """Return a function that runs numactl with these arguments and returns what it prints."""
    if shutil.which("numactl") is None:
        pytest.skip("numactl is not installed: apt-get install numactl")
    return lambda *arguments: subprocess.check_output(["numactl", *arguments], text=True, timeout=300)
