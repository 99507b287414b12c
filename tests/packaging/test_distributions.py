"""The sdist, the wheel built from it, and the editable install, each made from a copy of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

pytest.importorskip("build", reason="the build package is not installed: pip install build")
pytest.importorskip("Cython", reason="Cython is not installed: pip install Cython")
setuptools = pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 or newer is not installed")

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv*", ".tox", ".*_cache", ".hypothesis", ".benchmarks", ".coverage*"),
    *("*.so", "build", "dist", "*.egg-info", "__pycache__"),
)

COMPILER = Path(__file__).with_name("unoptimised_cc")
"""What is built is looked at and imported, not timed, and builds in a third of the time."""


def run(*command: str | Path, folder: Path) -> str:
    """Run a command in the folder and return its output. AssertionError, with the output, where it fails."""
    environment = {**os.environ, "CC": str(COMPILER)}
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout, without what builds leave behind."""
    copy = tmp_path_factory.mktemp("checkout") / "pytest-memperf"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    for source in copy.joinpath("cyx").rglob("*.pyx"):
        source.with_suffix(".c").unlink(missing_ok=True)
    return copy


@pytest.fixture(scope="module")
def distributions(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("distributions")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout, folder=checkout)
    return folder


def names_in_wheel(distributions: Path) -> set[str]:
    """Return the wheel's files, but those of its metadata; extension modules as the ``.pyx`` that they come from."""
    (wheel,) = distributions.glob("*.whl")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    names = zipfile.ZipFile(wheel).namelist()
    return {name.replace(suffix, ".pyx") for name in names if ".dist-info/" not in name}


def sources(checkout: Path, *suffixes: str) -> set[str]:
    """Return the files of both packages with one of the suffixes."""
    return {
        str(PurePosixPath(path.relative_to(checkout)))
        for package in ("pytest_memperf", "cyx")
        for path in (checkout / package).rglob("*")
        if path.suffix in suffixes
    }


def test_the_wheel_holds_the_packages_and_nothing_else(checkout: Path, distributions: Path) -> None:
    """Python, stubs, declarations and headers for Cython users, schemas and compiled modules are there; no source."""
    typed = {"pytest_memperf/py.typed", "cyx/py.typed"}
    preloaded = {"cyx/preload.pyx"}  # no module, but built as one, and of plain C
    headers = {name for name in sources(checkout, ".h") if name.startswith("cyx/allocators/")}
    expected = sources(checkout, ".py", ".pyi", ".pxd", ".pyx", ".json") | typed | preloaded | headers
    assert names_in_wheel(distributions) == expected
    (wheel,) = distributions.glob("*.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".c", ".pyx"))]


def test_each_compiled_module_has_a_stub_and_declarations(checkout: Path) -> None:
    """A type checker and other Cython code can use every module of cyx."""
    modules = {name.removesuffix(".pyx") for name in sources(checkout, ".pyx")}
    assert modules
    assert modules <= {name.removesuffix(".pyi") for name in sources(checkout, ".pyi")}


def project_files(checkout: Path) -> set[str]:
    """Return the files that git keeps, or would; where this is no clone, those of the copy."""
    git = shutil.which("git") or pytest.skip("git is not installed: apt-get install git")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    names = {name for name in listed if (ROOT / name).is_file()}
    return names or {str(path.relative_to(checkout)) for path in checkout.rglob("*") if path.is_file()}


def test_the_sdist_holds_the_whole_project(checkout: Path, distributions: Path) -> None:
    """Whoever has only the sdist can build, test, lint and read everything; nothing else lies beside it."""
    wanted = project_files(checkout)
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    assert wanted >= {"LICENSE", "README.md", "pyproject.toml"}
    assert not wanted - packed
    made = {name for name in packed - wanted if name not in ("PKG-INFO", "setup.cfg") and ".egg-info/" not in name}
    assert not made


def test_an_editable_install_works_with_warnings_as_errors(checkout: Path, tmp_path: Path) -> None:
    """After ``pip install -e`` an edit of the source is seen at once, and no import warns."""
    # Without pip, for some come with a setuptools of their own, too old to build with.
    run(sys.executable, "-m", "venv", "--without-pip", "environment", folder=tmp_path)
    python = tmp_path / "environment" / "bin" / "python"
    (packages,) = (tmp_path / "environment" / "lib").glob("python*/site-packages")
    # The dependencies come from the environment that runs this test, but not the project itself.
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if not installed.name.startswith(("cyx", "pytest_memperf", "__editable__")):
            (packages / installed.name).symlink_to(installed)
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", python)
    run(*pip, "install", "--no-deps", "--no-build-isolation", "--editable", checkout, folder=tmp_path)
    (checkout / "pytest_memperf" / "edited.py").write_text("answer = 42\n", encoding="utf-8")
    code = (
        "import cyx.probes, pytest_memperf.plugin, pytest_memperf.edited as edited; "
        "print(edited.answer, cyx.probes.__file__)"
    )
    try:
        answer, place = run(python, "-W", "error", "-c", code, folder=tmp_path).split()
    finally:
        (checkout / "pytest_memperf" / "edited.py").unlink()
    assert answer == "42"
    assert Path(place).is_relative_to(checkout)


NOT_FOR_STUBTEST = """
# A class that __cinit__ makes has no signature of its own at runtime.
cyx\\..*\\.__init__
# Present at runtime from Python 3.12 on only (PEP 688).
cyx\\..*\\.__buffer__
"""


def test_the_stubs_match_the_compiled_modules(tmp_path: Path) -> None:
    """The .pyi files name what the modules have, with the same arguments."""
    pytest.importorskip("mypy", reason="mypy is not installed: pip install mypy")
    tmp_path.joinpath("allowed").write_text(NOT_FOR_STUBTEST, encoding="utf-8")
    options = ("--ignore-missing-stub", "--ignore-disjoint-bases", "--allowlist=allowed", "--ignore-unused-allowlist")
    checked = run(sys.executable, "-m", "mypy.stubtest", "cyx", *options, folder=tmp_path)
    assert "Success" in checked
