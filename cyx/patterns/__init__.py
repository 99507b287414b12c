"""Access patterns over memory or a file: one loop in C for each, without the GIL.

Memory is any object with the buffer protocol (bytes, mmap, a NumPy array in C order), and is used in place. A source
may be a file too: its descriptor, or an object with ``fileno()``. It is read by offset and keeps its position, so that
every call gives the same answer. A checksum does not depend on whether the same bytes were reached through memory or
through a file, nor on the number of threads.
"""

from cyx.patterns.adler import checksum
from cyx.patterns.at_random import touch_random
from cyx.patterns.blocks import read_blocks
from cyx.patterns.chase import Cycle
from cyx.patterns.indexed import gather, scatter
from cyx.patterns.nontemporal import copy_nontemporal, write_nontemporal
from cyx.patterns.search import count, find_lines
from cyx.patterns.sequential import fill, scan, write
from cyx.patterns.stream import add, copy, scale, triad
from cyx.patterns.strided import touch, touch_write
from cyx.patterns.transfer import Transfer

__all__ = [
    "Cycle",
    "Transfer",
    "add",
    "checksum",
    "copy",
    "copy_nontemporal",
    "count",
    "fill",
    "find_lines",
    "gather",
    "read_blocks",
    "scale",
    "scan",
    "scatter",
    "touch",
    "touch_random",
    "touch_write",
    "triad",
    "write",
    "write_nontemporal",
]
