"""Other layouts of memory, by seed: what unrelated edits do to the heaps, done on purpose.

Layout 0 is the program as it is. The others differ in what differs between two versions of a project: blocks that live
or were freed before the test, the place of the next arena, a few imports, the size of the environment, the length of
paths. Padding at the end alone would miss most of it, so it is done in three stages.
"""

from __future__ import annotations

import importlib
from random import Random

MODULES = (
    "cmd", "colorsys", "configparser", "csv", "fractions", "graphlib", "html.parser", "mailbox", "plistlib", "sched",
    "shelve", "statistics", "wave", "xml.dom.minidom", "zipfile",
)  # fmt: skip
"""Of the standard library; what nearly every program imports, or what acts when imported, is not among them."""
SIZES = (16, 40, 64, 200, 480, 700, 1_500, 6_000, 40_000)
"""Bytes of the blocks, for pymalloc and for malloc."""
MOST_BLOCKS = 3_000
MOST_SMALL_BLOCKS = 8_000
"""As many of 100 bytes move the end of the last arena by up to most of one."""
LONGEST_PATH = 120
LARGEST_VARIABLE = 4_000

VARIABLE = "MEMPERF_LAYOUT"
"""The environment variable that makes up the size of the environment."""


class Layout:
    """The disturbances of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._living: list[object] = []

    def disturb(self, stage: str) -> None:
        """Leave living and freed blocks behind, and import something; nothing for seed 0."""
        if not self._seed:
            return
        random = Random(f"{self._seed} {stage}")
        blocks = [bytes(random.choice(SIZES)) for _ in range(random.randrange(MOST_BLOCKS))]
        self._living.append([block for block in blocks if random.random() < 0.5])
        del blocks
        self._living.append([bytes(100) for _ in range(random.randrange(MOST_SMALL_BLOCKS))])
        for name in random.sample(MODULES, random.randrange(3)):
            importlib.import_module(name)


def environment_padding(seed: int) -> str:
    """Return the value of ``VARIABLE`` for a seed."""
    return "x" * Random(f"{seed} environment").randrange(LARGEST_VARIABLE)


def path_padding(seed: int) -> str:
    """Return a folder that does not exist, for the end of the search path."""
    return "/memperf-layout/" + "x" * Random(f"{seed} path").randrange(LONGEST_PATH)
