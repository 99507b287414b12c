"""What a side needs beside the project: pytest and this plugin, from the interpreter that runs ``memperf ab``.

They are put into a folder of links at the end of the side's search path. So whatever the side has installed itself goes
first, and nothing else of this interpreter's can be imported there: not even the project, which may be installed here.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

OURS = "pytest-memperf"


def link_tools(folder: Path) -> None:
    """Make the folder, with a link to each top-level module of this plugin and of what it requires."""
    folder.mkdir(parents=True)
    for found in _closure(OURS):
        for source in _top_level(found):
            link = folder / source.name
            if not link.exists():
                link.symlink_to(source)


def _closure(name: str) -> list[Distribution]:
    """Return a distribution and those that it requires here, each once; extras are left out."""
    found: dict[str, Distribution] = {}
    names = [name]
    for each in names:  # which grows meanwhile
        key = re.sub(r"[-_.]+", "-", each).lower()
        if key in found:
            continue
        found[key] = distribution(each)
        requirements = map(Requirement, found[key].requires or ())
        names += [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return list(found.values())


def _top_level(found: Distribution) -> Iterator[Path]:
    """Yield the files and folders right below the search path that a distribution has brought there."""
    files = found.files or []
    names = dict.fromkeys(file.parts[0] for file in files if ".." not in file.parts)
    for name in names:
        path = Path(str(found.locate_file(name)))
        if path.suffix != ".pth" and path.name != "__pycache__" and path.exists():
            yield path
    if found.metadata["Name"] == OURS:  # installed in place, most often by its developers
        for package in ("pytest_memperf", "cyx"):
            spec = importlib.util.find_spec(package)
            for place in (spec.submodule_search_locations or ()) if spec else ():
                yield Path(place)
