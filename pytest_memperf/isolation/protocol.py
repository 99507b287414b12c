"""What driver, templates and children say to each other: JSON in frames, over a pair of sockets."""

from __future__ import annotations

import json
import math
import os
import select
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

_LENGTH = struct.Struct("=I")
_NUMBER = struct.Struct("=i")
FORK = b"f"
"""Asks a template for a fork; the descriptor of the fork's own connection comes with it."""
FAILED = 1
"""The exit status of a template that could not get ready, and has said why."""


class ConnectionEnded(Exception):
    """The other side is gone, or has closed the connection."""


class TimeIsUp(Exception):
    """The other side did not answer in time."""


class Connection:
    """One end of a pair of sockets."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Connection, socket.socket]:
        """Return a new connection, and the socket at its other end to be handed on."""
        here, there = socket.socketpair()
        return cls(here), there

    def close(self) -> None:
        """Close this end: the other side reads ConnectionEnded."""
        self._socket.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message of plain data. ConnectionEnded where nobody listens any more."""
        data = json.dumps(message).encode()
        try:
            self._socket.sendall(_LENGTH.pack(len(data)) + data)
        except OSError as error:
            raise ConnectionEnded from error

    def receive(self, deadline: float | None = None, parent: Connection | None = None) -> dict[str, Any]:
        """Return the next message. ConnectionEnded, or TimeIsUp at the deadline of ``time.monotonic``.

        Args:
            deadline: None waits for ever.
            parent: the connection of the process that tells of the other side's end. Once it does, no more is waited
                for: what the other side started may hold its socket open.
        """
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size, deadline, parent))
        message: dict[str, Any] = json.loads(self._exactly(length, deadline, parent))
        return message

    def send_number(self, number: int) -> None:
        """Send a process id or a wait status, which takes no memory to speak of."""
        try:
            self._socket.sendall(_NUMBER.pack(number))
        except OSError as error:
            raise ConnectionEnded from error

    def receive_number(self, deadline: float | None = None) -> int:
        """Return what ``send_number`` sent. ConnectionEnded, or TimeIsUp at the deadline."""
        (number,) = _NUMBER.unpack(self._exactly(_NUMBER.size, deadline))
        return int(number)

    def send_ending(self, status: int, output: Mapping[str, str]) -> None:
        """Tell how a process ended, and what it left unsaid; a good end takes no memory to speak of."""
        self.send_number(status)
        if status:
            self.send(dict(output))

    def receive_ending(self, deadline: float | None = None) -> tuple[int, dict[str, str]]:
        """Return what ``send_ending`` sent. ConnectionEnded, or TimeIsUp at the deadline."""
        status = self.receive_number(deadline)
        return status, self.receive(deadline) if status else {}

    def ask_for_fork(self, end: socket.socket) -> None:
        """Ask the template at the other side for a fork that talks over this socket, and close our copy of it."""
        try:
            socket.send_fds(self._socket, [FORK], [end.fileno()])
        except OSError as error:
            raise ConnectionEnded from error
        finally:
            end.close()

    def wait_for_fork(self) -> socket.socket | None:
        """Return the socket that the next fork shall talk over; None once the other side is gone."""
        try:
            asked, descriptors, _, _ = socket.recv_fds(self._socket, len(FORK), 1)
        except OSError:
            return None
        return socket.socket(fileno=descriptors[0]) if asked == FORK and descriptors else None

    def _exactly(self, length: int, deadline: float | None, parent: Connection | None = None) -> bytearray:
        received = bytearray()
        while len(received) < length:
            if deadline is not None:
                left = deadline - time.monotonic()
                heard = left > 0 and _readable(left, self._socket, *([parent._socket] if parent else []))
                if not heard:
                    raise TimeIsUp
                # Looked at once more: what a process says before its end may come between the two looks of one poll.
                if self._socket.fileno() not in heard and not _readable(0, self._socket):
                    raise ConnectionEnded
            try:
                part = self._socket.recv(length - len(received))
            except OSError as error:
                raise ConnectionEnded from error
            if not part:
                raise ConnectionEnded
            received += part
        return received


def _readable(seconds: float, *sockets: socket.socket) -> list[int]:
    """Wait at most so long, and return the descriptors that have something to read, or whose other side is gone."""
    waiting = select.poll()  # unlike select.select it takes descriptors above 1023
    for each in sockets:
        waiting.register(each, select.POLLIN)
    return [descriptor for descriptor, _ in waiting.poll(math.ceil(seconds * 1000))]


def last_line(text: str) -> str | None:
    """Return the last line that says something, without the mark by which pytest shows an error's."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("E ").strip() if lines else None


def connection_on_stdin() -> Connection:
    """Take standard input as the connection, for good: who reads it later finds it empty."""
    end = socket.socket(fileno=os.dup(0))
    end.set_inheritable(False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return Connection(end)
