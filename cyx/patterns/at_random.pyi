from typing import Literal, SupportsFloat, SupportsIndex

from cyx.patterns.transfer import Transfer

# An object with the buffer protocol has no type of its own before Python 3.12 (PEP 688).
_Source = object  # memory or an open file

def touch_random(
    source: _Source,
    count: SupportsIndex,
    seed: SupportsIndex = 0,
    *,
    unit: SupportsIndex = 1,
    repeat: bool = True,
    distribution: Literal["uniform", "zipf"] = "uniform",
    skew: SupportsFloat = 0.99,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...
