"""Units: how a quantity is written by a user, kept as a number, and shown again."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pytest_memperf.model.errors import UsageMistake, shown
from pytest_memperf.model.values import integer

Number = int | float

# MB means 1024 KB, as in pytest-memray: a limit must not change its meaning on the way from one plugin to the other.
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:([KMGTP])i?B?|B)\s*", re.IGNORECASE)
_SHARE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*")
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s|min)\s*")
_COUNT = re.compile(r"\s*([0-9]+(_[0-9]+)*|[0-9]{1,3}(,[0-9]{3})+)\s*")
_LARGEST = 2.0**70  # beyond any memory, rate or count; keeps every value a finite float
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}


def _number(value: Any, what: str, example: str) -> Number:
    whole = integer(value)
    if whole is None and (isinstance(value, bool) or not isinstance(value, Real)):  # NumPy's numbers are Real
        raise UsageMistake(f"{shown(value)} is not a {what}: write {example}")
    number: Number = float(value) if whole is None else whole
    if not abs(number) <= _LARGEST:  # NaN is not either
        raise UsageMistake(f"{value!r} is not a {what}: write {example}")
    return number


def _whole(value: Any, what: str, example: str) -> int:
    number = _number(value, what, example)
    if not is_whole(number):
        raise UsageMistake(f"{value!r} is not a {what}: write {example}")
    return int(number)


def _amount(digits: str, factor: float, value: str, what: str, example: str) -> float:
    amount = float(digits) * factor
    if amount > _LARGEST:
        raise UsageMistake(f"{value!r} is too large for a {what}: write {example}")
    return amount


def _bytes(match: re.Match[str], value: str, what: str, example: str) -> float:
    return _amount(match[1], float(1024 ** _POWERS[(match[2] or "").upper()]), value, what, example)


def parse_size(value: Any) -> int:
    """Return bytes for ``"24 MiB"``, ``"24 MB"`` (1024 KB each) or a number of bytes. UsageMistake otherwise.

    Text needs its unit: ``"24"`` is more often forgotten megabytes than 24 bytes.
    """
    example = "'24 MiB' or a whole number of bytes"
    if not isinstance(value, str):
        return _whole(value, "size", example)
    match = _SIZE.fullmatch(value)
    if match is None:
        raise UsageMistake(f"{value!r} is not a size: write {example}")
    return round(_bytes(match, value, "size", example))


def parse_rate(value: Any) -> float:
    """Return bytes a second for ``"1.5 GiB/s"`` or a number. UsageMistake otherwise."""
    example = "'1.5 GiB/s' or a number of bytes a second"
    if not isinstance(value, str):
        return float(_number(value, "rate", example))
    amount, slash, second = value.rpartition("/")
    match = _SIZE.fullmatch(amount)
    if not slash or second.strip() != "s" or match is None:
        raise UsageMistake(f"{value!r} is not a rate: write {example}")
    return _bytes(match, value, "rate", example)


def parse_share(value: Any) -> float:
    """Return a share for ``"90%"`` or 0.9. UsageMistake otherwise; a share may be above 1."""
    example = "'90%' or 0.9"
    if not isinstance(value, str):
        return float(_number(value, "share", example))
    match = _SHARE.fullmatch(value)
    if match is None:
        raise UsageMistake(f"{value!r} is not a share: write {example}")
    return _amount(match[1], 1, value, "share", example) / 100


def parse_time(value: Any) -> float:
    """Return seconds for ``"1.5 ms"`` or a number of seconds. UsageMistake otherwise."""
    example = "'1.5 ms' or a number of seconds"
    if not isinstance(value, str):
        return float(_number(value, "time", example))
    match = _TIME.fullmatch(value)
    if match is None:
        raise UsageMistake(f"{value!r} is not a time: write {example}")
    return _amount(match[1], _SECONDS[match[2]], value, "time", example)


def parse_count(value: Any) -> int:
    """Return a count: a whole number, or its digits, in threes by ``,`` or parted by ``_``. UsageMistake otherwise."""
    example = "a whole number such as 600"
    if not isinstance(value, str):
        return _whole(value, "count", example)
    if _COUNT.fullmatch(value) is None:  # "1,5" is no fifteen
        raise UsageMistake(f"{value!r} is not a count: write {example}")
    digits = value.replace("_", "").replace(",", "").strip()
    _amount(digits, 1, value, "count", example)
    return int(digits)


def parse_number(value: Any) -> Number:
    """Return a number, which may be a fraction; text is read as a count. UsageMistake otherwise."""
    example = "one such as 600 or 0.5"
    if not isinstance(value, str):
        return _number(value, "number", example)
    try:
        return parse_count(value)
    except UsageMistake:
        raise UsageMistake(f"{value!r} is not a number: write {example}") from None


def is_whole(value: Number) -> bool:
    """Tell whether the number has nothing behind the point; NaN and the infinities, which a probe may return, have."""
    return float(value).is_integer()


def format_size(value: Number) -> str:
    """Return ``"70.00 MiB"``; whole numbers below 1 KiB as ``"512 B"``."""
    size = float(value)
    for name in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024 or name == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {name}" if name == "B" or is_whole(size) else f"{size:.2f} {name}"


def format_rate(value: Number) -> str:
    """Return ``"1.50 GiB/s"``."""
    return f"{format_size(value)}/s"


def format_share(value: Number) -> str:
    """Return ``"93.1 %"``."""
    return f"{value * 100:.1f} %"


def format_time(value: Number) -> str:
    """Return ``"1.500 ms"`` in the unit that leaves one to three digits before the point."""
    for name, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(value) >= scale:
            return f"{value / scale:.3f} {name}"
    return f"{value / 1e-9:.0f} ns"


def format_count(value: Number) -> str:
    """Return ``"16,386"``; fractions (a median between two counts) keep one digit."""
    return f"{value:,.0f}" if is_whole(value) else f"{value:,.1f}"


@dataclass(frozen=True, slots=True)
class Unit:
    """How the values of a metric are written, read and shown."""

    name: str
    parse: Callable[[Any], Number]
    format: Callable[[Number], str]
    scales: tuple[tuple[str, float], ...] = (("", 1.0),)
    """The names and sizes that values are shown in, the smallest first."""

    def scale(self, value: Number) -> tuple[str, float]:
        """Return the name and size of the largest scale that leaves at least 1 before the point, or the smallest."""
        return next((scale for scale in reversed(self.scales) if abs(value) >= scale[1]), self.scales[0])

    def exactly(self, limit: Number) -> str:
        """Return the limit in the largest scale in which three digits say it all: most often as it was written."""
        text, name, _ = self._exactly(limit)
        return _with_name(text, name)

    def side_by_side(self, value: Number, limit: Number) -> tuple[str, str]:
        """Return the value in the scale of the limit, or in its own where it is far smaller, and the limit as it is.

        The value lies on the side of the limit that it is on, and is not 0 unless it is, as far as nine digits tell.
        """
        text, name, size = self._exactly(limit)
        if not limit:
            name, size = self.scale(value)
        own_name, own_size = self.scale(value) if abs(value) < size / 1000 else (name, size)
        shown_limit = float(text.replace(",", "")) * size
        amount = value / own_size
        for digits in range(0 if is_whole(amount) else 2, 10):
            shown = f"{amount:,.{digits}f}" if value else "0"
            number = float(shown.replace(",", "")) * own_size
            sides_agree = (number > shown_limit) is (value > limit) and (number < shown_limit) is (value < limit)
            if (number or not value) and sides_agree:
                break
        return _with_name(shown, own_name), _with_name(text, name)

    def _exactly(self, limit: Number) -> tuple[str, str, float]:
        """Return the text, and the name and size of its scale."""
        usual = self.scale(limit)
        for name, size in reversed(self.scales[: self.scales.index(usual) + 1]):
            for digits in range(4):
                text = f"{limit / size:,.{digits}f}"
                read = float(text.replace(",", "")) * size
                if isinstance(limit, int):
                    # 1.1 MiB was rounded to whole bytes when it was read; but any limit is near some 0.001 KiB.
                    as_written = (round(read) if size / 10**digits > 8 else read) == limit
                else:
                    as_written = math.isclose(read, limit, rel_tol=1e-15)
                if as_written:
                    return text, name, size
        name, size = usual
        return f"{limit / size:,.15g}", name, size


def _with_name(text: str, name: str) -> str:
    return f"{text} {name}" if name else text


_SIZES = tuple((name, 1024.0**power) for power, name in enumerate(("B", "KiB", "MiB", "GiB", "TiB")))

COUNT = Unit("count", parse_count, format_count)
BYTES = Unit("B", parse_size, format_size, _SIZES)
SECONDS = Unit("s", parse_time, format_time, (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)))
RATE = Unit("B/s", parse_rate, format_rate, tuple((f"{name}/s", size) for name, size in _SIZES))
SHARE = Unit("share", parse_share, format_share, (("%", 0.01),))

UNITS: dict[str, Unit] = {unit.name: unit for unit in (COUNT, BYTES, SECONDS, RATE, SHARE)}


def unit_named(name: str) -> Unit:
    """Return the unit of this name; any other word becomes a unit of plain numbers, shown with that word."""
    if name in UNITS:
        return UNITS[name]
    return Unit(name, parse_number, lambda value: f"{format_count(value)} {name}", ((name, 1.0),))
