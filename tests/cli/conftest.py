"""Lets the tests of memperf ab import what they share with those of its parts."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "baseline" / "ab"))
