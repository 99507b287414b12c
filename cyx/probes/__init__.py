"""What the kernel says about this process: counters at both ends of a stretch of code, memory, faults."""

from cyx.probes.frame_stack import touch_free_slots
from cyx.probes.interval import Bracket, Interval
from cyx.probes.procfs import clear_accessed, high_water_mark, reset_peak, statm

__all__ = [
    "Bracket",
    "Interval",
    "clear_accessed",
    "high_water_mark",
    "reset_peak",
    "statm",
    "touch_free_slots",
]
