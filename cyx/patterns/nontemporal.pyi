from typing import SupportsIndex

from cyx.patterns.transfer import Transfer

# An object with the buffer protocol has no type of its own before Python 3.12 (PEP 688).
_Memory = object

def write_nontemporal(
    target: _Memory,
    value: SupportsIndex = 0,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...

def copy_nontemporal(
    target: _Memory,
    source: _Memory,
    *,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...
