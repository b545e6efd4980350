"""Map numbers to pixels, and find round numbers for an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from burnish.errors import InvalidValue


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """A straight map of [low, high] onto the pixels [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values outside the range stop at its ends.

        Raises:
            InvalidValue: The value is not finite.
        """
        if not math.isfinite(value):
            raise InvalidValue("chart", value, "give finite numbers; leave out what is not known")
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def spanning(values: Iterable[float], start: float, end: float, *, slack: float = 0.0) -> Scale:
    """Return a scale over all values, widened by a share `slack` on both sides; never of no width."""
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    margin = slack * (high - low)
    if high - low < 1e-12:
        margin = max(abs(high) * 0.05, 0.5)
    return Scale(low=low - margin, high=high + margin, start=start, end=end)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return at most about `most` round numbers within [low, high]."""
    rough = (high - low) / max(1, most)
    if rough <= 0 or not math.isfinite(rough):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1.0, 2.0, 5.0, 10.0) if size * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions near the wanted ones, at least `gap` apart where there is room, within [low, high]."""
    order = sorted(range(len(wanted)), key=lambda k: (wanted[k], k))
    placed: list[float] = []
    for k in order:
        placed.append(max(float(wanted[k]), low, placed[-1] + gap if placed else low))
    edge = high
    for at in range(len(placed) - 1, -1, -1):
        placed[at] = max(low, min(placed[at], edge))
        edge = placed[at] - gap
    result = [0.0] * len(wanted)
    for k, found in zip(order, placed, strict=True):
        result[k] = found
    return result
