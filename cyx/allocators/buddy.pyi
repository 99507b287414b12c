from typing_extensions import Buffer

from cyx.allocators.allocator import Allocator

class Buddy(Allocator):
    def __init__(self, *, size: int | None = None, memory: Buffer | None = None, checked: bool = False) -> None: ...
