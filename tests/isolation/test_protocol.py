"""Messages between driver, templates and children arrive whole, in order, or not at all."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.isolation.protocol import Connection, ConnectionEnded, TimeIsUp

TEXT = st.text(st.characters(), max_size=20)  # lone surrogates too: file names have them
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.dictionaries(TEXT, VALUES, max_size=4)


def soon() -> float:
    """Return a deadline that is not reached."""
    return time.monotonic() + 60


def frame(message: dict[str, Any]) -> bytes:
    """Return a message as it goes over the wire: its length, then JSON."""
    data = json.dumps(message).encode()
    return struct.pack("=I", len(data)) + data


@given(st.lists(MESSAGES, max_size=5))
def test_messages_arrive_in_order(messages: list[dict[str, Any]]) -> None:
    """What is sent is received, and after the last one the end."""
    here, end = Connection.pair()
    there = Connection(end)
    for message in messages:
        there.send(message)
    there.close()
    assert [here.receive(soon()) for _ in messages] == messages
    with pytest.raises(ConnectionEnded):
        here.receive(soon())
    here.close()


@given(st.lists(MESSAGES, min_size=1, max_size=3), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_pieces_are_put_together(messages: list[dict[str, Any]], sizes: Sequence[int]) -> None:
    """However the bytes are cut on their way, the messages are the same."""
    here, end = Connection.pair()
    data = b"".join(map(frame, messages))

    def send_in_pieces() -> None:
        start = turn = 0
        while start < len(data):
            size = sizes[turn % len(sizes)]
            end.sendall(data[start : start + size])
            start, turn = start + size, turn + 1
        end.close()

    sender = threading.Thread(target=send_in_pieces)
    sender.start()
    received = [here.receive(soon()) for _ in messages]
    sender.join()
    here.close()
    assert received == messages


@given(MESSAGES, st.data())
def test_message_that_breaks_off_is_the_end(message: dict[str, Any], data: st.DataObject) -> None:
    """A process that dies while it speaks has said nothing."""
    whole = frame(message)
    length = data.draw(st.integers(0, len(whole) - 1))
    patient = data.draw(st.booleans())
    here, end = Connection.pair()
    end.sendall(whole[:length])
    end.close()
    with pytest.raises(ConnectionEnded):
        here.receive(None if patient else soon())
    here.close()


@pytest.mark.parametrize("sent", [b"", b"\x09", struct.pack("=I", 9), struct.pack("=I", 9) + b"{"])
def test_deadline_within_a_message(sent: bytes) -> None:
    """The time is up wherever the other side stops."""
    here, end = Connection.pair()
    end.sendall(sent)
    with pytest.raises(TimeIsUp):
        here.receive(time.monotonic() + 0.02)
    here.close()
    end.close()


@given(st.integers(-(2**31), 2**31 - 1), st.dictionaries(TEXT, TEXT, max_size=2))
def test_numbers_and_endings(number: int, output: dict[str, str]) -> None:
    """A bad end brings its output along, a good one nothing."""
    here, end = Connection.pair()
    there = Connection(end)
    there.send_number(number)
    there.send_ending(number, output)
    assert here.receive_number(soon()) == number
    assert here.receive_ending(soon()) == (number, output if number else {})
    here.close()
    there.close()


def test_nobody_listens() -> None:
    """Sending to a closed connection is its end, by whatever method."""
    here, end = Connection.pair()
    end.close()
    with pytest.raises(ConnectionEnded):
        here.send({})
    with pytest.raises(ConnectionEnded):
        here.send_number(1)
    with pytest.raises(ConnectionEnded):
        here.ask_for_fork(socket.socket())
    here.close()


def test_descriptor_comes_with_the_request_for_a_fork() -> None:
    """The template gets the socket over which its fork talks to the driver; the end of the driver is None."""
    here, end = Connection.pair()
    there = Connection(end)
    of_driver, of_fork = Connection.pair()
    here.ask_for_fork(of_fork)
    assert of_fork.fileno() == -1  # our copy is closed: the fork's end is seen here
    received = there.wait_for_fork()
    assert received is not None
    Connection(received).send({"from": "the fork"})
    assert of_driver.receive(soon()) == {"from": "the fork"}
    here.close()
    assert there.wait_for_fork() is None
    for each in (there, of_driver):
        each.close()
    received.close()


def test_end_told_by_the_parent() -> None:
    """What a child said before its parent tells of its end is received; then it is over, though its socket is held."""
    here, held = Connection.pair()
    parent, end_of_parent = Connection.pair()
    Connection(held).send({"last": "words"})
    Connection(end_of_parent).send_number(-9)
    assert here.receive(soon(), parent) == {"last": "words"}
    with pytest.raises(ConnectionEnded):
        here.receive(soon(), parent)
    assert parent.receive_number(soon()) == -9
    for each in (here, parent):
        each.close()
    held.close()
    end_of_parent.close()
