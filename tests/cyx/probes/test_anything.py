"""Whatever the probes and the page cache are given, it is an answer or one of the documented exceptions."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyx import page_cache
from cyx.probes import procfs
from cyx.probes.perf import FaultCounter
from cyx.probes.sampler import RssSampler
from cyx.probes.smaps import rollup

pytestmark = pytest.mark.fuzz

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, "/", "/proc", "\0", "\ud800", Path("/nowhere"), object(), [], {}]),
)
REFUSED = (TypeError, ValueError, OverflowError, OSError)


@given(period=anything)
def test_samplers(period: Any) -> None:
    """It is made, and takes samples until it is stopped; or it is refused."""
    with contextlib.suppress(*REFUSED), RssSampler(period) as sampler:
        assert sampler.period > 0


@given(children=anything)
def test_fault_counters(children: Any) -> None:
    """It counts, or this machine has none."""
    with contextlib.suppress(*REFUSED), FaultCounter(children=children) as counter:
        assert counter.minor_faults >= 0


@given(root=anything)
def test_roots(root: Any) -> None:
    """There are figures below the root, or none."""
    for read in (procfs.statm, procfs.status, procfs.high_water_mark, procfs.block_reads, rollup):
        with contextlib.suppress(*REFUSED):
            read(root)


@given(file=anything, offset=anything, length=anything)
def test_page_cache(tmp_path: Path, file: Any, offset: Any, length: Any) -> None:
    """Of no file, and of parts that no file has."""
    given = tmp_path / "given"
    given.write_bytes(bytes(9000))
    for call in (page_cache.memory_file_system, page_cache.share):
        with contextlib.suppress(*REFUSED):
            call(file)
    with contextlib.suppress(*REFUSED):
        assert 0 <= page_cache.share(given, offset, length) <= 1
