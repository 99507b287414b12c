"""This process as it was when pytest loaded the plugin: before conftest files and tests changed it.

Templates start from here, so that they are the same whatever ran or was collected before them.
"""

from __future__ import annotations

import os
import sys

SEARCH_PATH = tuple(sys.path)
ENVIRONMENT = dict(os.environ)
