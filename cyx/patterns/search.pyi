from typing import SupportsIndex

from cyx.patterns.transfer import Transfer

# An object with the buffer protocol has no type of its own before Python 3.12 (PEP 688).
_Memory = object

def count(
    source: _Memory,
    value: SupportsIndex,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...

def find_lines(
    source: _Memory,
    end: SupportsIndex = 10,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...
