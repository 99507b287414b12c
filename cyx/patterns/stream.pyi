from typing import SupportsFloat, SupportsIndex

from cyx.patterns.transfer import Transfer

# An object with the buffer protocol has no type of its own before Python 3.12 (PEP 688).
_Memory = object

def copy(
    target: _Memory,
    source: _Memory,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...

def scale(
    target: _Memory,
    source: _Memory,
    factor: SupportsFloat = 3.0,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...

def add(
    target: _Memory,
    source: _Memory,
    second: _Memory,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...

def triad(
    target: _Memory,
    source: _Memory,
    second: _Memory,
    factor: SupportsFloat = 3.0,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...
