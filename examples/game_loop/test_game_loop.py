"""A game loop that allocates nothing: objects from typed pools, over 10,000 frames. See README.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, Generic, TypeVar

import pytest

FRAMES = int(os.environ.get("GAME_LOOP_FRAMES", "10000"))
SHOTS = 64
LIFE = 30
T = TypeVar("T")


class Shot:
    """Something that flies for a while: positions in whole pixels, so that no number is made."""

    __slots__ = ("age", "next_free", "x", "y")

    def __init__(self) -> None:
        self.x = 0
        self.y = 0
        self.age = 0
        self.next_free: Shot | None = None


class ObjectPool(Generic[T]):
    """Objects of one type, made beforehand, handed out and taken back: a list through the objects themselves."""

    def __init__(self, make: Callable[[], T], count: int) -> None:
        self.free: Any = None
        for _ in range(count):
            self.give_back(make())

    def take(self) -> Any:
        """Return one of the free objects, or None."""
        taken = self.free
        if taken is not None:
            self.free = taken.next_free
        return taken

    def give_back(self, one: Any) -> None:
        """Take one back."""
        one.next_free = self.free
        self.free = one


class Game:
    """A world of shots, one more in each frame."""

    def __init__(self) -> None:
        self.pool = ObjectPool(Shot, SHOTS)
        self.flying: list[Any] = [None] * SHOTS

    def frame(self) -> None:
        """Fire, move what flies, and take back what is too old."""
        fired = self.pool.take()
        if fired is not None:
            fired.x = fired.y = fired.age = 0
        place = 0
        while place < SHOTS:  # a for loop would make an iterator
            shot = self.flying[place]
            if shot is not None:
                self.move(shot, place)
            elif fired is not None:
                self.flying[place] = fired
                fired = None
            place += 1

    def move(self, shot: Any, place: int) -> None:
        """Move what flies at a place, or take it back."""
        shot.x = (shot.x + 3) % 256  # Python has the numbers up to 256 ready
        shot.y = (shot.y + 1) % 256
        shot.age += 1
        if shot.age == LIFE:
            self.flying[place] = None
            self.pool.give_back(shot)


class CarelessGame(Game):
    """The same world, with an object made for each shot and a new list in each frame."""

    def frame(self) -> None:
        """As in ``Game``."""
        flying = [shot for shot in self.flying if shot is not None and shot.age < LIFE]
        flying.append(Shot())
        for shot in flying:
            shot.x = (shot.x + 3) % 256
            shot.y = (shot.y + 1) % 256
            shot.age += 1
        self.flying = flying


def play(game: Game, frames: Iterable[None]) -> None:
    """Run the loop."""
    for _ in frames:
        game.frame()


@pytest.mark.memperf(max_allocations=0)
def test_no_frame_allocates(memperf: Any) -> None:
    """Not one block in 10,000 frames, once the pool is filled and everything has run before."""
    game = Game()
    play(game, repeat(None, 2 * LIFE))
    memperf(play, game, repeat(None, FRAMES))


def test_the_careless_one(memperf: Any) -> None:
    """It keeps no more, but makes a shot and lists in each frame: what a budget of 0 finds."""
    game = CarelessGame()
    play(game, repeat(None, 2 * LIFE))
    with memperf.window("frames", max_live_blocks=SHOTS, max_peak_heap="4 KiB", metrics=["allocations"]) as frames:
        play(game, repeat(None, FRAMES))
    assert frames.allocations > 3 * FRAMES
