from typing import SupportsIndex

from cyx.patterns.transfer import Transfer

# An object with the buffer protocol has no type of its own before Python 3.12 (PEP 688).
_Memory = object

class Cycle:
    def __init__(
        self,
        memory: _Memory,
        node: SupportsIndex = 64,
        place: SupportsIndex = 0,
        seed: SupportsIndex = 0,
        *,
        offset: SupportsIndex = 0,
        length: SupportsIndex | None = None,
        threads: SupportsIndex = 1,
        first_touch: bool = False,
    ) -> None: ...
    @property
    def node(self) -> int: ...
    @property
    def place(self) -> int: ...
    @property
    def nodes(self) -> int: ...
    def verify(self) -> None: ...
    def chase(self, steps: SupportsIndex, chains: SupportsIndex = 1, *, threads: SupportsIndex = 1) -> Transfer: ...
