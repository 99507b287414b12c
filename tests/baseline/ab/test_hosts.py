"""One machine of several; what machines come to is tested with the command."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("execnet", reason="execnet is not installed: pip install pytest-memperf[remote]")

from pytest_memperf.baseline.ab.hosts import Ending, Host
from pytest_memperf.baseline.ab.parcel import Parcel
from pytest_memperf.baseline.ab.task import Task


def test_interrupted_before_it_connects() -> None:
    """Nothing is sent: it ends like one that had nothing to tell yet."""
    host, told = Host("here", f"popen//python={sys.executable}"), list[str]()
    try:
        host.interrupt()
        ending = host.run(Parcel((), None, None, None), "", Task(), told.append)
    finally:
        host.close()

    assert ending == Ending("here")
    assert told == ["here: connects"]
