"""The documentation of the allocators, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from cyx import allocators

PAGE = Path(__file__).parents[3] / "docs" / "own-allocators.md"


def test_the_example_runs() -> None:
    """The Python of the page does what its assertions say."""
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {})


def test_each_allocator_has_a_row() -> None:
    """None of those that can be made is missing."""
    page = PAGE.read_text()
    kinds = [
        each for each in vars(allocators).values() if isinstance(each, type) and issubclass(each, allocators.Allocator)
    ]
    missing = [
        each.__name__ for each in kinds if each is not allocators.Allocator and f"| `{each.__name__}(" not in page
    ]
    assert not missing
