"""Lets these tests import what they share, also with those of memperf ab."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parent.parent / "baseline" / "ab"):
    sys.path.append(str(folder))
