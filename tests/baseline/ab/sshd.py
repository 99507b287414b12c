"""A server of ssh for the tests alone: an ordinary process with keys of its own, gone with who started it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from cyx.process import die_with_parent

LACKING = "no ssh here: apt-get install openssh-server openssh-client"
_SEPARATION = Path("/run/sshd")
"""Without this folder the server of Debian does not start as root; its service makes it."""
_SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""
_CLIENT = """
Host box
HostName 127.0.0.1
Port {port}
User {user}
IdentityFile {folder}/user
IdentitiesOnly yes
UserKnownHostsFile {folder}/known
StrictHostKeyChecking no
BatchMode yes
"""


def program() -> str | None:
    """Return the path of the server, which must be whole; None where client or server are not installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") if shutil.which("ssh") else None


@contextmanager
def server(folder: Path) -> Iterator[Path]:
    """Start one, and yield the configuration with which ``ssh -F`` reaches it as ``box``."""
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(key, check=True, stdin=subprocess.DEVNULL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = {"port": port, "folder": folder, "user": getpass.getuser()}
    (folder / "server").write_text(_SERVER.format(**words))
    (folder / "client").write_text(_CLIENT.format(**words))
    made = os.geteuid() == 0 and not _SEPARATION.exists()
    if made:
        _SEPARATION.mkdir(mode=0o755)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(program()), "-D", "-e", "-f", str(folder / "server")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=partial(die_with_parent, 15),
        )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.02)
        yield folder / "client"
    finally:
        process.terminate()
        process.wait()
        if made:
            with suppress(OSError):
                _SEPARATION.rmdir()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def specification(configuration: Path, *variables: str) -> str:
    """Return what leads to this interpreter there, which has these variables of ours."""
    own = "//".join(f"env:{name}={os.environ[name]}" for name in variables)
    return f"ssh=box//ssh_config={configuration}//python={sys.executable}//{own}"
