"""Run a command and tell what it left on the machine: ``python tests/leftovers/around.py make test``.

Huge pages of every pool and node, mounts, loop devices, shared memory, processes, files of data, settings, processors
and policies. The exit code is the command's, or 1 where something is left.
"""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import tempfile
import uuid
from functools import partial
from pathlib import Path

from snapshot import MARK, differences, snapshot


def main(command: list[str]) -> int:
    """Run it."""
    mark = uuid.uuid4().hex
    look = partial(snapshot, mark, [Path(tempfile.gettempdir(), f"pytest-of-{getpass.getuser()}")])
    before = look()
    status = subprocess.run(command, env={**os.environ, MARK: mark}).returncode
    left = differences(before, look)
    print(f"leftovers of {' '.join(command)}: {len(left)} differences in {len(before)} places", *left, sep="\n  ")
    return status or int(bool(left))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
