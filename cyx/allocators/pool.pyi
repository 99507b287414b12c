from typing_extensions import Buffer

from cyx.allocators.allocator import Allocator

class Pool(Allocator):
    def __init__(
        self, block: int, *, alignment: int = 16, memory: Buffer | None = None, checked: bool = False
    ) -> None: ...
    @property
    def block(self) -> int: ...
