"""Allocators behind NumPy and CPython, and counts of what these allocate."""

from cyx.hooks.hooks import DOMAINS, Counter, Swap, SwapOrderError, unavailable

__all__ = ["DOMAINS", "Counter", "Swap", "SwapOrderError", "unavailable"]
