"""The gate on a machine that another one has sent a task to: what runs there, at the far end of execnet's channel."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from typing import Any, Protocol

from pytest_memperf.baseline.ab.parcel import Parcel, unpack
from pytest_memperf.baseline.ab.task import Task, carry_out
from pytest_memperf.baseline.ab.workplace import workplace
from pytest_memperf.model.errors import UsageMistake

ENDED = None
"""What the callback of a channel gets once nobody is at its other end."""


class Channel(Protocol):
    """What is used of execnet's, which need not be installed here."""

    def send(self, item: object) -> None:
        """Send plain data. OSError where nobody listens any more."""

    def receive(self) -> Any:
        """Return what was sent. EOFError where no more will be."""

    def setcallback(self, callback: Any, endmarker: object) -> None:
        """Have a thread call this with all that is sent from now on, and with the marker at the end."""


def serve(channel: Channel) -> None:
    """Receive a task with its parcel, and send what is under way, then what it came to; see ``hosts``.

    An ``interrupt`` ends it with what there is by then, as Ctrl-C would; the end of the connection, for good.
    """
    _apart()
    asked = json.loads(channel.receive())
    parcel = Parcel.from_json(asked["parcel"])
    try:
        if shutil.which("git") is None:
            raise UsageMistake("git is not installed there: install it")
        with workplace() as folder:
            unpack(parcel, _received(channel), folder / "repository")
            channel.setcallback(_interrupted, endmarker=ENDED)
            place = folder / "repository" / asked["folder"]
            place.mkdir(parents=True, exist_ok=True)
            os.chdir(place)
            found = carry_out(Task.from_json(asked["task"]), lambda text: _send(channel, told=text))
        _send(channel, gate=found.as_json())
    except UsageMistake as mistake:
        _send(channel, mistake=str(mistake))
    except KeyboardInterrupt:
        _send(channel, interrupted=True)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end of the connection is none of the work any more


def _apart() -> None:
    """Be a group of processes of its own, which can be interrupted as a terminal does it, without one."""
    if os.getpgrp() != os.getpid():
        os.setsid()
    signal.signal(signal.SIGINT, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see ``hosts``
    sys.path[:] = filter(None, sys.path)  # nothing is to be imported from the project's folder


def _interrupt(number: int, frame: object) -> None:
    """Interrupt once: what is to be removed then is removed whole."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _interrupted(message: object) -> None:
    """Interrupt the main thread, and git; builds and sides have groups of their own, and are ended."""
    os.killpg(0, signal.SIGINT)


def _received(channel: Channel) -> Iterator[bytes]:
    while True:
        yield channel.receive()


def _send(channel: Channel, **message: object) -> None:
    with contextlib.suppress(OSError):
        channel.send(json.dumps(message))
