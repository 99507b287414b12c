"""The first interval of a process: its own code has not run before."""

from __future__ import annotations

import subprocess
import sys

import pytest

CALL = "interval.call(nothing)"
BLOCK = "with interval: pass"
BRACKET = "with Block(): pass"
PROGRAM = """
from cyx.probes import Bracket, Interval

def nothing(): pass

class Block(Bracket):
    def opening(self): return interval

nothing()
interval = Interval()
{use}
print(interval.minor_faults, interval.major_faults, interval.retained_rss, interval.peak_bounds)
"""


@pytest.mark.parametrize("use", [CALL, BLOCK, BRACKET])
def test_the_first_one_is_empty(use: str) -> None:
    """No fault and no byte of it is the interval's own, in eight processes of eight address layouts."""
    for _ in range(8):
        output = subprocess.check_output([sys.executable, "-c", PROGRAM.format(use=use)], text=True)
        assert output == "0 0 0 (0, 0)\n"
