"""What is installed, and how: in place, imported from its sources, whatever state they are in by then; or for good."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
    found: dict[str, str] = {}
    for each in distributions(path=[*folders]):  # of two with one name the first is imported
        if not str(_address(each).get("url", "")).startswith("file:"):
            found.setdefault(str(each.metadata["Name"]), each.version)
    return found


def paths_added(folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each file that adds to the search path, and what it adds; not every installer notes more."""
    for folder in map(Path, folders):
        for file in (*folder.glob("*.pth"), *folder.glob("*.egg-link")):
            for line in file.read_text(errors="replace").splitlines():
                if line.startswith("/"):
                    yield file.stem, line.strip()


def _address(each: Distribution) -> dict[str, dict[str, bool]]:
    """Return what the installer noted of where a distribution came from (PEP 610)."""
    try:
        found = json.loads(each.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
