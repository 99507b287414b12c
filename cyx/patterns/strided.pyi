from typing import SupportsIndex

from cyx.patterns.transfer import Transfer

# An object with the buffer protocol has no type of its own before Python 3.12 (PEP 688).
_Memory = object
_Source = object  # memory or an open file

def touch(
    source: _Source,
    stride: SupportsIndex = ...,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...

def touch_write(
    target: _Memory,
    stride: SupportsIndex = ...,
    value: SupportsIndex = 0,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...
