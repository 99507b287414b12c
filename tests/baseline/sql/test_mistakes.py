"""What goes wrong with a database is one line with its mend, and shows no password."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path

import pytest
from disks import on_a_disk
from mount_namespaces import needs_mounts
from postgresql_server import USER, Server
from stored import at, result_of, save

from pytest_memperf.model.errors import UsageMistake


def line_of(address: str, saves: bool = False) -> str:
    """Return the one line that reading or saving at an address ends with."""
    with pytest.raises(UsageMistake) as mistake:
        save(at(address)) if saves else at(address).runs()
    (line,) = str(mistake.value).splitlines()
    return line


class TestServer:
    """PostgreSQL."""

    def test_nobody_there(self) -> None:
        """As a rule a wrong host or port."""
        line = line_of("postgresql://me:secret@127.0.0.1:1/runs")
        assert line.startswith("postgresql://me@127.0.0.1:1/runs cannot be read (connection failed: ")
        assert line.endswith("): check host and port, and that the server runs and can be reached from here")
        assert "secret" not in line

    def test_a_wrong_password(self, server: Server) -> None:
        """It is not repeated."""
        line = line_of(server.address("postgres", password="wr0ng"), saves=True)
        assert 'password authentication failed for user "memperf"' in line
        assert line.endswith("): mend the user or the password, which PGPASSWORD or ~/.pgpass can hold")
        assert "wr0ng" not in line

    def test_no_password(self, server: Server) -> None:
        """The server asks for one."""
        line = line_of(f"postgresql://{USER}@/postgres?host={server.folder}")
        assert line.endswith("): mend the user or the password, which PGPASSWORD or ~/.pgpass can hold")

    def test_no_such_database(self, server: Server) -> None:
        """It must be made by hand."""
        line = line_of(server.address("nothing"))
        assert 'database "nothing" does not exist' in line
        assert line.endswith("): make it with createdb, or name another one")

    def test_a_user_who_may_only_read(self, server: Server) -> None:
        """Reads; saving is refused before any test runs, not only at the end."""
        database = server.new_database()
        save(at(server.address(database)))
        server.execute(f"CREATE USER {database} PASSWORD 'reads'", database)
        server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {database}", database)
        address = server.address(database, database, "reads")
        assert [run.read().results[0].test for run in at(address).runs()] == ["test_it.py::test_it"]
        assert line_of(address, saves=True).endswith(
            "(permission denied for table memperf_run): "
            "let its owner GRANT SELECT, INSERT, UPDATE and DELETE on all tables of memperf to this user"
        )

    def test_a_user_with_these_rights_saves(self, server: Server) -> None:
        """What the line names is enough."""
        database = server.new_database()
        save(at(server.address(database)))
        server.execute(f"CREATE USER {database} PASSWORD 'saves'", database)
        tables = f"ALL TABLES IN SCHEMA public TO {database}"
        server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables}", database)
        store = at(server.address(database, database, "saves"))
        save(store)
        store.runs()[0].remove()
        assert [run.number for run in store.runs()] == [2]

    def test_one_that_takes_no_changes(self, server: Server) -> None:
        """Such as a standby."""
        address = f"{server.address(server.new_database())}&options=-c%20default_transaction_read_only%3Don"
        assert "cannot be written (" not in str(at(address).runs())
        assert line_of(address, saves=True).endswith("name a server that takes changes, or a user who may make them")

    def test_an_option_that_libpq_does_not_know(self, server: Server) -> None:
        """In the query of the address."""
        assert 'invalid connection option "colour"' in line_of(f"{server.address('postgres')}&colour=secret")


class TestFile:
    """sqlite."""

    def test_no_folder(self, tmp_path: Path) -> None:
        """It is told before anything is measured."""
        assert line_of(f"sqlite:///{tmp_path}/nothing/runs.db", saves=True) == (
            f"sqlite:///{tmp_path}/nothing/runs.db cannot be written (No such file or directory): make the folder first"
        )

    def test_a_folder_where_the_file_should_be(self, tmp_path: Path) -> None:
        """The same."""
        assert line_of(f"sqlite:///{tmp_path}").startswith(f"sqlite:///{tmp_path} cannot be read (unable to open data")

    def test_no_database(self, tmp_path: Path) -> None:
        """A file of something else stays as it is."""
        file = tmp_path / "notes.txt"
        file.write_text("mine, " * 100)
        for saves in (False, True):
            line = line_of(f"sqlite:///{file}", saves)
            assert line.endswith("(file is not a database): name another file with --memperf-storage")
        assert file.read_text() == "mine, " * 100

    def test_a_damaged_one(self, tmp_path: Path) -> None:
        """Half of its pages are gone."""
        address = f"sqlite:///{tmp_path}/runs.db"
        for _ in range(20):
            save(at(address))
        file = tmp_path / "runs.db"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 8192 * 4096])
        assert "malformed" in line_of(address, saves=True)

    def test_random_damage(self, tmp_path: Path) -> None:
        """100 files with bytes turned over, zeroed, overwritten or cut off: one line, or runs as they were saved."""
        address, file = f"sqlite:///{tmp_path}/runs.db", tmp_path / "runs.db"
        for number in range(4):
            save(at(address), f"run{number}", results=[result_of(f"test_{each}", 600 + number) for each in range(100)])
        good, saved, read = file.read_bytes(), [run.document() for run in at(address).runs()], 0
        for number in range(100):
            file.write_bytes(damaged(good, random.Random(number)))
            try:
                for run in at(address).runs():
                    with contextlib.suppress(UsageMistake):
                        assert run.document() == saved[run.number - 1]
                        read += 1
            except UsageMistake as mistake:
                assert re.fullmatch(f"{address} cannot be read \\(.+", str(mistake))  # noqa: PT017  it may also be read
        assert 0 < read < 400


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return the data, not as it was."""
    start, size = chance.randrange(len(data)), chance.choice([1, 16, 512, 4096])
    kinds = [data[:start]]
    for there in (bytes(size), chance.randbytes(size), bytes(byte ^ 1 for byte in data[start : start + size])):
        kinds.append(data[:start] + there + data[start + size :])
    return chance.choice(kinds)


STORAGE = "sqlite:///disk/runs.db"


@needs_mounts
class TestDisk:
    """The file system is full or cannot be written."""

    def test_full_is_one_line(self, tmp_path: Path) -> None:
        """The run from before stays, no journal is left, and the session is no success."""
        script = "session('-k', '[1]', '--memperf-save')\nsys.exit(session('--memperf-save').returncode)"
        done = on_a_disk(script, STORAGE, tmp_path, "128k")
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert done.stderr.splitlines() == [
            f"ERROR: --memperf-save: sqlite:///{tmp_path}/disk/runs.db cannot be written (database or disk is full): "
            "free some space, or name another file with --memperf-storage"
        ]
        assert "200 passed" in done.stdout
        assert [line for line in done.stdout.splitlines() if line.startswith("disk")] == ["disk", "disk/runs.db"]

    def test_a_full_folder_for_temporary_files_is_one_line(self, tmp_path: Path) -> None:
        """Results wait there until the end; the tests run on, and the database gets nothing."""
        script = (
            "import os\nos.environ['TMPDIR'] = 'disk'\n"
            "sys.exit(session('--memperf-save', '--memperf-storage=sqlite:///runs.db').returncode)"
        )
        done = on_a_disk(script, STORAGE, tmp_path, "64k")
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert done.stderr.splitlines() == [
            f"ERROR: --memperf-save: {tmp_path}/disk cannot be written (No space left on device): "
            "free some space, or name another folder by TMPDIR"
        ]
        assert "200 passed" in done.stdout
        assert not (tmp_path / "runs.db").exists()

    def test_read_only_is_one_line_at_once(self, tmp_path: Path) -> None:
        """No test runs; what is there is read."""
        script = (
            "session('-k', '[1]', '--memperf-save=first')\n"
            "subprocess.run(['mount', '-o', 'remount,ro', 'disk'], check=True)\nprint('closed', flush=True)\n"
            "session('-k', '[1]', '--memperf-compare=first')\nprint('second', flush=True)\n"
            "sys.exit(session('--memperf-save').returncode)"
        )
        done = on_a_disk(script, STORAGE, tmp_path, "1m")
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "compared with run 0001, saved as first" in done.stdout.partition("closed")[2]
        assert [line for line in done.stderr.splitlines() if line] == [
            f"ERROR: sqlite:///{tmp_path}/disk/runs.db cannot be written (attempt to write a readonly database): "
            "mend the rights of the file and its folder, or name another one with --memperf-storage"
        ]
        assert "passed" not in done.stdout.partition("second")[2]
