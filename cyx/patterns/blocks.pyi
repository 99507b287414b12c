from typing import Literal, SupportsIndex

from cyx.patterns.transfer import Transfer

# An object with the buffer protocol has no type of its own before Python 3.12 (PEP 688).
_Source = object  # memory or an open file

def read_blocks(
    source: _Source,
    block: SupportsIndex = ...,
    stride: SupportsIndex = ...,
    *,
    call: Literal["pread", "read"] = "pread",
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    first_touch: bool = False,
    passes: SupportsIndex = 1,
) -> Transfer: ...
