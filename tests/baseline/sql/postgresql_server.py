"""A server of PostgreSQL for the tests alone: in a folder of its own, on a socket in that, gone with who started it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg

from cyx.process import die_with_parent

USER = "memperf"
LACKING = "no PostgreSQL server here: apt-get install postgresql"
_DEADLINE = 60.0
"""Seconds for it to start."""
# The shell outlives whoever started it for as long as it takes to end the server and remove the folder.
_SUPERVISED = f"""
trap 'kill -QUIT "$child"' TERM
"$BIN/initdb" -D data --username={USER} --pwfile=password --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync &
child=$!
wait "$child" && {{ "$BIN/postgres" -D data "$@" & child=$!; wait "$child"; }}
wait
rm -rf "$FOLDER"
"""


def programs() -> Path | None:
    """Return the folder of the server's programs, of the newest version; None where there are none."""
    found = [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    folder: Path
    password: str

    def address(self, database: str, user: str = USER, password: str | None = None) -> str:
        """Return the address of a database, with the password."""
        return f"postgresql://{user}:{quote(password or self.password, safe='')}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Execute a statement as the one who may do everything."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            connection.execute(statement)

    def new_database(self) -> str:
        """Make a database and return its name."""
        name = f"runs_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name}")
        return name


@contextmanager
def started(*settings: str) -> Iterator[Server]:
    """Start a server; its data do not survive a loss of power, unless the settings say so: ``fsync=on``."""
    bin_folder = programs()
    assert bin_folder is not None, LACKING
    owner = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="memperf-postgresql-"))
    server = Server(folder, f"p@ss:{secrets.token_hex(8)}")
    (folder / "password").write_text(server.password)
    options = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "max_connections=60", *settings]
    command = ["sh", "-c", _SUPERVISED, "sh", *(word for option in options for word in ("-c", option))]
    with tempfile.TemporaryFile() as log:
        as_whom: dict[str, Any] = {}
        if owner is not None:
            as_whom = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            for path in (folder, folder / "password"):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        process = subprocess.Popen(
            command, cwd=folder, preexec_fn=partial(die_with_parent, signal.SIGTERM),
            env={"PATH": os.environ["PATH"], "BIN": str(bin_folder), "FOLDER": str(folder), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_whom,
        )  # fmt: skip
        try:
            _wait_for(server, process, log)
            yield server
        finally:
            process.terminate()
            process.wait()


def _unprivileged() -> pwd.struct_passwd | None:
    """Return whom the server runs as, where we are root: it refuses that."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE
    while True:
        try:
            psycopg.connect(server.address("postgres")).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise AssertionError(log.read().decode()) from None
            time.sleep(0.05)
