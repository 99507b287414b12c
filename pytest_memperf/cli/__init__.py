"""The ``memperf`` command: one file for each of its commands."""

from __future__ import annotations


def main() -> int:
    """Run the command line."""
    raise SystemExit("memperf: no commands yet")
