"""What is installed, and how: in place, imported from its sources, whatever state they are in by then; or for good."""

from __future__ import annotations

import json
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path


def editable(folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each distribution in these folders that is imported from its sources, and where these are."""
    for each in distributions(path=[*folders]):
        address = _address(each)
        if address.get("dir_info", {}).get("editable"):
            yield str(each.metadata["Name"]), str(address["url"]).removeprefix("file://")


def versions(folders: Sequence[str]) -> dict[str, str]:
    """Return the version of each distribution in these folders, but of those that come from this machine's own files.

    These are the project and what belongs to it, whose versions may have a commit in them.
    """
    return {str(each.metadata["Name"]): each.version for each in _from_elsewhere(folders)}


def loaded() -> dict[str, str]:
    """Return those of ``versions`` of which this process has imported something, of what is installed for good."""
    imported = {name.partition(".")[0] for name in sys.modules}
    folders = dict.fromkeys([*map(sysconfig.get_path, ("purelib", "platlib")), *site.getsitepackages()])
    return {
        str(each.metadata["Name"]): each.version
        for each in _from_elsewhere(folders)
        if not imported.isdisjoint(top_level(each))
    }


def top_level(distribution: Distribution) -> set[str]:
    """Return the names that the distribution's modules are imported by."""
    names = (distribution.read_text("top_level.txt") or "").split()
    if not names:  # then by its files, as they are noted: to look each one up takes long
        record = (distribution.read_text("RECORD") or "").splitlines()
        names = [line.partition(",")[0].partition("/")[0] for line in record if not line.startswith("..")]
    return modules(names)


def modules(names: Iterable[str]) -> set[str]:
    """Return the modules among the names of files right below the search path."""
    others = (".dist-info", ".egg-info", ".pth", "__pycache__")
    return {name.partition(".")[0] for name in names if not name.endswith(others)}


def paths_added(folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each file that adds to the search path, and what it adds; not every installer notes more."""
    for folder in map(Path, folders):
        for file in (*folder.glob("*.pth"), *folder.glob("*.egg-link")):
            for line in file.read_text(errors="replace").splitlines():
                if line.startswith("/"):
                    yield file.stem, line.strip()


def _from_elsewhere(folders: Iterable[str]) -> Iterator[Distribution]:
    """Yield the distributions in the folders that do not come from this machine's own files."""
    seen = set()
    for each in distributions(path=[*folders]):
        name = str(each.metadata["Name"])
        if name not in seen and not str(_address(each).get("url", "")).startswith("file:"):
            seen.add(name)  # of two with one name the first is imported
            yield each


def _address(each: Distribution) -> dict[str, dict[str, bool]]:
    """Return what the installer noted of where a distribution came from (PEP 610)."""
    try:
        found = json.loads(each.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
