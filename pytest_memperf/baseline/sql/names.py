"""Names of tests as a database can hold and find them."""

from __future__ import annotations

import hashlib
import json


def storable(text: str) -> str:
    """Return the text in ASCII without NUL, which any database can hold, whatever its encoding.

    Each character for itself, so that a part of a text is a part here too; but two texts may become the same.
    """
    return text.encode("ascii", "backslashreplace").decode("ascii").replace("\0", "\\x00")


def digest(text: str) -> str:
    """Return 64 digits that no other text has."""
    return hashlib.sha256(json.dumps(text).encode("ascii")).hexdigest()
