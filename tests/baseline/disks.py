"""Sessions whose store lies on a small disk of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SESSIONS = """
import subprocess, sys
from pathlib import Path
Path("test_many.py").write_text('''
import pytest

@pytest.mark.memperf
@pytest.mark.parametrize("n", range(200))
def test_it(n): pass
''')
def session(*options):
    storage = "--memperf-storage={storage}"
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "test_many.py", storage, *options])
"""


def on_a_disk(script: str, storage: str, folder: Path, size: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a mount namespace with a file system of that size at ``disk``, and list what is left there.

    Args:
        script: may call ``session(*options)``, which runs 200 tests with the storage and returns the finished process.
    """
    (folder / "disk").mkdir()
    (folder / "script.py").write_text(f"{SESSIONS.format(storage=storage)}\n{script}")
    mount = f"mount -t tmpfs -o size={size} tmpfs disk && "
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{mount}{sys.executable} script.py; code=$?; find disk | sort; exit $code"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
