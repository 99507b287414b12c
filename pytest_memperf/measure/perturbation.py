"""What follows the program line by line, and so changes what it costs: coverage, debuggers, profilers."""

from __future__ import annotations

import sys
from typing import Any

from pytest_memperf.model.result import PERTURBED

TOOL_IDS = 6
"""The numbers that sys.monitoring has for tools, from 0 (Python 3.12 and newer)."""


def tracers() -> list[str]:
    """Return the names of what traces this thread now."""
    names = [_package_of(trace) for trace in (sys.gettrace(), sys.getprofile()) if trace is not None]
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is not None:
        names += [name for number in range(TOOL_IDS) if (name := monitoring.get_tool(number))]
    return list(dict.fromkeys(names))


def notes_on_tracers(debugger: bool = False) -> list[str]:
    """Return what the results of this process have to say of them, if there are any.

    Args:
        debugger: each test will run under pdb (``--trace``).
    """
    names = [*tracers(), *(["pdb"] if debugger else [])]
    return [f"{PERTURBED}measured under {', '.join(names)}, which changes the values"] if names else []


def _package_of(trace: Any) -> str:
    module = getattr(trace, "__module__", None) or type(trace).__module__
    return str(module).partition(".")[0]
