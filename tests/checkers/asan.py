"""Run the tests of cyx under AddressSanitizer and UndefinedBehaviorSanitizer: ``tox -e asan`` or ``make asan``.

``--build`` installs the project into this environment with the sanitizers compiled into its extensions; without it
those are tested, and arguments go to pytest. Any report is a failure, also one of a child process of a test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from common import PROJECT, PYTEST, TESTS, VARIABLES, deselected, end, plant, verdict

FLAGS = "-g -fno-omit-frame-pointer -fsanitize=address,undefined -fsanitize-recover=address"
OPTIONS = (
    "halt_on_error=0",  # all that is to be found in one run
    "detect_leaks=0",  # the interpreter leaves most of its memory to the end of the process; valgrind looks for ours
    # The signals of bad pages belong to guard.h and to faulthandler, here as everywhere: that is tested. What the
    # sanitizer finds, it finds before the access, without a signal.
    "handle_segv=0",
    "handle_sigbus=0",
    "allocator_may_return_null=1",  # as malloc does, for a MemoryError
)
LEFT_OUT = {
    "cyx/test_settling.py": "it counts faults and blocks of glibc's malloc, which is replaced",
    "cyx/probes/test_probes.py::TestBatches::test_nothing_stays_resident": "shadow memory stays",
    "cyx/patterns/test_strided.py::TestTouchWrite::test_touches_each_page_once": "shadow memory takes faults",
    "cyx/test_region.py::TestHugePages::test_one_fault_for_each": "shadow memory takes faults",
    "cyx/patterns/test_sources.py::TestMistakes::test_a_block_too_large_for_memory": "shadows go beyond RLIMIT_AS",
    "cyx/allocators/test_allocator.py::TestWithoutMemory::test_an_address_space_that_is_full": "shadows, too",
    "cyx/test_region_acts.py::TestAdvice::test_guards_that_cannot_be": "the sanitizer makes mlock do nothing",
    "cyx/test_region_acts.py::TestOtherActs::test_lock": "the sanitizer makes mlock do nothing",
    "cyx/test_region_acts.py::TestOtherActs::test_lock_beyond_the_limit": "the sanitizer makes mlock do nothing",
}
REPORT = re.compile(r"ERROR: AddressSanitizer|runtime error: ")


def build() -> None:
    """Build from an sdist, in a folder of its own: what was built without the sanitizers is left alone."""
    with tempfile.TemporaryDirectory(prefix="memperf-asan-") as folder:
        subprocess.run([sys.executable, "-m", "build", "--sdist", "--outdir", folder, PROJECT], check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "uninstall", "--yes", "pytest-memperf"], check=True)  # it has the same version
        subprocess.run([*pip, "install", str(archive)], check=True, env={**os.environ, "CFLAGS": FLAGS})


def main(arguments: list[str]) -> int:
    """Build, or run the tests; return 0 where they pass and nothing was reported."""
    if arguments == ["--build"]:
        build()
        return 0
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory(prefix="memperf-asan-") as name:
        folder = Path(name)
        environment = {
            **os.environ,
            **VARIABLES,
            "LD_PRELOAD": library.stdout.strip(),
            "ASAN_OPTIONS": ":".join([*OPTIONS, f"log_path={folder}/report"]),
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={folder}/report",
        }
        plant(environment)
        if not reports(folder):
            end("the planted error was not found: build with --build first")
        for file in folder.iterdir():
            file.unlink()
        command = [*PYTEST, *deselected(LEFT_OUT), *arguments, str(TESTS / "cyx")]
        status = subprocess.run(command, env=environment, cwd=PROJECT).returncode
        found = reports(folder)
        return verdict(status, found, "reports of the sanitizers", LEFT_OUT)


def reports(folder: Path) -> list[str]:
    """Return what the sanitizers reported; they also write down when a program asks for too much memory."""
    texts = [file.read_text(errors="replace") for file in sorted(folder.iterdir())]
    return [text for text in texts if REPORT.search(text)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
