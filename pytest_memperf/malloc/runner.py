"""A program of its own: runs a command with LD_PRELOAD set, and prints what the kernel says that it took, as JSON.

``python -I -S runner.py LD_PRELOAD FILE NAME [ARGUMENT ...]``. It imports little, for a process's figures begin with
those that it had before it became the command (execve(2)). A fork that becomes nothing tells how much that is: its
faults are taken off, and its peak is told too, below which none can be seen.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal to get when the parent ends."""
_PROGRAM = ctypes.CDLL(None)


def forked(loaded: str, file: str, command: list[str]) -> int:
    """Return the process id of a fork that becomes the command; where it cannot be that, it says why and ends."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _PROGRAM.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.dup2(2, 1)
        os.environ.pop("LD_PRELOAD", None)
        if loaded:
            os.environ["LD_PRELOAD"] = loaded
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores
        if os.getppid() == parent:
            os.execv(file, command)
    except OSError as error:
        if file:
            print(f"{file}: {error.strerror}", file=sys.stderr)
    finally:
        os._exit(127)


def main() -> None:
    """Run the command of the arguments."""
    loaded, file, *command = sys.argv[1:]
    _, _, before = os.wait4(forked(loaded, "", ["none"]), 0)
    began = time.perf_counter()
    _, status, used = os.wait4(forked(loaded, file, command), 0)
    took = time.perf_counter() - began
    found = {
        "status": os.waitstatus_to_exitcode(status),
        "wall_time": took,
        "cpu_time": used.ru_utime + used.ru_stime,
        "minor_faults": max(0, used.ru_minflt - before.ru_minflt),
        "major_faults": used.ru_majflt,
        "peak_rss": used.ru_maxrss * 1024,
        "least": before.ru_maxrss * 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
